"""The results of a listening test: means, differences, agreement, and the report files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any
from zlib import crc32

import numpy as np

from ossl_builder.annotations.agreement import Agreement, agreement
from ossl_builder.annotations.label_schema import LabelSchema
from ossl_builder.annotations.records import Annotation
from ossl_builder.annotations.settings import LabelsSettings
from ossl_train.listening_test.design import ADAPTER, BASE, CODEC, CONTROL, FILM, TestKey
from ossl_train.listening_test.intervals import LEVEL, Estimate, Scores, estimate
from ossl_train.metrics.intervals import FEW_FILMS, FilmIndices

ASKED_FIRST = (ADAPTER, BASE, CONTROL, CODEC, FILM)
"""Order of the systems in a difference: an earlier system minus a later one."""
FEW_CLIPS, FEW_RATERS = 12, 3
LOW_ALPHA = 0.4
AGREEMENT_RESAMPLES = 1000


@dataclass(frozen=True)
class Mean:
    """The mean rating of one system on one question, 1 to 5."""

    question: str
    system: str
    estimate: Estimate


@dataclass(frozen=True)
class Difference:
    """The mean difference of two systems' ratings, by the same raters for the same clips.

    Attributes:
        found: whether the interval excludes 0 after correction for the number of differences in
            the test (Bonferroni).
    """

    question: str
    system: str
    other: str
    estimate: Estimate
    found: bool


@dataclass(frozen=True)
class Rater:
    """The number of stimuli that one rater rated and skipped."""

    rater: str
    rated: int
    skipped: int
    of: int


@dataclass(frozen=True)
class Results:
    """All results of a test; `plain` returns them for scripts."""

    means: tuple[Mean, ...]
    differences: tuple[Difference, ...]
    agreement: tuple[Agreement, ...]
    raters: tuple[Rater, ...]
    warnings: tuple[str, ...]
    facts: Mapping[str, Any]

    def plain(self) -> dict[str, Any]:
        """Return plain values; equal ratings and seeds give equal values."""
        return {
            "version": 1,
            **self.facts,
            "means": [
                {"question": mean.question, "system": mean.system, **_plain(mean.estimate)}
                for mean in self.means
            ],
            "differences": [
                {
                    "question": difference.question,
                    "system": difference.system,
                    "other": difference.other,
                    "found": difference.found,
                    **_plain(difference.estimate),
                }
                for difference in self.differences
            ],
            "agreement": [
                {key: _rounded(value) for key, value in asdict(measure).items() if key != "film_id"}
                for measure in self.agreement
            ],
            "raters": [asdict(rater) for rater in self.raters],
            "warnings": list(self.warnings),
        }


def compute_results(
    key: TestKey,
    annotations: Sequence[Annotation],
    taxonomy: LabelSchema,
    resamples: int = 10_000,
    seed: int = 0,
) -> Results:
    """Compute the results from the raters' answers.

    Args:
        key: the key of the test.
        annotations: the answers, of any state.
        taxonomy: the questions.
        resamples: bootstrap resamples for the intervals.
        seed: seed of the resamples.
    """
    stimuli = {entry.clip_id: entry for entry in key.stimuli}
    counted = [
        annotation for annotation in annotations
        if annotation.state == "answered"
        and annotation.schema == taxonomy.version
        and annotation.clip_id in stimuli
    ]  # fmt: skip
    systems = key.systems
    questions = [question.name for question in taxonomy.questions if question.kind == "scale"]
    pairs = list(combinations(sorted(systems, key=_place), 2))
    # Bonferroni: the error of 5 % is divided by the number of differences.
    outer = 1 - (1 - LEVEL) / max(1, len(pairs) * len(questions))
    films = _films(key)
    means, differences = [], []
    for question in questions:
        scores = _scores(key, counted, question)
        for system in systems:
            estimated = estimate(
                scores[system], resamples, _rng(seed, question, system), films=films
            )
            if estimated is not None:
                means.append(Mean(question, system, estimated))
        for first, second in pairs:
            between = scores[first] - scores[second]
            estimated = estimate(
                between, resamples, _rng(seed, question, first, second), outer, films
            )
            if estimated is not None:
                is_found = estimated.outer is not None and not (
                    estimated.outer[0] <= 0 <= estimated.outer[1]
                )
                differences.append(Difference(question, first, second, estimated, is_found))
    agreed = tuple(
        agreement(
            counted,
            taxonomy,
            LabelsSettings(seed=seed, resamples=min(resamples, AGREEMENT_RESAMPLES)),
        )
    )
    raters = tuple(_raters(key, annotations, taxonomy))
    facts = {
        "n_clips": len({stimuli[annotation.clip_id].name for annotation in counted}),
        "n_films": len({stimuli[annotation.clip_id].film_id for annotation in counted}),
        "n_raters": len({annotation.annotator for annotation in counted}),
        "n_ratings": len(counted),
        "n_stimuli": len(stimuli),
        "systems": list(systems),
        "questions": {question.name: question.ask for question in taxonomy.questions},
        "resamples": resamples,
        "seed": seed,
        "comparisons": len(differences),
        "test": dict(key.made_from),
    }
    return Results(
        tuple(means), tuple(differences), agreed, raters,
        tuple(_warnings(facts, raters, agreed)), facts,
    )  # fmt: skip


def _scores(key: TestKey, counted: Sequence[Annotation], question: str) -> dict[str, Scores]:
    """Return the scores [clips, raters] of each system; NaN where there is none."""
    stimuli = {entry.clip_id: entry for entry in key.stimuli}
    names = {name: at for at, name in enumerate(sorted({entry.name for entry in key.stimuli}))}
    raters = {
        name: at for at, name in enumerate(sorted({annotation.annotator for annotation in counted}))
    }
    scores: dict[str, Scores] = {
        system: np.full((len(names), len(raters)), np.nan) for system in key.systems
    }
    for annotation in counted:
        score = annotation.answers.get(question)
        if isinstance(score, int):
            stimulus = stimuli[annotation.clip_id]
            scores[stimulus.system][names[stimulus.name], raters[annotation.annotator]] = score
    return scores


def _films(key: TestKey) -> FilmIndices:
    """Return the index of the film of each clip, in the order of `_scores`."""
    film_of = {entry.name: entry.film_id for entry in key.stimuli}
    indices = {film: index for index, film in enumerate(sorted(set(film_of.values())))}
    return np.array([indices[film_of[name]] for name in sorted(film_of)], np.int64)


def _raters(
    key: TestKey, annotations: Sequence[Annotation], taxonomy: LabelSchema
) -> Iterator[Rater]:
    ids = {entry.clip_id for entry in key.stimuli}
    of_test = [
        annotation
        for annotation in annotations
        if annotation.clip_id in ids and annotation.schema == taxonomy.version
    ]
    for rater in sorted({annotation.annotator for annotation in of_test}):
        states = [annotation.state for annotation in of_test if annotation.annotator == rater]
        yield Rater(rater, states.count("answered"), states.count("skipped"), len(ids))


def _warnings(
    facts: Mapping[str, Any], raters: Sequence[Rater], agreed: Sequence[Agreement]
) -> Iterator[str]:
    n_clips, n_raters = facts["n_clips"], facts["n_raters"]
    if not facts["n_ratings"]:
        yield "there are no ratings yet."
        return
    if n_clips < FEW_CLIPS:
        yield f"{n_clips} clips are few: below {FEW_CLIPS} only large differences are found."
    n_films = facts["n_films"]
    if n_films < FEW_FILMS:
        of = "film" if n_films == 1 else "films"
        yield (
            f"the clips are of {n_films} {of}: with fewer than {FEW_FILMS}, intervals over films "
            "are only a hint."
        )
    if n_raters == 1:
        yield "one rater: intervals do not cover the opinions of other people."
    elif n_raters <= FEW_RATERS:
        yield (
            f"{n_raters} raters are few: if their preferences differ, intervals are "
            "too narrow (see intervals.py)."
        )
    for rater in raters:
        if rater.rated + rater.skipped < rater.of:
            yield f"{rater.rater} has not finished: {rater.rated} of {rater.of} rated."
        if rater.skipped:
            yield f"{rater.rater} has skipped {rater.skipped} of {rater.of}."
    for measure in agreed:
        if measure.alpha is None:
            yield f"agreement on {measure.question} is not defined: {measure.why}."
        elif measure.alpha < LOW_ALPHA:
            yield f"raters hardly agree on {measure.question} (alpha {measure.alpha:.2f})."


def _plain(estimated: Estimate) -> dict[str, Any]:
    return {
        "value": _rounded(estimated.value),
        "low": _rounded(estimated.low),
        "high": _rounded(estimated.high),
        "n": estimated.n,
        "n_clips": estimated.n_clips,
        "n_films": estimated.n_films,
        "n_raters": estimated.n_raters,
    }


def _rounded(value: Any) -> Any:
    return round(value, 4) + 0.0 if isinstance(value, float) else value


def _place(system: str) -> tuple[int, str]:
    position = ASKED_FIRST.index(system) if system in ASKED_FIRST else len(ASKED_FIRST)
    return position, system


def _rng(seed: int, *purpose: str) -> np.random.Generator:
    return np.random.default_rng([seed, crc32("/".join(purpose).encode())])
