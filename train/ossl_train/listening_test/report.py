"""The report files of a listening test: JSON for scripts, Markdown for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ossl_builder import files
from ossl_train.listening_test.intervals import Estimate
from ossl_train.listening_test.results import Results

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
            (mean.question, mean.system, f"{mean.estimate.value:.2f}", _interval(mean.estimate),
             mean.estimate.n, mean.estimate.n_clips, mean.estimate.n_raters)
            for mean in results.means
        ],
    )  # fmt: skip
    yield (
        "Differences, by the same raters for the same clips",
        DIFFERENCES_HEADER,
        [
            (difference.question, f"{difference.system} - {difference.other}",
             f"{difference.estimate.value:+.2f}", _interval(difference.estimate, "+.2f"),
             "yes" if difference.found else "no", difference.estimate.n)
            for difference in results.differences
        ],
    )  # fmt: skip
    yield (
        "Agreement (Krippendorff's alpha, interval)",
        AGREEMENT_HEADER,
        [
            (measure.question, "not defined" if measure.alpha is None else f"{measure.alpha:.2f}",
             "" if measure.low is None else f"{measure.low:.2f} to {measure.high:.2f}",
             measure.n_clips, measure.n_annotators)
            for measure in results.agreement
        ],
    )  # fmt: skip
    yield (
        "Raters",
        RATERS_HEADER,
        [(rater.rater, rater.rated, rater.skipped, rater.of) for rater in results.raters],
    )


def explained(results: Results) -> list[str]:
    """Return the sentences that explain the tables."""
    facts = results.facts
    return [
        f"{facts['n_ratings']} ratings of {facts['n_stimuli']} stimuli ({facts['n_clips']} clips "
        f"of {facts['n_films']} films) by {facts['n_raters']} raters.",
        "Intervals: films and raters are both resampled, "
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


def _interval(estimated: Estimate, form: str = ".2f") -> str:
    low, high = estimated.low, estimated.high
    return "" if low is None or high is None else f"{low:{form}} to {high:{form}}"
