"""Fixtures for all tests: media, the `ossl` command, corpora that are built once, stage items."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ossl_builder.engine.stage import Item, Stage
from tests.command_result import CommandResult, RunCommand
from tests.e2e.corpora import Ossl, add_film, built_once, linked
from tests.report.report_corpus import DESKTOP, Opened

# One Label Studio server for all tests of a session, in any folder.
pytest_plugins = ["tests.e2e.label_studio_server"]


@pytest.fixture(scope="session")
def shared_media() -> Path:
    """The folder of real films with exact ground truth; skip the test if it is missing."""
    folder = os.environ.get("OSSL_TEST_MEDIA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("the shared media are not here (OSSL_TEST_MEDIA)")
    return Path(folder)


@pytest.fixture
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """An in-memory file system of the size that the test requests; needs root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    command = ["mount", "-t", "tmpfs", "-o", f"size={request.param}", "ossl-test", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine does not let a test mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def ossl_here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> RunCommand:
    """Run `ossl` in this process, which is faster; any exit code is allowed."""

    def run(*arguments: object) -> CommandResult:
        from ossl_builder.cli.main import main

        monkeypatch.setattr(sys, "argv", ["ossl", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        captured = capsys.readouterr()
        return CommandResult(code, captured.out, captured.err)

    return run


@pytest.fixture
def make_item(tmp_path: Path) -> Callable[..., Item]:
    """Make an item for a stage, in a corpus in a temporary folder."""

    def make(
        stage: Stage,
        rows: dict[str, tuple[Any, ...]],
        settings: dict[str, Any] | None = None,
        item_id: str = "film",
        corpus: Path = tmp_path,
    ) -> Item:
        home = f"films/{item_id}/{stage.folder}"
        folder = corpus / home
        folder.mkdir(parents=True, exist_ok=True)
        return Item(
            item_id=item_id,
            corpus=corpus,
            folder=folder,
            home=home,
            rows=rows,
            config=stage.config(**(settings or {})),
            progress=lambda part: None,
        )

    return make


@pytest.fixture(scope="session")
def ossl() -> Ossl:
    """Run `ossl` in its own process; assert its exit code."""

    def run(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "ossl_builder.cli.main", *map(str, arguments)],
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    return run


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium; one for all tests, because Playwright runs once in a process."""
    playwright = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("there is no Chromium here (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser: Any) -> Opened:
    """Open a page; errors and network requests of the page fail the test."""

    @contextmanager
    def run(path: Path, size: tuple[int, int] = DESKTOP, **options: Any) -> Iterator[Any]:
        view = {"width": size[0], "height": size[1]}
        context = browser.new_context(viewport=view, **options)
        page = context.new_page()
        complaints: list[str] = []
        asked: list[str] = []
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: _failed(request, complaints))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_load_state()
        yield page
        assert complaints == []
        assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
        context.close()

    return run


def _failed(request: Any, complaints: list[str]) -> None:
    # A player that switches to another clip aborts the request for the previous one.
    if request.failure != "net::ERR_ABORTED":
        complaints.append(f"{request.url}: {request.failure}")


@pytest.fixture(scope="session")
def demo_corpus(ossl: Ossl, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus of the three demo films. Read only: tests share it.

    OSSL_TEST_DEMO may name an existing demo corpus; it is copied and updated.
    """

    def build(folder: Path) -> None:
        made_before = os.environ.get("OSSL_TEST_DEMO", "")
        if made_before:
            linked(Path(made_before), folder)
        ossl("demo", "--out", folder, "--no-training")

    return built_once(tmp_path_factory, "demo", build)


@pytest.fixture(scope="session")
def dev_corpus(ossl: Ossl, shared_media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of the shared film with ground truth, by the bundled separator. Read only."""

    def build(folder: Path) -> None:
        ossl("init", folder)
        add_film(ossl, folder, shared_media / "mixfilm" / "dev.mp4", "dev")
        ossl("-C", folder, "build", "--set", "stems.model=bundled")

    return built_once(tmp_path_factory, "dev", build)
