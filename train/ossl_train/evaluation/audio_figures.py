"""Figures of generated audio: Fréchet distance, neighbours, similarity, KL of tags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ossl_builder.engine.cache import ArrayCache
from ossl_builder.errors import OsslError
from ossl_train.evaluation.eval_set import EvalSet
from ossl_train.evaluation.report import Figure, undefined
from ossl_train.evaluation.settings import EvaluationSettings, WithProgress
from ossl_train.metrics import NotDefined, embeddings, frechet, intervals, kernel_distance

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ossl_train.evaluation.clap import Clap
    from ossl_train.evaluation.passt import Passt
    from ossl_train.metrics.intervals import Units

    Values = NDArray[np.float64]

FAD = "Fréchet audio distance"
FAD_INF = "Fréchet audio distance, extrapolated to infinitely many clips"
KAD = "kernel audio distance (squared discrepancy of a Gaussian kernel, times 100)"
MOST_VECTORS = 4_000
"""Windows of each set that the kernel distance uses: its memory grows with their square."""
NEIGHBOURS = {
    "precision": "part of the generated music that is near real music",
    "recall": "part of the real music that is near generated music",
    "density": "real neighbourhoods that generated music lies in, over k",
    "coverage": "part of the real music that has generated music near it",
}
# For bootstrap replicates the line is fitted to two sizes only, which is eight times as fast.
_FRACTIONS = (0.5, 1.0)


def vectors_of(
    files: Mapping[str, Path], clap: Clap, cache: ArrayCache, progress: WithProgress, title: str
) -> tuple[dict[str, Values], list[str]]:
    """Return the vectors of each file's windows, by clip id, and sentences on unreadable files."""
    vectors, unreadable = {}, []
    for clip_id in progress(list(files), title):
        try:
            vectors[clip_id] = cache.of(files[clip_id], clap.how(), clap.audio)["vectors"]
        except OsslError as error:
            if error.code != "audio_unreadable":
                raise
            unreadable.append(error.message)
    return vectors, unreadable


def without_unreadable(
    eval_set: EvalSet, generated: Mapping[str, object], real: Mapping[str, object]
) -> EvalSet:
    """Return the set without unreadable files; if all files are pairs, without whole pairs."""
    ours, theirs = set(generated), set(real)
    if eval_set.is_paired:
        ours = theirs = ours & theirs
    return replace(
        eval_set,
        generated={name: path for name, path in eval_set.generated.items() if name in ours},
        real={name: path for name, path in eval_set.real.items() if name in theirs},
    )


