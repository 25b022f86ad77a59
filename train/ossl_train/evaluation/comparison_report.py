"""The report files of a comparison: one table of all systems, with differences to the baseline."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from ossl_builder import files
from ossl_builder.templates import markdown_table
from ossl_train.evaluation.differences import Difference
from ossl_train.evaluation.report import Figure, cells, explained, how, published_lines, section
from ossl_train.evaluation.several_systems import Comparison
from ossl_train.metrics.intervals import Interval

JSON = "comparison.json"
MARKDOWN = "comparison.md"


def write_comparison(folder: Path, comparison: Comparison) -> tuple[Path, Path]:
    """Write both files; equal comparisons give equal bytes."""
    text = json.dumps(comparison.plain(), indent=1, ensure_ascii=False, allow_nan=False)
    files.write_bytes(folder / JSON, text.encode() + b"\n")
    files.write_bytes(folder / MARKDOWN, ("\n".join(_lines(comparison)) + "\n").encode())
    return folder / JSON, folder / MARKDOWN


def header(comparison: Comparison) -> tuple[str, ...]:
    """Return the names of the columns of `table_rows`."""
    return (
        "measure", "system", "value", "95 % interval", f"minus {comparison.baseline}",
        "95 % interval of that", "chance", "n", "better",
    )  # fmt: skip


def table_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """Return the rows of the table: each measure with all systems, then other music."""
    differences = {(one.name, one.system): one for one in comparison.differences}
    rows = []
    for figure in comparison.systems[comparison.baseline].figures:
        if figure.of != "generated":
            # The real music is the same for all systems.
            rows.append(_row(figure, figure.of, None))
            continue
        for system, evaluation in comparison.systems.items():
            of_system = [one for one in evaluation.figures
                         if (one.name, one.of) == (figure.name, figure.of)]  # fmt: skip
            rows += [_row(one, system, differences.get((one.name, system))) for one in of_system]
    return rows


def undefined_sentences(comparison: Comparison) -> list[str]:
    """Return why figures and differences are not defined, each reason once."""
    sentences = [
        f"{figure.name} ({system}): {figure.why}"
        for system, evaluation in comparison.systems.items()
        for figure in evaluation.figures
        if figure.value is None
        and (figure.of == "generated" or system == comparison.baseline)
    ]  # fmt: skip
    sentences += [
        f"{one.name} ({one.system} minus {comparison.baseline}): {one.why}"
        for one in comparison.differences
        if one.why and one.value is not None
    ]
    return list(dict.fromkeys(sentences))


def _row(figure: Figure, system: str, difference: Difference | None) -> tuple[str, ...]:
    name, _, value, interval, chance, n, better = cells(figure)
    return (
        name, system, value, interval,
        "" if difference is None or difference.value is None else f"{difference.value:+.4g}",
        "" if difference is None else _signed(difference.interval),
        chance, n, better,
    )  # fmt: skip


def _signed(interval: Interval | None) -> str:
    return "" if interval is None else f"{interval[0]:+.4g} to {interval[1]:+.4g}"


def _lines(comparison: Comparison) -> Iterator[str]:
    yield f"# Comparison of {', '.join(comparison.systems)}"
    yield ""
    yield (
        f"{comparison.n_clips} clips of {comparison.n_films} films, which all systems have. "
        f"Differences are those of the same clips to {comparison.baseline}; their intervals are "
        "over films."
    )
    yield ""
    yield markdown_table(header(comparison), table_rows(comparison))
    yield from published_lines(comparison.published)
    yield from section("Not defined", undefined_sentences(comparison))
    yield from section("Warnings", list(comparison.warnings))
    yield from section("Left out", [f"{text.rstrip('.')}." for text in comparison.left_out])
    baseline = comparison.systems[comparison.baseline]
    yield from section("Measures", explained(baseline))
    yield from section("How", [*_sides(comparison), *how(baseline)])


def _sides(comparison: Comparison) -> Iterator[str]:
    for system, evaluation in comparison.systems.items():
        for name, side in evaluation.facts["compared"].items():
            if isinstance(side, dict) and (name == "generated" or system == comparison.baseline):
                music = system if name == "generated" else name
                yield f"{music}: {side['n']} files, SHA-256 {side['sha256'][:16]}…"
