"""Compare several systems: figures of the clips that all have, and differences to one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder.engine.cache import ArrayCache
from ossl_builder.errors import OsslError
from ossl_train.evaluation.differences import Difference, difference_of
from ossl_train.evaluation.eval_set import EvalSet, some_of
from ossl_train.evaluation.evaluate import Evaluation, Models, evaluate, load_models
from ossl_train.evaluation.report import Figure
from ossl_train.evaluation.settings import EvaluationSettings, WithProgress, without_progress
from ossl_train.metrics.intervals import FEW_FILMS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ossl_train.evaluation.published import Published

    Arrays = dict[str, NDArray[np.float64]]

VERSION = 1
"""Version of the layout of `Comparison.plain`."""
MANY = 5
"""With more differences, some of equal systems leave out 0 by chance often enough to say so."""


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison.

    Attributes:
        systems: the evaluation of each system, in the order of the report.
        baseline: the system that the others are compared with.
        differences: of each figure and each other system.
        warnings: sentences that limit what the figures mean.
        left_out: sentences about files that were not compared.
        n_clips: clips that all systems have.
        n_films: films of these clips.
        published: figures of others, if they were given.
    """

    systems: Mapping[str, Evaluation]
    baseline: str
    differences: tuple[Difference, ...]
    warnings: tuple[str, ...]
    left_out: tuple[str, ...]
    n_clips: int
    n_films: int
    published: Published | None = None

    def difference(self, name: str, system: str) -> Difference:
        """Return the difference of a figure and a system; KeyError if there is none."""
        for difference in self.differences:
            if (difference.name, difference.system) == (name, system):
                return difference
        raise KeyError(name)

    def plain(self) -> dict[str, Any]:
        """Return plain values; equal input and seeds give equal values."""
        shared = dict(self.systems[self.baseline].facts)
        shared.pop("compared")
        return {
            "version": VERSION,
            **shared,
            "baseline": self.baseline,
            "n_clips": self.n_clips,
            "n_films": self.n_films,
            "systems": [
                {
                    "system": system,
                    "compared": evaluation.facts["compared"],
                    "figures": [figure.plain() for figure in evaluation.figures],
                }
                for system, evaluation in self.systems.items()
            ],
            "differences": [difference.plain() for difference in self.differences],
            "warnings": list(self.warnings),
            "left_out": list(self.left_out),
            **({} if self.published is None else {"published": self.published.plain()}),
        }


def compare(
    eval_sets: Mapping[str, EvalSet],
    baseline: str,
    settings: EvaluationSettings,
    cache: ArrayCache,
    progress: WithProgress = without_progress,
) -> Comparison:
    """Evaluate each system on the clips that all have, and compute the differences.

    Args:
        eval_sets: the files of each system, by its name; all with the same real music.
        baseline: one of the names.
        settings: models, seeds, resamples.
        cache: measurements of single files.
        progress: shows progress.

    Raises:
        OsslError: `no_common_clips`, `system_unknown`, and those of `evaluate`.
    """
    if baseline not in eval_sets:
        raise OsslError(
            "system_unknown",
            f"There is no system {baseline!r} to compare with.",
            f"Use one of {', '.join(eval_sets)}.",
        )
    models = load_models(settings)
    shared, left_out = in_common(eval_sets)
    shared, unreadable = _readable(shared, models, cache, progress)
    evaluations = {
        system: evaluate(shared[system], settings, cache, progress, models) for system in eval_sets
    }
    clips = shared[baseline]
    differences = tuple(
        difference_of(figure, other, system, clips, settings)
        for figure in evaluations[baseline].figures
        if figure.of == "generated"
        for system, evaluation in evaluations.items()
        if system != baseline
        and (other := _figure(evaluation, figure.name)) is not None
    )  # fmt: skip
    left_out += unreadable
    for evaluation in evaluations.values():
        left_out += evaluation.left_out
    return Comparison(
        systems=evaluations,
        baseline=baseline,
        differences=differences,
        warnings=(
            *_warnings(shared, baseline, differences, bool(models.clap)),
            *_by_system(evaluations),
        ),
        left_out=tuple(dict.fromkeys(left_out)),
        n_clips=len(clips.generated),
        n_films=clips.n_films,
    )


