"""Figures of music against its video: cuts and motion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ossl_builder.engine.cache import ArrayCache
from ossl_builder.errors import OsslError
from ossl_train.evaluation.curves import MUSIC, VIDEO, music_curves, video_curves
from ossl_train.evaluation.eval_set import EvalSet
from ossl_train.evaluation.report import Figure, by_clip, undefined
from ossl_train.evaluation.settings import EvaluationSettings, WithProgress
from ossl_train.metrics import NotDefined
from ossl_train.metrics.video_sync import Timed, alignment, following

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ossl_train.metrics.intervals import FilmIndices

    Curves = dict[str, NDArray[np.float64]]

AT_CUTS = {
    "onsets": ("onset_at_cuts", "part of the cuts with a note's onset within {} s"),
    "beats": ("beat_at_cuts", "part of the cuts with a beat within {} s"),
}
FOLLOWS = "rank correlation of loudness and motion, beyond that with videos of other films"

# A file with one of these errors is left out; the others are measured.
UNUSABLE = (
    "audio_unreadable", "video_undecodable", "no_video", "not_media", "file_empty",
    "file_missing",
)  # fmt: skip


def video_figures(
    eval_set: EvalSet, cache: ArrayCache, settings: EvaluationSettings, progress: WithProgress
) -> tuple[list[Figure], list[str]]:
    """Compute figures of the generated music, and of the real music where it has the same videos.

    Returns:
        Figures, and sentences on files that cannot be read.
    """
    wanted = sorted(eval_set.video.keys() & eval_set.generated.keys())
    if not wanted:
        return [], []
    unreadable: list[str] = []
    videos = _measured(
        {name: eval_set.video[name] for name in wanted}, cache, VIDEO, progress, unreadable
    )
    figures: list[Figure] = []
    for music_name, files in (
        ("generated", eval_set.generated),
        (eval_set.real_name, eval_set.real),
    ):
        shown = {name: files[name] for name in videos if name in files}
        if shown:
            music = _measured(shown, cache, MUSIC, progress, unreadable)
            figures += _figures(music_name, music, videos, eval_set, settings)
    return figures, sorted(set(unreadable))


def _measured(
    files: Mapping[str, Path],
    cache: ArrayCache,
    how: Mapping[str, object],
    progress: WithProgress,
    unreadable: list[str],
) -> dict[str, Curves]:
    measure = music_curves if how is MUSIC else video_curves
    curves = {}
    for name in progress(list(files), str(how["measure"])):
        try:
            curves[name] = cache.of(files[name], how, measure)
        except OsslError as error:
            if error.code not in UNUSABLE:
                raise
            unreadable.append(error.message)
    return curves


def _figures(
    music_name: str,
    music: Mapping[str, Curves],
    videos: Mapping[str, Curves],
    eval_set: EvalSet,
    settings: EvaluationSettings,
) -> Iterator[Figure]:
    names = list(music)
    films = eval_set.film_indices(names)
    for kind, (name, says) in AT_CUTS.items():
        timed = [_timed(music[k][kind], k, music, videos, eval_set) for k in music]
        says = says.format(settings.tolerance_s)
        yield _at_cuts(name, says, music_name, names, timed, films, settings)
    try:
        sync = following(
            [music[k]["loudness"] for k in music],
            [videos[k]["motion"] for k in music],
            settings.rng("follows" + music_name),
            settings.resamples,
            films=films,
        )
    except NotDefined as error:
        yield undefined("loudness_follows_motion", FOLLOWS, music_name, str(error), len(music))
        return
    yield Figure(
        "loudness_follows_motion", FOLLOWS, music_name, sync.excess, len(sync.clips), "clips",
        interval=sync.interval, chance=0.0,
        of_clips=by_clip([names[k] for k in sync.clips], sync.excesses),
        more=(
            ("correlation", sync.correlation),
            ("control", sync.control),
            ("lag_s", sync.lag_s),
            ("correlation_at_lag", sync.at_lag),
            ("n_left_out", sync.n_left_out),
        ),
    )  # fmt: skip


def _timed(
    events: NDArray[np.float64],
    name: str,
    music: Mapping[str, Curves],
    videos: Mapping[str, Curves],
    eval_set: EvalSet,
) -> Timed:
    """Limit events and cuts to the time that music and video both have."""
    from_table = eval_set.cuts.get(name)
    cuts = videos[name]["cuts"] if from_table is None else np.array(from_table, np.float64)
    duration_s = float(min(music[name]["duration"][0], videos[name]["duration"][0]))
    return Timed(np.sort(events[events < duration_s]), cuts[cuts < duration_s], duration_s)


def _at_cuts(
    name: str,
    says: str,
    music_name: str,
    names: list[str],
    timed: list[Timed],
    films: FilmIndices,
    settings: EvaluationSettings,
) -> Figure:
    try:
        aligned = alignment(
            timed, settings.rng(name + music_name), settings.resamples, settings.tolerance_s, films
        )
    except NotDefined as error:
        return undefined(name, says, music_name, str(error), 0, "cuts")
    return Figure(
        name, says, music_name, aligned.share, aligned.n_cuts, "cuts",
        interval=aligned.interval, chance=aligned.chance, better="higher",
        more=(("p", aligned.p), ("n_clips", len(aligned.clips))),
        of_clips=by_clip([names[k] for k in aligned.clips], aligned.hits, aligned.counts),
    )  # fmt: skip
