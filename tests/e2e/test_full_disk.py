"""A full disk: one clear message, finished work is kept, and a second run completes the build."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.e2e.corpora import Ossl, rows
from tests.films import make_mono


@pytest.mark.parametrize("small_disk", ["2m"], indirect=True)
def test_a_full_disk_is_reported_and_finished_work_is_kept(
    ossl: Ossl, small_disk: Path, tmp_path: Path
) -> None:
    film = tmp_path / "film.mp4"
    make_mono(film)
    corpus = small_disk / "corpus"
    ossl("init", corpus)
    ossl(
        "-C", corpus, "films", "add", film, "--id", "film", "--title", "T",
        "--basis", "licensed", "--evidence", "for tests",
    )  # fmt: skip
    done = ossl("-C", corpus, "build", "--set", "stems.model=bundled", code=1)
    assert "is full" in done.stderr
    assert "run the same command again" in done.stderr
    assert len(rows(corpus, "films")) == 1
    assert list(corpus.rglob("*.partial")) == []
    assert not (corpus / "films/film/clips").exists()
    ossl("-C", corpus, "verify")
    subprocess.run(
        ["mount", "-o", "remount,size=200m", str(small_disk)], check=True, capture_output=True
    )
    again = ossl("-C", corpus, "build", "--set", "stems.model=bundled")
    assert "film  fetch" not in again.stderr
    assert len(rows(corpus, "stems")) == 3
    ossl("-C", corpus, "verify")
