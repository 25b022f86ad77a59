"""`ossl stats` and `ossl query`: statistics of a corpus, and SQL over its tables."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import typer

from ossl_builder.cli import options, output
from ossl_builder.corpus import open_corpus

COLUMNS = ("table", "what", "figure")


def add_commands(app: typer.Typer) -> None:
    """Add `stats` and `query`."""
    app.command(epilog="Example: ossl -C corpus stats --json")(stats)
    app.command(
        epilog='Example: ossl -C corpus query "SELECT split, count(*) FROM splits GROUP BY 1"'
    )(query)


def stats(context: typer.Context, json: options.AsJson = False) -> None:
    """Count films, scenes, cues, clips, moods and splits."""
    from ossl_builder.exports.summary import summary
    from ossl_builder.pipeline.derived_tables import verdicts_of

    corpus = open_corpus(context.obj)
    verdicts = {film_id: verdict.word for film_id, verdict in verdicts_of(corpus).items()}
    statistics = summary(corpus.root / "manifests", verdicts)
    if not statistics and not json:
        output.say("The corpus has no tables yet. Run `ossl build`.")
    output.emit(statistics, json, lambda values: output.table(COLUMNS, _stats_rows(values)))


def _stats_rows(statistics: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for section, values in statistics.items():
        for name, value in values.items():
            yield section, name.replace("_", " "), _value_text(value)


def _value_text(value: Any) -> str:
    if value is None:
        return "not defined"
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {part}" for name, part in value.items())
    return str(value)


def query(
    context: typer.Context,
    question: Annotated[str, typer.Argument(help="One SQL SELECT.", metavar="SELECT")],
    json: options.AsJson = False,
) -> None:
    """Answer one SELECT over the tables: films, scenes, stems, cues, clips, labels, splits.

    The query can change nothing and read no other file.
    """
    from ossl_builder.query import run_query
    from ossl_builder.stages.registry import TABLES

    folder: Path = open_corpus(context.obj).root / "manifests"
    files = {path.stem: path for path in sorted(folder.glob("*.parquet"))}
    names = [table.name for table in TABLES]
    for name in sorted(files.keys() - {*names}):
        output.say(f"Left out: {files[name].name} in manifests is not a table of this program.")
    result = run_query({name: files[name] for name in names if name in files}, question)
    for name, why in result.unreadable.items():
        output.say(f"Left out: {files[name].name} cannot be read: {why}")
    if json:
        output.as_json(
            [dict(zip(result.columns, map(_json_value, row), strict=True)) for row in result.rows]
        )
    else:
        output.table(result.columns, result.rows)


def _json_value(value: Any) -> Any:
    """Convert a value for JSON: decimals to numbers, non-finite numbers to null, dates to text."""
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, list | tuple):
        return [_json_value(part) for part in value]
    if isinstance(value, dict):
        return {str(name): _json_value(part) for name, part in value.items()}
    return value if value is None or isinstance(value, str | int | bool) else str(value)
