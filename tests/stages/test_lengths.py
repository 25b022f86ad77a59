"""Films whose video, audio and packets have different lengths: done, warned of, or rejected."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import films
from tests.shapes import ffmpeg
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
        # As long as the video, but beside it.
        (3, 15, "rejected", []),
        (60, 15, "rejected", []),
    ],
)
def test_lengths(
    plain: Path,
    fetch: Fetch,
    tmp_path: Path,
    offset_s: float,
    length_s: float,
    state: str,
    codes: list[str],
) -> None:
    sound, path = tmp_path / "sound.flac", tmp_path / "film.mkv"
    ffmpeg("-i", plain, "-vn", "-af", "apad", "-t", length_s, sound)
    ffmpeg("-i", plain, "-itsoffset", offset_s, "-i", sound, "-map", "0:v", "-map", "1:a",
           "-c", "copy", path)  # fmt: skip
    record = fetch(source_of(str(path)))
    assert record.state == state, record.message
    assert [notice["code"] for notice in record.warnings] == codes
    if state == "rejected":
        assert record.code == "lengths_differ"
        assert "fetch.max_length_difference" in record.message
        assert fetch(source_of(str(path)), max_length_difference=10).state == "done"
