"""A real Label Studio server for the whole test session: SQLite, loopback, no telemetry.

It is installed in a separate environment (`make test` creates it). Its migrated database is cached
beside that environment, which saves half a minute in each session.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ossl_builder.annotations import label_schema
from ossl_builder.annotations.label_config import results_of

ENVIRONMENT = Path(__file__).parents[2] / ".venv-label-studio"
PROGRAM = ENVIRONMENT / "bin" / "label-studio"
MIGRATED = ENVIRONMENT / "migrated"
OWNER = "owner@example.org"
PASSWORD = "only-for-tests-123"
READY_S = 240.0
# Its document root, below its data folder: the films folder of a corpus that a test creates there.
LOCAL_FILMS = Path("corpus") / "films"


@dataclass
class Person:
    """A user of the server, with a personal access token."""

    url: str
    email: str
    token: str
    _access: str = ""
    client: Any = None

    def ask(self, method: str, path: str, code: int | None = None, **more: Any) -> Any:
        """Send a request; return the JSON of the response. `code`: expected status if not 2xx."""
        answer = self.send(method, path, **more)
        assert answer.status_code == code or (code is None and answer.is_success), answer.text
        return answer.json() if answer.content else None

    def fetch(self, path: str) -> Any:
        """Get an address of the server as a browser would."""
        return self.send("GET", path)

    def send(self, method: str, path: str, **more: Any) -> Any:
        import httpx

        self.client = self.client or httpx.Client(base_url=self.url, timeout=60)
        for _ in range(2):
            bearer = {"Authorization": f"Bearer {self._access or 'none'}"}
            answer = self.client.request(method, path, headers=bearer, **more)
            if answer.status_code != 401:
                break
            # Access tokens last a few minutes.
            renewed = self.client.post("/api/token/refresh/", json={"refresh": self.token})
            self._access = renewed.json()["access"]
        return answer

    def annotate(self, task_id: int, answers: dict[str, Any]) -> int:
        """Submit answers; return the id of the annotation."""
        result = results_of(label_schema.bundled(), answers)
        made = self.ask("POST", f"/api/tasks/{task_id}/annotations/", json={"result": result})
        return int(made["id"])

    def skip(self, task_id: int) -> int:
        """Skip a task, as the page does."""
        made = self.ask(
            "POST", f"/api/tasks/{task_id}/annotations/", json={"result": [], "was_cancelled": True}
        )
        return int(made["id"])

    def edit(self, annotation_id: int, answers: dict[str, Any]) -> None:
        """Change an annotation."""
        result = results_of(label_schema.bundled(), answers)
        self.ask("PATCH", f"/api/annotations/{annotation_id}/", json={"result": result})

    def delete(self, annotation_id: int) -> None:
        """Delete an annotation."""
        self.ask("DELETE", f"/api/annotations/{annotation_id}/")

    def next_task(self, project_id: int) -> int | None:
        """The next task that the server gives to this person."""
        import httpx

        with contextlib.suppress(AssertionError, httpx.HTTPError):
            return int(self.ask("GET", f"/api/projects/{project_id}/next")["id"])
        return None


@dataclass
class LabelStudio:
    """The server.

    Attributes:
        url: its address.
        token: the owner's personal access token.
        owner: the owner, as a `Person` that can send requests.
    """

    data: Path
    port: int
    token: str = ""
    process: subprocess.Popen[bytes] | None = None
    people: dict[str, Person] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def local_films(self) -> Path:
        """The folder that it was started with as document root."""
        return self.data / LOCAL_FILMS

    @property
    def owner(self) -> Person:
        return self.people.setdefault(OWNER, Person(self.url, OWNER, self.token))

    def start(self) -> None:
        """Start it and wait until it answers."""
        import httpx

        log = (self.data / "log.txt").open("ab")
        self.process = subprocess.Popen(
            [
                str(PROGRAM), "start", "--no-browser", "--port", str(self.port),
                "--internal-host", "127.0.0.1", "--username", OWNER, "--password", PASSWORD,
            ],
            env=environment(self.data), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
        log.close()
        until = time.monotonic() + READY_S
        while time.monotonic() < until:
            assert self.process.poll() is None, (self.data / "log.txt").read_text()[-2000:]
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/health", timeout=2).status_code == 200:
                    return
            time.sleep(0.2)
        raise AssertionError("Label Studio does not answer")

    def stop(self, with_signal: int = signal.SIGTERM) -> None:
        """Stop the server and its child processes."""
        assert self.process is not None
        if self.process.poll() is None:
            os.killpg(self.process.pid, with_signal)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def sign_up(self, name: str) -> Person:
        """Sign up a labeller with the invitation link, or return the one with that name."""
        email = f"{name}@example.org"
        if email not in self.people:
            link = self.owner.ask("GET", "/api/invite")["invite_url"]
            self.people[email] = Person(self.url, email, token_of(self.url, link, email))
        return self.people[email]

    def tasks(self, project_id: int) -> list[dict[str, Any]]:
        """All tasks of a project, read from the server."""
        found = self.owner.ask(
            "GET", "/api/tasks/",
            params={
                "project": project_id, "fields": "task_only", "page_size": 100_000,
                "include": "id,data,overlap,total_annotations,cancelled_annotations,predictions",
            },
        )  # fmt: skip
        tasks: list[dict[str, Any]] = found["tasks"]
        assert found["total"] == len(tasks)
        return tasks

    def clip_ids(self, project_id: int) -> list[str]:
        """Clip ids of all tasks, sorted, with duplicates."""
        return sorted(task["data"]["clip_id"] for task in self.tasks(project_id))

    def project_ids(self, title: str) -> list[int]:
        """Ids of the projects with exactly this title."""
        found = self.owner.ask("GET", "/api/projects/", params={"title": title, "page_size": 100})
        return [one["id"] for one in found["results"] if one["title"] == title]


def environment(data: Path) -> dict[str, str]:
    """Environment variables of the server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LABEL_")}
    return {
        **kept,
        "LABEL_STUDIO_BASE_DATA_DIR": str(data),
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "0",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(data / LOCAL_FILMS),
        "SECRET_KEY": "only-for-tests",
        "DEBUG": "false",
    }


