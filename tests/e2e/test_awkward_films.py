"""Awkward films, one of each kind, from the file to the clip."""

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
    folder = tmp_path_factory.mktemp("awkward")
    return {one.film: one for one in awkward.build(ossl, folder, awkward.QUICK)}


@pytest.fixture(scope="module")
def further_results(ossl: Ossl, tmp_path_factory: pytest.TempPathFactory) -> dict[str, FilmResult]:
    folder = tmp_path_factory.mktemp("awkward")
    return {one.film: one for one in awkward.build(ossl, folder, FURTHER)}


FURTHER = [name for name, _, _ in awkward.KINDS if name not in awkward.QUICK]


@pytest.mark.parametrize("name", sorted(awkward.QUICK))
def test_an_awkward_film_gives_exact_clips_or_a_reason(
    results: dict[str, FilmResult], name: str
) -> None:
    check(results[name], name)


@pytest.mark.slow
@pytest.mark.parametrize("name", FURTHER)
def test_every_other_awkward_film_gives_exact_clips_or_a_reason(
    further_results: dict[str, FilmResult], name: str
) -> None:
    check(further_results[name], name)


def check(one: FilmResult, name: str) -> None:
    """The clips of a film are exact, or the record says why there are none."""
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
