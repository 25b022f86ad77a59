"""Fixtures for fetch tests: a misbehaving server, two films of one size, a fetch of one film."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ossl_builder.engine import cache
from ossl_builder.engine.records import Record
from ossl_builder.engine.run import run_item
from ossl_builder.stages.fetch.stage import FETCH_STAGE, FetchSettings
from ossl_builder.tables import SOURCES, Source
from tests.films import make_flash_and_click
from tests.misbehaving import Misbehaving, misbehaving

# Short pauses, but long timeouts for a busy machine.
QUICK: dict[str, Any] = {
    "tries": 3, "wait_s": 0.02, "max_wait_s": 3.0, "stall_s": 10.0, "min_kbps": 0.0,
}  # fmt: skip

Fetch = Callable[..., Record]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Misbehaving]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with misbehaving() as state:
        yield state


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """Two films of different content and the same size."""
    folder = tmp_path_factory.mktemp("films")
    made = []
    for seconds in (4, 3):
        make_flash_and_click(folder / "film.mp4", seconds)
        made.append((folder / "film.mp4").read_bytes())
    long, short = made
    lacking = len(long) - len(short)
    assert lacking > 8
    return long, short + lacking.to_bytes(4, "big") + b"free" + bytes(lacking - 8)


def source_of(source: str, **changed: Any) -> Source:
    fields: dict[str, Any] = {
        "film_id": "film", "title": "T", "year": 1920, "basis": "licensed", "evidence": "tests",
        "source": source, "alternates": "", "country": "", "licence": "", "sha256": None,
        "is_claim": True, "allow_unknown": False,
    }  # fmt: skip
    return Source(**(fields | changed))


@pytest.fixture
def fetch(server: Misbehaving, tmp_path: Path) -> Fetch:
    """Fetch one film into a corpus, as a build does."""

    def run(source: Source | str, **settings: Any) -> Record:
        row = source if isinstance(source, Source) else source_of(source)
        config = FetchSettings(
            **(
                QUICK
                | {"archive_url": server.address, "archive_node_url": "http://{server}"}
                | settings
            )
        )
        inputs = cache.inputs_of(
            FETCH_STAGE,
            cache.shaping_of(FETCH_STAGE, config),
            {"sources": cache.hash_rows(SOURCES, (row,))},
        )
        return run_item(
            FETCH_STAGE, "film", tmp_path / "corpus", "films/film", config, {"sources": (row,)},
            inputs, lambda part: None,
        )  # fmt: skip

    return run
