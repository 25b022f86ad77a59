"""Figures of generated audio: neighbours, similarity, KL of tags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ossl_builder.engine.cache import ArrayCache
from ossl_builder.errors import OsslError
from ossl_train.evaluation.distance_figures import distance_figures, kernel_figure
from ossl_train.evaluation.eval_set import EvalSet
from ossl_train.evaluation.report import Figure, by_clip, undefined
from ossl_train.evaluation.settings import EvaluationSettings, WithProgress
from ossl_train.metrics import NotDefined, embeddings, intervals

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ossl_train.evaluation.clap import Clap
    from ossl_train.evaluation.passt import Passt
    from ossl_train.metrics.intervals import FilmIndices

    Values = NDArray[np.float64]

NEIGHBOURS = {
    "precision": "part of the generated music that is near real music",
    "recall": "part of the real music that is near generated music",
    "density": "real neighbourhoods that generated music lies in, over k",
    "coverage": "part of the real music that has generated music near it",
}


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


def neighbour_figures(
    names: tuple[Sequence[str], Sequence[str]],
    generated: Values,
    real: Values,
    films: tuple[FilmIndices, FilmIndices],
    settings: EvaluationSettings,
) -> list[Figure]:
    """Compute precision, recall, density and coverage over clips.

    Each clip has one vector: windows of one clip would be each other's nearest neighbours. The
    intervals are those of the means, for fixed neighbourhoods: a resample repeats clips, and the
    nearest neighbour of a clip would be its copy.

    Args:
        names: the clip ids of `generated` and of `real`.
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
        side = 0 if name in ("precision", "density") else 1
        interval = intervals.of_mean(values, settings.resamples, settings.rng(name), films[side])
        figures.append(
            Figure(
                name, says, "generated", float(values.mean()), len(values), "clips",
                interval=interval, better="higher", of_clips=by_clip(names[side], values),
            )
        )  # fmt: skip
    return figures


def similarity_figure(
    name: str,
    says: str,
    music_name: str,
    names: Sequence[str],
    left: Values,
    right: Values,
    films: FilmIndices,
    settings: EvaluationSettings,
) -> Figure:
    """Compute the mean cosine of pairs; chance is the mean of pairs from different films.

    Args:
        name, says: see `Figure`.
        music_name: `Figure.of`.
        names: the clip id of each pair.
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
        of_clips=by_clip(names, values),
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
    films = (eval_set.film_indices(ours), eval_set.film_indices(theirs))
    yield from distance_figures(our_windows, their_windows, films, is_paired, settings, progress)
    yield kernel_figure(our_windows, their_windows, films, is_paired, settings)
    yield from neighbour_figures(
        (ours, theirs), _means(our_windows), _means(their_windows), films, settings
    )
    pairs = eval_set.pairs
    if pairs:
        yield similarity_figure(
            "similarity", "cosine of generated and real music of the same clip", "generated",
            pairs, _means([generated[name] for name in pairs]),
            _means([real[name] for name in pairs]),
            eval_set.film_indices(pairs), settings,
        )  # fmt: skip
    for music_name, vectors in (("generated", generated), (eval_set.real_name, real)):
        prompted = sorted(vectors.keys() & eval_set.prompts.keys())
        if prompted:
            texts = clap.texts([eval_set.prompts[name] for name in prompted])
            yield similarity_figure(
                "text_similarity", "cosine of music and prompt", music_name, prompted,
                _means([vectors[name] for name in prompted]), texts,
                eval_set.film_indices(prompted), settings,
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
    names = list(probabilities)
    return kl_figure_from(names, generated, real, eval_set.film_indices(names), settings)


def kl_figure_from(
    names: Sequence[str],
    generated: Values,
    real: Values,
    films: FilmIndices,
    settings: EvaluationSettings,
) -> Figure:
    """Return the figure from clip ids, probabilities of pairs [pairs, classes], and films."""
    values = embeddings.divergences(real, generated)
    return Figure(
        "kl", SAYS, "generated", float(values.mean()), len(values), "clips",
        interval=intervals.of_mean(values, settings.resamples, settings.rng("kl"), films),
        chance=embeddings.divergence_by_chance(real, generated, films), better="lower",
        of_clips=by_clip(names, values),
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
