"""Network faults between `ossl label push` and a real server: every clip has exactly one task."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.label_studio_server import LabelStudio
from tests.label_studio.clip_corpus import made_up_corpus
from tests.label_studio.fault_proxy import FaultProxy, Trouble, fault_proxy

MANY = 3000
SOME = 260  # two chunks, of 250 and 10


@pytest.fixture
def proxy(label_studio: LabelStudio) -> Iterator[FaultProxy]:
    with fault_proxy(label_studio.url) as running:
        yield running


def start(server: LabelStudio, corpus: Path, url: str, *more: str) -> subprocess.Popen[str]:
    """Start a push in its own process."""
    return subprocess.Popen(
        [
            sys.executable, "-m", "ossl_builder.cli.main", "-C", str(corpus),
            "label", "push", "--json", "--url", url, "--title", corpus.name, *more,
        ],
        env={**os.environ, "LABEL_STUDIO_API_KEY": server.token}, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def finished(push: subprocess.Popen[str], code: int = 0) -> dict[str, Any]:
    """Wait for a push; return its output."""
    out, err = push.communicate(timeout=120)
    assert push.returncode == code, err
    assert "Traceback" not in err
    output: dict[str, Any] = json.loads(out) if out else {"err": err}
    return output


def assert_each_once(server: LabelStudio, corpus: Path, clips: list[str]) -> None:
    (project_id,) = server.project_ids(corpus.name)
    assert server.clip_ids(project_id) == clips


# Faults of the first requests that create tasks; with some of them, the tasks are created.
TROUBLES = {
    "lost twice": [Trouble("lost"), Trouble("lost")],
    "504 after the commit": [Trouble("spoiled", 504)],
    "504 before": [Trouble("refused", 504)],
    "429": [Trouble("refused", 429, (("Retry-After", "5"),))],
    "stalled": [Trouble("stalled")],
}


def test_every_clip_has_one_task(label_studio: LabelStudio, tmp_path: Path) -> None:
    # In parallel: most of the time is waiting.
    with contextlib.ExitStack() as stack:
        proxies, pushes, clips = {}, {}, []
        for name, troubles in TROUBLES.items():
            proxies[name] = stack.enter_context(fault_proxy(label_studio.url))
            proxies[name].troubles = list(troubles)
            clips = made_up_corpus(tmp_path / f"faults {name}", SOME)
            timeout = ("--timeout", "6") if name == "stalled" else ()
            pushes[name] = start(
                label_studio, tmp_path / f"faults {name}", proxies[name].url, *timeout
            )
        for name, push in pushes.items():
            assert finished(push)["sent"] == len(clips), name
            assert_each_once(label_studio, tmp_path / f"faults {name}", clips)
            assert not proxies[name].troubles, name
            # Two chunks: a refused chunk is sent again, a lost one is found on the server.
            refusals = sum(trouble.fault == "refused" for trouble in TROUBLES[name])
            assert len(proxies[name].sent) == 2 + refusals, name
        first, again, *_ = proxies["429"].sent
        assert again - first >= 5.0


@pytest.mark.slow
def test_tasks_that_arrive_late_are_removed(
    label_studio: LabelStudio, proxy: FaultProxy, tmp_path: Path
) -> None:
    # The proxy delays a request until the push has sent those clips again and ended.
    corpus = tmp_path / "faults late"
    clips = made_up_corpus(corpus, 40)
    proxy.troubles = [Trouble("late", delay_s=14.0)]
    finished(start(label_studio, corpus, proxy.url, "--timeout", "2"))
    assert_each_once(label_studio, corpus, clips)
    for arriving in proxy.late:
        arriving.join()
    (project_id,) = label_studio.project_ids(corpus.name)
    assert len(label_studio.tasks(project_id)) == 2 * len(clips)
    result = finished(start(label_studio, corpus, proxy.url))
    assert result["sent"] == 0
    assert result["copies_removed"] == len(clips)
    assert_each_once(label_studio, corpus, clips)


def test_reads_are_retried(label_studio: LabelStudio, proxy: FaultProxy, tmp_path: Path) -> None:
    corpus = tmp_path / "faults reading"
    clips = made_up_corpus(corpus, 20)
    proxy.gets = [Trouble("spoiled", 502), Trouble("lost")]
    finished(start(label_studio, corpus, proxy.url))
    assert not proxy.gets
    assert_each_once(label_studio, corpus, clips)


def test_two_pushes_at_once_create_no_duplicates(label_studio: LabelStudio, tmp_path: Path) -> None:
    corpus = tmp_path / "faults two at once"
    clips = made_up_corpus(corpus, 1000)
    pushes = [start(label_studio, corpus, label_studio.url) for _ in range(2)]
    ends = [push.communicate(timeout=120) for push in pushes]
    codes = sorted(push.returncode for push in pushes)
    if codes != [0, 0]:  # else one of them started after the other had ended
        assert codes == [0, 1]
        assert any("Another ossl process" in err for _, err in ends)
    assert_each_once(label_studio, corpus, clips)


def wait_for_tasks(server: LabelStudio, corpus: Path, at_least: int) -> int:
    """Wait until a push has created some tasks; return their number."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for project_id in server.project_ids(corpus.name):
            there: int = server.owner.ask("GET", f"/api/projects/{project_id}/")["task_number"]
            if there >= at_least:
                return there
        time.sleep(0.02)
    raise AssertionError("no tasks came")


def test_client_killed_in_the_middle(label_studio: LabelStudio, tmp_path: Path) -> None:
    corpus = tmp_path / "faults client killed"
    clips = made_up_corpus(corpus, MANY)
    fell_at = []
    for at_least in (1, 1500):
        push = start(label_studio, corpus, label_studio.url)
        fell_at.append(wait_for_tasks(label_studio, corpus, at_least))
        push.kill()
        push.communicate()
    assert fell_at[0] < MANY, fell_at
    finished(start(label_studio, corpus, label_studio.url))
    assert_each_once(label_studio, corpus, clips)


def test_server_killed_in_the_middle(label_studio: LabelStudio, tmp_path: Path) -> None:
    corpus = tmp_path / "faults server killed"
    clips = made_up_corpus(corpus, MANY)
    push = start(label_studio, corpus, label_studio.url)
    there = wait_for_tasks(label_studio, corpus, 500)
    label_studio.stop(signal.SIGKILL)
    assert there < MANY
    label_studio.start()
    # The push may have retried until the server was back; if not, it says what to do.
    _, err = push.communicate(timeout=120)
    assert push.returncode == 0 or "run the same command again" in err, err
    finished(start(label_studio, corpus, label_studio.url))
    assert_each_once(label_studio, corpus, clips)
