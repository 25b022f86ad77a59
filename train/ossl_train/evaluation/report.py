"""The figures of an evaluation, and the report files: JSON for scripts, Markdown for people."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder import files
from ossl_builder.templates import markdown_table
from ossl_train.metrics.intervals import Interval

if TYPE_CHECKING:
    from ossl_train.evaluation.evaluate import Evaluation
    from ossl_train.evaluation.published import Published


DIGITS = 6  # significant: the last digits of sums depend on the number of threads


@dataclass(frozen=True)
class Figure:
    """A row of the report.

    Attributes:
        name: its name, which scripts can rely on.
        says: its description.
        of: the music that it describes: `generated`, `own music` or `reference`.
        value: the result; None: not defined, for the reason in `why`.
        interval: 95 % confidence interval over films; None: not defined.
        n: number of clips, windows or cuts.
        unit: unit of `n`: `clips`, `windows` or `cuts`.
        chance: the value that unrelated music reaches; None: not defined.
        better: `lower`, `higher` or empty.
        why: why it is not defined.
        more: further values, by name.
        of_clips: numerator and denominator of each clip, by clip id, where the value is the sum of
            the numerators over that of the denominators. Empty for distances between sets.
        replicates: the value for resampled films. For equal clips of equal films, a settings'
            replicates are of the same draws: those of two systems are pairs.
        n_films: number of films that are drawn for `replicates`.
    """

    name: str
    says: str
    of: str
    value: float | None
    n: int
    unit: str
    interval: Interval | None = None
    chance: float | None = None
    better: str = ""
    why: str = ""
    more: tuple[tuple[str, float], ...] = ()
    of_clips: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    replicates: tuple[float, ...] = ()
    n_films: int = 0

    def plain(self) -> dict[str, Any]:
        """Return values for JSON: finite numbers of `DIGITS` significant digits, or null."""
        low, high = self.interval or (None, None)
        return {
            "name": self.name,
            "says": self.says,
            "of": self.of,
            "value": rounded(self.value),
            "low": rounded(low),
            "high": rounded(high),
            "n": self.n,
            "unit": self.unit,
            "chance": rounded(self.chance),
            "better": self.better,
            "why": self.why,
            "more": {name: rounded(value) for name, value in self.more},
        }


def undefined(
    name: str, says: str, music_name: str, why: str, n: int = 0, unit: str = "clips"
) -> Figure:
    """Return a figure that is not defined for these data."""
    return Figure(name, says, music_name, None, n, unit, why=why)


def by_clip(
    names: Iterable[str], numerators: Iterable[float], denominators: Iterable[float] | None = None
) -> dict[str, tuple[float, float]]:
    """Return `Figure.of_clips`; without denominators each is 1, so that the figure is a mean."""
    if denominators is None:
        return {name: (float(value), 1.0) for name, value in zip(names, numerators, strict=True)}
    return {
        name: (float(above), float(below))
        for name, above, below in zip(names, numerators, denominators, strict=True)
    }


def rounded(value: float | None) -> float | None:
    """Round to `DIGITS` significant digits; None stays None."""
    if value is None:
        return None
    if not math.isfinite(value):
        raise ValueError(f"a figure is {value}")
    return float(f"{value:.{DIGITS}g}") + 0.0  # no -0.0


JSON = "evaluation.json"
MARKDOWN = "evaluation.md"
HEADER = ("measure", "of", "value", "95 % interval", "chance", "n", "better")


def write_report(folder: Path, evaluation: Evaluation) -> tuple[Path, Path]:
    """Write both files; equal evaluations give equal bytes."""
    text = json.dumps(evaluation.plain(), indent=1, ensure_ascii=False, allow_nan=False)
    files.write_bytes(folder / JSON, text.encode() + b"\n")
    files.write_bytes(folder / MARKDOWN, markdown(evaluation).encode())
    return folder / JSON, folder / MARKDOWN


def cells(figure: Figure) -> tuple[str, ...]:
    """Return a figure as cells under `HEADER`."""
    interval = figure.interval
    return (
        figure.name,
        figure.of,
        "not defined" if figure.value is None else f"{figure.value:.4g}",
        "" if interval is None else f"{interval[0]:.4g} to {interval[1]:.4g}",
        "" if figure.chance is None else f"{figure.chance:.4g}",
        f"{figure.n} {figure.unit}",
        figure.better,
    )


def markdown(evaluation: Evaluation) -> str:
    """Return the report as Markdown."""
    return "\n".join(_lines(evaluation)) + "\n"


def _lines(evaluation: Evaluation) -> Iterator[str]:
    yield "# Evaluation"
    yield ""
    yield markdown_table(HEADER, map(cells, evaluation.figures))
    yield from published_lines(evaluation.published)
    yield from section(
        "Not defined",
        [
            f"{figure.name} ({figure.of}): {figure.why}"
            for figure in evaluation.figures
            if figure.value is None
        ],
    )
    yield from section("Warnings", list(evaluation.warnings))
    yield from section("Left out", [f"{sentence.rstrip('.')}." for sentence in evaluation.left_out])
    yield from section("Measures", explained(evaluation))
    yield from section("How", [*_sides(evaluation), *how(evaluation)])


def explained(evaluation: Evaluation) -> list[str]:
    """Return a sentence on each figure."""
    lines = []
    for figure in evaluation.figures:
        more = ", ".join(f"{name} {value:.4g}" for name, value in figure.more)
        lines.append(f"{figure.name} ({figure.of}): {figure.says}{'; ' + more if more else ''}.")
    return lines


def _sides(evaluation: Evaluation) -> Iterator[str]:
    for name, side in evaluation.facts["compared"].items():
        if isinstance(side, dict):
            yield f"{name}: {side['n']} files, SHA-256 {side['sha256'][:16]}…"


def how(evaluation: Evaluation) -> Iterator[str]:
    """Yield sentences on models, settings and software."""
    facts = evaluation.facts
    model = facts["embedding"]
    if model:
        revision = f", revision {model['revision']}" if model["revision"] else ""
        yield (
            f"Embedding: {model['name']}{revision}, SHA-256 {model['sha256'][:16]}…, "
            f"{model['dimension']} dimensions, windows of {model['window_s']:g} s that cover each "
            "file."
        )
    settings = facts["settings"]
    yield (
        f"Seed {settings['seed']}; {settings['resamples']} resamples of films for means, "
        f"{settings['distance_resamples']} for distances; k = {settings['neighbours']}."
    )
    yield ", ".join(f"{name} {version}" for name, version in facts["software"].items()) + "."


def published_lines(published: Published | None) -> Iterator[str]:
    """Yield a table of published figures under a title of its own, and why others are missing."""
    from ossl_train.evaluation import published as others

    if published is None:
        return
    if published.shown:
        yield from ("", f"## {others.TITLE}", "")
        yield markdown_table(others.HEADER, published.rows())
    yield from section(
        "Published figures of another protocol, not shown", list(published.not_shown)
    )


def section(title: str, lines: list[str]) -> Iterator[str]:
    """Yield a section of a list; nothing if the list is empty."""
    if lines:
        yield ""
        yield f"## {title}"
        yield ""
        yield from (f"- {line}" for line in lines)