def distance_figures(
    generated: Sequence[Values],
    real: Sequence[Values],
    films: tuple[Units, Units],
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
    n_films = min(len(set(units)) for units in films)
    figures = [
        Figure(
            "fad", FAD, "generated", value, n, "windows",
            interval=intervals.around(value, plain, n_films), better="lower",
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
            )
        )  # fmt: skip
    return figures


_DISTANCES = (("fad", FAD), ("fad_inf", FAD_INF))


def _replicates(
    generated: Sequence[Values],
    real: Sequence[Values],
    films: tuple[Units, Units],
    is_paired: bool,
    extrapolates: bool,
    settings: EvaluationSettings,
    progress: WithProgress,
) -> tuple[list[float], list[float]]:
    """Return the distances for resampled films, plain and extrapolated."""
    rng = settings.rng("fad interval")
    plain: list[float] = []
    far: list[float] = []
    if min(len(set(units)) for units in films) < 2:
        return plain, far
    for _ in progress(range(settings.distance_resamples), "intervals"):
        chosen = intervals.draw(films[0], rng)
        others = chosen if is_paired else intervals.draw(films[1], rng)
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
    films: tuple[Units, Units],
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
    replicates = []
    n_films = min(len(set(units)) for units in films)
    for _ in range(settings.distance_resamples if n_films > 1 else 0):
        chosen = intervals.draw(films[0], rng)
        others = chosen if is_paired else intervals.draw(films[1], rng)
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


def neighbour_figures(
    generated: Values, real: Values, films: tuple[Units, Units], settings: EvaluationSettings
) -> list[Figure]:
    """Compute precision, recall, density and coverage over clips.

    Each clip has one vector: windows of one clip would be each other's nearest neighbours. The
    intervals are those of the means, for fixed neighbourhoods: a resample repeats clips, and the
    nearest neighbour of a clip would be its copy.

    Args:
        generated: shape (clips, d).
        real: likewise.
        films: the film of each clip of `generated` and of `real`.
        settings: k, seeds and resamples.
    """
    try:
        contributions = embeddings.neighbourhoods(real, generated, settings.neighbours)
    except NotDefined as error:
        n = min(len(real), len(generated))
        return [
            undefined(name, says, "generated", str(error), n) for name, says in NEIGHBOURS.items()
        ]
    figures = []
    for name, says in NEIGHBOURS.items():
        values = getattr(contributions, name)
        # Precision and density have a value for each generated vector, the others for each real.
        units = films[0] if name in ("precision", "density") else films[1]
        interval = intervals.of_mean(values, settings.resamples, settings.rng(name), units)
        figures.append(
            Figure(
                name, says, "generated", float(values.mean()), len(values), "clips",
                interval=interval, better="higher",
            )
        )  # fmt: skip
    return figures


def similarity_figure(
    name: str,
    says: str,
    music_name: str,
    left: Values,
    right: Values,
    films: Units,
    settings: EvaluationSettings,
) -> Figure:
    """Compute the mean cosine of pairs; chance is the mean of pairs from different films.

    Args:
        name, says: see `Figure`.
        music_name: `Figure.of`.
        left: shape (pairs, d).
        right: likewise, in the same order.
        films: the film of each pair.
        settings: seeds and resamples.
    """
    if not len(left):
        return undefined(name, says, music_name, "There are no pairs.")
    values = embeddings.cosines(left, right)
    return Figure(
        name, says, music_name, float(values.mean()), len(values), "clips",
        interval=intervals.of_mean(
            values, settings.resamples, settings.rng(name + music_name), films
        ),
        chance=embeddings.cosine_by_chance(left, right, films), better="higher",
    )  # fmt: skip


def clap_figures(
    eval_set: EvalSet,
    generated: Mapping[str, Values],
    real: Mapping[str, Values],
    clap: Clap,
    settings: EvaluationSettings,
    progress: WithProgress,
) -> Iterator[Figure]:
    """Yield all figures from CLAP's vectors, which are by clip id."""
    ours, theirs = list(eval_set.generated), list(eval_set.real)
    if not ours or not theirs:
        raise OsslError(
            "nothing_to_compare",
            "All files of one of the two folders are unreadable.",
            "Generate them again.",
        )
    our_windows = [generated[name] for name in ours]
    their_windows = [real[name] for name in theirs]
    is_paired = eval_set.is_paired
    films = (eval_set.units(ours), eval_set.units(theirs))
    yield from distance_figures(our_windows, their_windows, films, is_paired, settings, progress)
    yield kernel_figure(our_windows, their_windows, films, is_paired, settings)
    yield from neighbour_figures(_means(our_windows), _means(their_windows), films, settings)
    pairs = eval_set.pairs
    if pairs:
        yield similarity_figure(
            "similarity", "cosine of generated and real music of the same clip", "generated",
            _means([generated[name] for name in pairs]), _means([real[name] for name in pairs]),
            eval_set.units(pairs), settings,
        )  # fmt: skip
    for music_name, vectors in (("generated", generated), (eval_set.real_name, real)):
        prompted = sorted(vectors.keys() & eval_set.prompts.keys())
        if prompted:
            texts = clap.texts([eval_set.prompts[name] for name in prompted])
            yield similarity_figure(
                "text_similarity", "cosine of music and prompt", music_name,
                _means([vectors[name] for name in prompted]), texts,
                eval_set.units(prompted), settings,
            )  # fmt: skip


def _means(windows: Sequence[Values]) -> Values:
    """Return one unit vector for each clip: the direction of its windows' mean."""
    means = np.stack([vectors.mean(axis=0) for vectors in windows])
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    return np.asarray(means / np.where(lengths > 0, lengths, 1.0))


SAYS = "KL divergence of PaSST's classes, real from generated music of the same clip, in nats"


def kl_figure(
    eval_set: EvalSet,
    passt: Passt,
    cache: ArrayCache,
    settings: EvaluationSettings,
    progress: WithProgress,
) -> Figure:
    """Compute the mean divergence of pairs whose files can be read."""
    import numpy as np

    probabilities = {
        name: (ours, theirs)
        for name in progress(eval_set.pairs, "tags")
        if (ours := _probabilities(eval_set.generated, name, passt, cache)) is not None
        and (theirs := _probabilities(eval_set.real, name, passt, cache)) is not None
    }
    if not probabilities:
        return undefined("kl", SAYS, "generated", "There are no pairs.")
    generated = np.concatenate([ours for ours, _ in probabilities.values()])
    real = np.concatenate([theirs for _, theirs in probabilities.values()])
    return kl_figure_from(generated, real, eval_set.units(list(probabilities)), settings)


def kl_figure_from(
    generated: Values, real: Values, films: Units, settings: EvaluationSettings
) -> Figure:
    """Return the figure from probabilities of pairs, shape (pairs, classes), and their films."""
    values = embeddings.divergences(real, generated)
    return Figure(
        "kl", SAYS, "generated", float(values.mean()), len(values), "clips",
        interval=intervals.of_mean(values, settings.resamples, settings.rng("kl"), films),
        chance=embeddings.divergence_by_chance(real, generated, films), better="lower",
    )  # fmt: skip


def _probabilities(
    files: Mapping[str, Path], name: str, passt: Passt, cache: ArrayCache
) -> Values | None:
    try:
        return cache.of(files[name], passt.how(), passt.audio)["probabilities"]
    except OsslError as error:
        if error.code != "audio_unreadable":
            raise
        return None
