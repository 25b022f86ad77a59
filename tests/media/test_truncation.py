"""Truncated files are detected in each container that stores its length."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from ossl_builder.errors import OsslError
from ossl_builder.media.probe import probe
from tests import films
from tests.films import shapes


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plain") / "plain.mp4"
    films.make_film(path, rate=Fraction(25))
    return path


@pytest.mark.parametrize("shape", shapes.MEASURED)
def test_a_truncated_file_is_detected(plain: Path, tmp_path: Path, shape: str) -> None:
    path = shapes.MEASURED[shape](plain, tmp_path / "film")
    assert not probe(path, lambda part: None).is_truncated
    content = path.read_bytes()
    # A raw DV file that is truncated between two frames looks complete.
    for part in (0.9713, 0.6127, 0.3071):
        path.write_bytes(content[: int(len(content) * part)])
        assert probe(path, lambda done: None).is_truncated, part


@pytest.mark.parametrize("shape", ["avi", "flv", "wmv", "ogv", "mkv", "mp4"])
def test_a_file_truncated_in_its_header_is_truncated_or_not_media(
    plain: Path, tmp_path: Path, shape: str
) -> None:
    path = shapes.MEASURED[shape](plain, tmp_path / "film")
    content = path.read_bytes()
    for length in (1, 5, 13, 30, 100, 700):
        path.write_bytes(content[:length])
        assert outcome(path) in ("truncated", "not_media", "no_video", "video_undecodable")


def outcome(path: Path) -> str:
    try:
        return "truncated" if probe(path, lambda part: None).is_truncated else "whole"
    except OsslError as error:
        return error.code
