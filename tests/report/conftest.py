"""Fixtures: a report of the demo corpus, and a browser that fails on errors in a page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.corpora import Ossl
from tests.report.report_corpus import DESKTOP, Opened, copied

ANNOTATIONS = Path(__file__).parents[2] / "annotations"


@pytest.fixture(scope="session")
def labelled(ossl: Ossl, demo_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo corpus with annotations, labels, splits and a report. Read only."""
    corpus = copied(demo_corpus, tmp_path_factory.mktemp("report") / "corpus")
    (corpus / "annotations").mkdir(exist_ok=True)
    for path in ANNOTATIONS.glob("demo-*.jsonl"):
        shutil.copy(path, corpus / "annotations")
    ossl("-C", corpus, "label", "merge")
    ossl("-C", corpus, "split")
    ossl("-C", corpus, "report")
    return corpus


@pytest.fixture
def opened(browser: Any) -> Opened:
    """Open a page of a report; errors and network requests of the page fail the test."""

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
        assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
        context.close()

    return run


def _failed(request: Any, complaints: list[str]) -> None:
    # A player that switches to another clip aborts the request for the previous one.
    if request.failure != "net::ERR_ABORTED":
        complaints.append(f"{request.url}: {request.failure}")
