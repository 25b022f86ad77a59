"""Figures of generated audio: its distances from real music, Fréchet and kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ossl_train.evaluation.report import Figure, undefined
from ossl_train.evaluation.settings import EvaluationSettings, WithProgress
from ossl_train.metrics import NotDefined, frechet, intervals, kernel_distance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ossl_train.metrics.intervals import FilmIndices

    Values = NDArray[np.float64]

FAD = "Fréchet audio distance"
FAD_INF = "Fréchet audio distance, extrapolated to infinitely many clips"
KAD = "kernel audio distance (squared discrepancy of a Gaussian kernel, times 100)"
MOST_VECTORS = 4_000
"""Windows of each set that the kernel distance uses: its memory grows with their square."""
_DISTANCES = (("fad", FAD), ("fad_inf", FAD_INF))
# For bootstrap replicates the line is fitted to two sizes only, which is eight times as fast.
_FRACTIONS = (0.5, 1.0)


def distance_figures(
    generated: Sequence[Values],
    real: Sequence[Values],
    films: tuple[FilmIndices, FilmIndices],
    is_paired: bool,
    settings: EvaluationSettings,
    progress: WithProgress,
) -> list[Figure]:
    """Compute the Fréchet distance over all windows, and extrapolated to infinitely many clips.

    Args:
        generated: for each clip the vectors of its windows, shape (windows, d).
        real: likewise.
        films: the film of each clip of `generated` and of `real`.
        is_paired: whether both have the same clips in the same order.
        settings: seeds and resamples.
        progress: shows progress.
    """
    n = min(sum(map(len, generated)), sum(map(len, real)))
    value: float | None
    try:
        value = frechet.frechet_distance(frechet.joined(generated), frechet.joined(real))
    except NotDefined as error:
        return [
            undefined(name, says, "generated", str(error), n, "windows")
            for name, says in _DISTANCES
        ]
    try:
        far = frechet.extrapolated(generated, real, is_paired, settings.rng("fad_inf"))
        why = ""
    except NotDefined as error:
        far, why = None, str(error)
    plain, extrapolated = _replicates(
        generated, real, films, is_paired, far is not None, settings, progress
    )
    n_films = min(len(set(indices)) for indices in films)
    figures = [
        Figure(
            "fad", FAD, "generated", value, n, "windows",
            interval=intervals.around(value, plain, n_films), better="lower",
            replicates=tuple(plain), n_films=n_films,
        )
    ]  # fmt: skip
    if far is None:
        figures.append(undefined("fad_inf", FAD_INF, "generated", why, n, "windows"))
    else:
        interval = intervals.around(far.value, extrapolated, n_films)
        figures.append(
            Figure(
                "fad_inf", FAD_INF, "generated", far.value, n, "windows",
                interval=interval, better="lower", more=(("fit_error", far.fit_error),),
                replicates=tuple(extrapolated), n_films=n_films,
            )
        )  # fmt: skip
    return figures


def _replicates(
    generated: Sequence[Values],
    real: Sequence[Values],
    films: tuple[FilmIndices, FilmIndices],
    is_paired: bool,
    extrapolates: bool,
    settings: EvaluationSettings,
    progress: WithProgress,
) -> tuple[list[float], list[float]]:
    """Return the distances for resampled films, plain and extrapolated."""
    # Films and sub-samples are drawn apart from each other: the films of a replicate depend on
    # nothing but the seed, so that systems are compared on the same films.
    rng, films_rng = settings.rng("fad interval"), settings.rng("films")
    plain: list[float] = []
    far: list[float] = []
    if min(len(set(indices)) for indices in films) < 2:
        return plain, far
    for _ in progress(range(settings.distance_resamples), "intervals"):
        chosen = intervals.draw(films[0], films_rng)
        others = chosen if is_paired else intervals.draw(films[1], films_rng)
        left, right = [generated[k] for k in chosen], [real[k] for k in others]
        if extrapolates and min(len(left), len(right)) >= frechet.FEWEST:
            replicate = frechet.extrapolated(left, right, is_paired, rng, _FRACTIONS, 2)
            plain.append(replicate.distance)
            far.append(replicate.value)
        else:
            plain.append(frechet.frechet_distance(frechet.joined(left), frechet.joined(right)))
    return plain, far


def kernel_figure(
    generated: Sequence[Values],
    real: Sequence[Values],
    films: tuple[FilmIndices, FilmIndices],
    is_paired: bool,
    settings: EvaluationSettings,
) -> Figure:
    """Compute the kernel distance over windows; arguments as those of `distance_figures`."""
    rng = settings.rng("kad")
    ours, our_clips = _some_windows(generated, rng)
    theirs, their_clips = _some_windows(real, rng)
    n = min(len(ours), len(theirs))
    try:
        kernels = kernel_distance.kernels(ours, theirs)
    except NotDefined as error:
        return undefined("kad", KAD, "generated", str(error), n, "windows")
    films_rng = settings.rng("films")
    replicates = []
    n_films = min(len(set(indices)) for indices in films)
    for _ in range(settings.distance_resamples if n_films > 1 else 0):
        chosen = intervals.draw(films[0], films_rng)
        others = chosen if is_paired else intervals.draw(films[1], films_rng)
        left, right = (
            np.bincount(drawn, minlength=len(clips))[of_window].astype(np.float64)
            for drawn, clips, of_window in (
                (chosen, generated, our_clips), (others, real, their_clips)
            )
        )  # fmt: skip
        if min(left.sum(), right.sum()) > 1:
            replicates.append(kernels.distance(left, right))
    value = kernels.distance()
    return Figure(
        "kad", KAD, "generated", value, n, "windows",
        interval=intervals.around(value, replicates, n_films), better="lower",
        replicates=tuple(replicates), n_films=n_films,
    )  # fmt: skip


def _some_windows(
    clips: Sequence[Values], rng: np.random.Generator
) -> tuple[Values, NDArray[np.int64]]:
    """Return at most `MOST_VECTORS` windows, and the index of the clip of each."""
    vectors = frechet.joined(clips)
    of_window = np.repeat(np.arange(len(clips)), [len(clip) for clip in clips])
    if len(vectors) > MOST_VECTORS:
        chosen = np.sort(rng.permutation(len(vectors))[:MOST_VECTORS])
        vectors, of_window = vectors[chosen], of_window[chosen]
    return vectors, of_window
