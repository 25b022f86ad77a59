"""Films whose video, audio and packets have different lengths: done, warned of, or rejected."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import films
from tests.e2e.corpora import Ossl, add_film, rows, status
from tests.films import ffmpeg
from tests.stages.conftest import Fetch, source_of


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plain") / "plain.mkv"
    films.make_film(path, audio=("-c:a", "flac"))
    return path


@pytest.mark.parametrize(
    ("offset_s", "length_s", "state", "codes"),
    [
        (0, 15, "done", []),
        (0, 14, "done", ["lengths_differ"]),
        (0.5, 14.5, "done", ["lengths_differ"]),
        (0, 13, "rejected", []),
        (0, 18, "rejected", []),
        # As long as the video, but shifted.
        (3, 15, "rejected", []),
        (60, 15, "rejected", []),
    ],
)
def test_length_differences_are_accepted_warned_or_rejected(
    plain: Path,
    fetch: Fetch,
    tmp_path: Path,
    offset_s: float,
    length_s: float,
    state: str,
    codes: list[str],
) -> None:
    audio, path = tmp_path / "audio.flac", tmp_path / "film.mkv"
    ffmpeg("-i", plain, "-vn", "-af", "apad", "-t", length_s, audio)
    ffmpeg("-i", plain, "-itsoffset", offset_s, "-i", audio, "-map", "0:v", "-map", "1:a",
           "-c", "copy", path)  # fmt: skip
    record = fetch(source_of(str(path)))
    assert record.state == state, record.message
    assert [notice["code"] for notice in record.warnings] == codes
    if state == "rejected":
        assert record.code == "lengths_differ"
        assert "fetch.max_length_difference" in record.message
        assert fetch(source_of(str(path)), max_length_difference=10).state == "done"


def test_a_rejected_film_is_fetched_again_when_the_setting_is_raised(
    plain: Path, ossl: Ossl, tmp_path: Path
) -> None:
    """With the `ossl` command: a rejection is not permanent."""
    path, corpus = tmp_path / "film.mkv", tmp_path / "corpus"
    ffmpeg("-i", plain, "-c:v", "copy", "-af", "atrim=end=10", "-c:a", "flac", path)
    ossl("init", corpus)
    add_film(ossl, corpus, path, "film")
    build = ("-C", corpus, "build", "--until", "fetch")
    ossl(*build)
    (rejected,) = status(ossl, corpus)["rejected"]
    assert rejected["code"] == "lengths_differ"
    ossl(*build, "--set", "fetch.max_length_difference=0.5")
    assert [film["film_id"] for film in rows(corpus, "films")] == ["film"]