def token_of(url: str, form: str, email: str) -> str:
    """Submit the log-in or sign-up form like a browser; return the personal access token."""
    import httpx

    with httpx.Client(base_url=url, timeout=60, headers={"Referer": url}) as browser:
        browser.get(form)
        filled = {
            "email": email,
            "password": PASSWORD,
            "csrfmiddlewaretoken": browser.cookies["csrftoken"],
            "allow_newsletters": "false",
        }
        entered = browser.post(form, data=filled)
        assert entered.status_code == 302, entered.text[:2000]
        made = browser.post("/api/token/", headers={"X-CSRFToken": browser.cookies["csrftoken"]})
        assert made.status_code == 201, made.text
        return str(made.json()["token"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(data: Path) -> LabelStudio:
    """Start a server; use the cached migrated database, or migrate a new one and cache it."""
    server = LabelStudio(data, free_port())
    if MIGRATED.exists():
        shutil.copytree(MIGRATED, data, dirs_exist_ok=True)
    server.start()
    if MIGRATED.exists():
        server.token = json.loads((data / "token.json").read_text())
        return server
    server.token = token_of(server.url, "/user/login/", OWNER)
    (data / "token.json").write_text(json.dumps(server.token))
    server.stop()
    being_made = MIGRATED.with_name(f"migrated-{os.getpid()}")
    shutil.copytree(data, being_made)
    with contextlib.suppress(OSError):  # another session cached it first
        being_made.rename(MIGRATED)
    shutil.rmtree(being_made, ignore_errors=True)
    server.start()
    return server


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudio]:
    """The server for all tests of a session; each test creates its own project."""
    if not PROGRAM.exists():
        pytest.skip("Label Studio is not installed (make test does: .venv-label-studio)")
    server = run(tmp_path_factory.mktemp("label-studio"))
    try:
        yield server
    finally:
        server.stop()
