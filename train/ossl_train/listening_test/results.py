"""The results of a listening test: means, differences, agreement, and the report files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from ossl_builder import files
from ossl_builder.annotations.agreement import Agreement, agreement
from ossl_builder.annotations.label_schema import LabelSchema
from ossl_builder.annotations.records import Annotation
from ossl_builder.annotations.settings import LabelsSettings
from ossl_train.listening_test.design import ADAPTER, BASE, CONTROL, FILM, TestKey
from ossl_train.listening_test.intervals import LEVEL, Estimate, Scores, estimate

ASKED_FIRST = (ADAPTER, BASE, CONTROL, FILM)
"""Differences are those of an earlier less a later one."""
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
    """All results of a test; `plain` for scripts."""

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
                {"question": one.question, "system": one.system, **_plain(one.estimate)}
                for one in self.means
            ],
            "differences": [
                {
                    "question": one.question,
                    "system": one.system,
                    "other": one.other,
                    "found": one.found,
                    **_plain(one.estimate),
                }
                for one in self.differences
            ],
            "agreement": [
                {key: _rounded(value) for key, value in asdict(one).items() if key != "film_id"}
                for one in self.agreement
            ],
            "raters": [asdict(one) for one in self.raters],
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
    stimuli = {one.clip_id: one for one in key.stimuli}
    counted = [
        one for one in annotations
        if one.state == "answered" and one.schema == taxonomy.version and one.clip_id in stimuli
    ]  # fmt: skip
    systems = key.systems
    questions = [question.name for question in taxonomy.questions if question.kind == "scale"]
    pairs = list(combinations(sorted(systems, key=_place), 2))
    # Bonferroni: the error of 5 % is divided by the number of differences.
    outer = 1 - (1 - LEVEL) / max(1, len(pairs) * len(questions))
    means, differences = [], []
    for question in questions:
        scores = _scores(key, counted, question)
        for system in systems:
            estimated = estimate(scores[system], resamples, _rng(seed, question, system))
            if estimated is not None:
                means.append(Mean(question, system, estimated))
        for one, other in pairs:
            between = scores[one] - scores[other]
            estimated = estimate(between, resamples, _rng(seed, question, one, other), outer)
            if estimated is not None:
                is_found = estimated.outer is not None and not (
                    estimated.outer[0] <= 0 <= estimated.outer[1]
                )
                differences.append(Difference(question, one, other, estimated, is_found))
    agreed = tuple(
        agreement(
            counted,
            taxonomy,
            LabelsSettings(seed=seed, resamples=min(resamples, AGREEMENT_RESAMPLES)),
        )
    )
    raters = tuple(_raters(key, annotations, taxonomy))
    facts = {
        "n_clips": len({stimuli[one.clip_id].name for one in counted}),
        "n_raters": len({one.annotator for one in counted}),
        "n_ratings": len(counted),
        "n_stimuli": len(stimuli),
        "systems": list(systems),
        "questions": {one.name: one.ask for one in taxonomy.questions},
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
    stimuli = {one.clip_id: one for one in key.stimuli}
    names = {name: at for at, name in enumerate(sorted({one.name for one in key.stimuli}))}
    raters = {name: at for at, name in enumerate(sorted({one.annotator for one in counted}))}
    scores: dict[str, Scores] = {
        system: np.full((len(names), len(raters)), np.nan) for system in key.systems
    }
    for one in counted:
        score = one.answers.get(question)
        if isinstance(score, int):
            stimulus = stimuli[one.clip_id]
            scores[stimulus.system][names[stimulus.name], raters[one.annotator]] = score
    return scores


def _raters(
    key: TestKey, annotations: Sequence[Annotation], taxonomy: LabelSchema
) -> Iterator[Rater]:
    ids = {one.clip_id for one in key.stimuli}
    of_test = [one for one in annotations if one.clip_id in ids and one.schema == taxonomy.version]
    for rater in sorted({one.annotator for one in of_test}):
        states = [one.state for one in of_test if one.annotator == rater]
        yield Rater(rater, states.count("answered"), states.count("skipped"), len(ids))


def _warnings(
    facts: Mapping[str, Any], raters: Sequence[Rater], agreed: Sequence[Agreement]
) -> Iterator[str]:
    n_clips, n_raters = facts["n_clips"], facts["n_raters"]
    if not facts["n_ratings"]:
        yield "there are no ratings yet."
        return
    if n_clips < FEW_CLIPS:
        yield (
            f"{n_clips} clips are few: below {FEW_CLIPS} only large differences are found, "
            "and intervals are rather too narrow."
        )
    if n_raters == 1:
        yield "one rater: intervals do not cover the opinions of other people."
    elif n_raters <= FEW_RATERS:
        yield (
            f"{n_raters} raters are few: if their preferences differ, intervals are "
            "too narrow (see intervals.py)."
        )
    for one in raters:
        if one.rated + one.skipped < one.of:
            yield f"{one.rater} has not finished: {one.rated} of {one.of} rated."
        if one.skipped:
            yield f"{one.rater} has skipped {one.skipped} of {one.of}."
    for measure in agreed:
        if measure.alpha is None:
            yield f"agreement on {measure.question} is not defined: {measure.why}."
        elif measure.alpha < LOW_ALPHA:
            yield f"raters hardly agree on {measure.question} (alpha {measure.alpha:.2f})."


def _plain(one: Estimate) -> dict[str, Any]:
    return {
        "value": _rounded(one.value),
        "low": _rounded(one.low),
        "high": _rounded(one.high),
        "n": one.n,
        "n_clips": one.n_clips,
        "n_raters": one.n_raters,
    }


def _rounded(value: Any) -> Any:
    return round(value, 4) + 0.0 if isinstance(value, float) else value


def _place(system: str) -> tuple[int, str]:
    known = ASKED_FIRST.index(system) if system in ASKED_FIRST else len(ASKED_FIRST)
    return known, system


def _rng(seed: int, *what: str) -> np.random.Generator:
    return np.random.default_rng([seed, crc32("/".join(what).encode())])


JSON, MARKDOWN = "results.json", "results.md"
MEANS_HEADER = ("question", "system", "mean", "95 % interval", "ratings", "clips", "raters")
DIFFERENCES_HEADER = ("question", "difference", "value", "95 % interval", "found", "pairs")
AGREEMENT_HEADER = ("question", "alpha", "95 % interval", "stimuli", "raters")
RATERS_HEADER = ("rater", "rated", "skipped", "of")


def write_report(folder: Path, results: Results) -> tuple[Path, Path]:
    """Write JSON and Markdown; equal results give equal bytes."""
    text = json.dumps(results.plain(), indent=1, ensure_ascii=False, allow_nan=False)
    files.write_bytes(folder / JSON, text.encode() + b"\n")
    files.write_bytes(folder / MARKDOWN, ("\n".join(_report_lines(results)) + "\n").encode())
    return folder / JSON, folder / MARKDOWN


def tables(results: Results) -> Iterator[tuple[str, Sequence[str], list[tuple[Any, ...]]]]:
    """Yield title, header and rows of each table."""
    yield (
        "Mean ratings, 1 to 5",
        MEANS_HEADER,
        [
            (one.question, one.system, f"{one.estimate.value:.2f}", _interval(one.estimate),
             one.estimate.n, one.estimate.n_clips, one.estimate.n_raters)
            for one in results.means
        ],
    )  # fmt: skip
    yield (
        "Differences, by the same raters for the same clips",
        DIFFERENCES_HEADER,
        [
            (one.question, f"{one.system} - {one.other}", f"{one.estimate.value:+.2f}",
             _interval(one.estimate, "+.2f"), "yes" if one.found else "no", one.estimate.n)
            for one in results.differences
        ],
    )  # fmt: skip
    yield (
        "Agreement (Krippendorff's alpha, interval)",
        AGREEMENT_HEADER,
        [
            (one.question, "not defined" if one.alpha is None else f"{one.alpha:.2f}",
             "" if one.low is None else f"{one.low:.2f} to {one.high:.2f}",
             one.n_clips, one.n_annotators)
            for one in results.agreement
        ],
    )  # fmt: skip
    yield "Raters", RATERS_HEADER, [(o.rater, o.rated, o.skipped, o.of) for o in results.raters]


def explained(results: Results) -> list[str]:
    """Return the sentences that explain the tables."""
    facts = results.facts
    return [
        f"{facts['n_ratings']} ratings of {facts['n_stimuli']} stimuli ({facts['n_clips']} clips) "
        f"by {facts['n_raters']} raters.",
        "Intervals: clips and raters are both resampled, "
        f"{facts['resamples']} times, seed {facts['seed']}.",
        f"Found: the interval excludes 0 after correction for {facts['comparisons']} differences "
        "(Bonferroni). A difference that is not found may still exist.",
    ]


def _report_lines(results: Results) -> Iterator[str]:
    yield "# Listening test"
    for title, header, rows in tables(results):
        if not rows:
            continue
        yield from ("", f"## {title}", "", f"| {' | '.join(header)} |", f"|{'---|' * len(header)}")
        for row in rows:
            yield f"| {' | '.join(map(str, row))} |"
    if results.warnings:
        yield from ("", "## Warnings", "")
        yield from (f"- {sentence[0].upper()}{sentence[1:]}" for sentence in results.warnings)
    yield from ("", "## How", "")
    yield from (f"- {sentence}" for sentence in explained(results))
    yield from (f"- {name}: {ask}" for name, ask in results.facts["questions"].items())


def _interval(one: Estimate, form: str = ".2f") -> str:
    return "" if one.low is None or one.high is None else f"{one.low:{form}} to {one.high:{form}}"
