"""The results as files: JSON for scripts, Markdown for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ossl_builder import files
from ossl_train.listening_test.intervals import Estimate
from ossl_train.listening_test.results import Results

JSON, MARKDOWN = "results.json", "results.md"
MEANS = ("question", "system", "mean", "95 % interval", "ratings", "clips", "raters")
DIFFERENCES = ("question", "difference", "value", "95 % interval", "found", "pairs")
AGREEMENT = ("question", "alpha", "95 % interval", "stimuli", "raters")
RATERS = ("rater", "rated", "skipped", "of")


def write_report(folder: Path, found: Results) -> tuple[Path, Path]:
    """Write both; equal results give equal bytes."""
    text = json.dumps(found.plain(), indent=1, ensure_ascii=False, allow_nan=False)
    files.write_bytes(folder / JSON, text.encode() + b"\n")
    files.write_bytes(folder / MARKDOWN, ("\n".join(_lines(found)) + "\n").encode())
    return folder / JSON, folder / MARKDOWN


def tables(found: Results) -> Iterator[tuple[str, Sequence[str], list[tuple[Any, ...]]]]:
    """Title, header and rows of each table."""
    yield (
        "How each was rated, 1 to 5",
        MEANS,
        [
            (one.question, one.system, f"{one.estimate.value:.2f}", _interval(one.estimate),
             one.estimate.n, one.estimate.n_clips, one.estimate.n_raters)
            for one in found.means
        ],
    )  # fmt: skip
    yield (
        "Differences, by the same raters for the same clips",
        DIFFERENCES,
        [
            (one.question, f"{one.system} - {one.other}", f"{one.estimate.value:+.2f}",
             _interval(one.estimate, "+.2f"), "yes" if one.found else "no", one.estimate.n)
            for one in found.differences
        ],
    )  # fmt: skip
    yield (
        "Agreement (Krippendorff's alpha, interval)",
        AGREEMENT,
        [
            (one.question, "not defined" if one.alpha is None else f"{one.alpha:.2f}",
             "" if one.low is None else f"{one.low:.2f} to {one.high:.2f}",
             one.n_clips, one.n_annotators)
            for one in found.agreement
        ],
    )  # fmt: skip
    yield "Raters", RATERS, [(o.rater, o.rated, o.skipped, o.of) for o in found.raters]


def explained(found: Results) -> list[str]:
    """What a reader of the tables must know."""
    facts = found.facts
    return [
        f"{facts['n_ratings']} ratings of {facts['n_stimuli']} stimuli ({facts['n_clips']} clips) "
        f"by {facts['n_raters']} raters.",
        "Intervals: clips and raters resampled both, "
        f"{facts['resamples']} times, seed {facts['seed']}.",
        f"Found: the interval excludes 0 also when all {facts['comparisons']} differences are "
        "looked at together (Bonferroni). What is not found may be there nevertheless.",
    ]


def _lines(found: Results) -> Iterator[str]:
    yield "# Listening test"
    for title, header, rows in tables(found):
        if not rows:
            continue
        yield from ("", f"## {title}", "", f"| {' | '.join(header)} |", f"|{'---|' * len(header)}")
        for row in rows:
            yield f"| {' | '.join(map(str, row))} |"
    if found.warnings:
        yield from ("", "## Warnings", "")
        yield from (f"- {sentence[0].upper()}{sentence[1:]}" for sentence in found.warnings)
    yield from ("", "## How", "")
    yield from (f"- {sentence}" for sentence in explained(found))
    yield from (f"- {name}: {ask}" for name, ask in found.facts["questions"].items())


def _interval(one: Estimate, form: str = ".2f") -> str:
    return "" if one.low is None or one.high is None else f"{one.low:{form}} to {one.high:{form}}"
