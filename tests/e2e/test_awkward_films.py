"""Awkward films, one of each kind, from the file to the clip."""

from pathlib import Path

import pytest

from tests.e2e import awkward
from tests.e2e.awkward import FilmResult
from tests.e2e.corpora import Ossl

NO_CLIP = {
    "no-audio": "no_audio",
    "longer-audio": "lengths_differ",
    "shorter-audio": "lengths_differ",
    "cut-off": "truncated",
    "damaged-frame": "damaged_video",
    "damaged-audio": "damaged_audio",
}
SIZES = {
    "wide-pixels": "192x144", "tall-pixels": "180x136", "interlaced": "192x144",
    "interlaced-h264": "192x144",
}  # fmt: skip
# AVI has no presentation times: with B-frames the video is late, as in every player.
LATE_MS = {"avi-b-frames": 17.0}


@pytest.fixture(scope="module")
def results(ossl: Ossl, tmp_path_factory: pytest.TempPathFactory) -> dict[str, FilmResult]:
    found = awkward.build(ossl, tmp_path_factory.mktemp("awkward"))
    return {one.film: one for one in found}


@pytest.mark.parametrize("name", [name for name, _, _ in awkward.KINDS])
def test_an_awkward_film_gives_exact_clips_or_a_reason(
    results: dict[str, FilmResult], name: str, tmp_path: Path
) -> None:
    one = results[name]
    if name in NO_CLIP and not one.n_clips:
        assert NO_CLIP[name] in one.outcome
        return
    assert name not in ("no-audio", "longer-audio", "shorter-audio", "cut-off")
    assert one.outcome == "done"
    assert one.cuts[0] == one.cuts[1]
    assert one.size == SIZES.get(name, "192x108")
    assert one.n_frames[0] == one.n_frames[1] > 0
    assert one.ends_right
    assert max(one.offset_ms) <= LATE_MS.get(name, 0.0) + 1.0