def in_common(eval_sets: Mapping[str, EvalSet]) -> tuple[dict[str, EvalSet], list[str]]:
    """Return the files of the clips that all systems have, and sentences on the others.

    Raises:
        OsslError: `no_common_clips`.
    """
    names = set.intersection(*(set(one.generated) for one in eval_sets.values()))
    if not names:
        raise OsslError(
            "no_common_clips",
            f"No clip has music of all systems: {', '.join(eval_sets)}.",
            "Generate the same clips with each system.",
        )
    left_out = [sentence for one in eval_sets.values() for sentence in one.left_out]
    for system, one in eval_sets.items():
        if extra := sorted(one.generated.keys() - names):
            left_out.append(f"{some_of(extra)} of {system}: not all other systems have them")
    return _restricted(eval_sets, names), list(dict.fromkeys(left_out))


def _restricted(eval_sets: Mapping[str, EvalSet], names: set[str]) -> dict[str, EvalSet]:
    # Music to compare with that is not the clips' own remains whole, the same for all systems.
    is_paired = all(one.is_paired for one in eval_sets.values())

    def chosen(files: Mapping[str, Path]) -> dict[str, Path]:
        return {name: path for name, path in files.items() if name in names}

    return {
        system: replace(
            one,
            generated=chosen(one.generated),
            real=chosen(one.real) if is_paired else one.real,
            video=chosen(one.video),
            left_out=(),
        )
        for system, one in eval_sets.items()
    }


def _readable(
    eval_sets: Mapping[str, EvalSet], models: Models, cache: ArrayCache, progress: WithProgress
) -> tuple[dict[str, EvalSet], list[str]]:
    """Leave out the clips whose music cannot be read, be it only that of one system.

    The measurements remain in the cache: the evaluations take them from there.
    """
    how, measure = _first_measure(models)
    unreadable: dict[str, str] = {}
    folders = {system: one.generated for system, one in eval_sets.items()}
    first = next(iter(eval_sets.values()))
    if first.is_paired:
        folders[first.real_name] = first.real
    for system, music in folders.items():
        for name in progress(list(music), f"music of {system}"):
            try:
                cache.of(music[name], how, measure)
            except OsslError as error:
                if error.code != "audio_unreadable":
                    raise
                unreadable[name] = f"{system}: {error.message}"
    names = set(first.generated) - unreadable.keys()
    if not names:
        raise OsslError(
            "nothing_to_compare",
            "Of every clip, some music cannot be read.",
            "Generate or copy the files again.",
        )
    return _restricted(eval_sets, names), list(unreadable.values())


def _first_measure(models: Models) -> tuple[Mapping[str, Any], Callable[[Path], Arrays]]:
    if models.clap is not None:
        return models.clap.how(), models.clap.audio
    if models.passt is not None:
        return models.passt.how(), models.passt.audio
    from ossl_train.evaluation.curves import MUSIC, music_curves

    return MUSIC, music_curves


def _figure(evaluation: Evaluation, name: str) -> Figure | None:
    try:
        return evaluation.figure(name)
    except KeyError:
        return None


def _warnings(
    eval_sets: Mapping[str, EvalSet],
    baseline: str,
    differences: tuple[Difference, ...],
    with_clap: bool,
) -> Iterator[str]:
    n_films = eval_sets[baseline].n_films
    if n_films < FEW_FILMS:
        count = f"{n_films} film{'s' * (n_films != 1)}"
        yield (
            f"Differences are over {count}: with fewer than {FEW_FILMS} their intervals are only "
            "a hint."
        )
    n_intervals = sum(difference.interval is not None for difference in differences)
    if n_intervals > MANY:
        yield (
            f"There are {n_intervals} differences with intervals: of equal systems, one in 20 "
            "leaves out 0 by chance."
        )
    texts = eval_sets[baseline].prompts
    for system, one in eval_sets.items():
        changed = [k for k in one.generated if one.prompts.get(k) != texts.get(k)]
        if with_clap and changed:
            yield (
                f"{some_of(sorted(changed))} have other prompts in {system} than in {baseline}: "
                "the difference of the text similarity is also one of the prompts."
            )


def _by_system(evaluations: Mapping[str, Evaluation]) -> Iterator[str]:
    """Yield the warnings of all systems; one that not all of them have names its system."""
    everywhere = set.intersection(*(set(one.warnings) for one in evaluations.values()))
    yield from (text for text in next(iter(evaluations.values())).warnings if text in everywhere)
    for system, evaluation in evaluations.items():
        yield from (f"{system}: {text}" for text in evaluation.warnings if text not in everywhere)
