"""Write CSV: every table, and one sheet with a row per clip and all its columns.

Texts that a spreadsheet would read as formulas are escaped; see `csv_cells`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ossl_builder import csv_cells, files
from ossl_builder.exports.parquet import EXPORTED
from ossl_builder.exports.samples import MEDIA, Sample, columns
from ossl_builder.exports.selection import Selection
from ossl_builder.tables import Table

FILE_NAME = "dataset.csv"


def write_tables(selection: Selection, out: Path) -> dict[str, int]:
    """Write each table of the selected films as CSV, lists as JSON; return row counts by table."""
    counts = {}
    for table in EXPORTED:
        if selection.has(table):
            names = [column.name for column in selection.stored_table(table).columns]
            counts[table.name] = _write(out / f"{table.name}.csv", names, _rows(selection, table))
    return counts


def _rows(selection: Selection, table: Table) -> Iterable[dict[str, Any]]:
    for batch in selection.batches(table):
        yield from batch.to_pylist()


def write_sheet(out: Path, selection: Selection, samples: Iterable[Sample]) -> int:
    """Write `dataset.csv`, one row per clip with its media paths; return the number of rows."""
    names = [*(f"{role}_path" for role in MEDIA), *(name for name, _, _, _ in columns(selection))]
    rows = (
        {
            **{f"{role}_path": _relative(sample.media.get(role), selection.root) for role in MEDIA},
            **sample.facts,
        }
        for sample in samples
    )
    return _write(out / FILE_NAME, names, rows)


def _relative(path: Path | None, root: Path) -> str:
    return "" if path is None else path.relative_to(root).as_posix()


def _write(path: Path, names: list[str], rows: Iterable[dict[str, Any]]) -> int:
    count = 0
    with files.replacing(path) as temporary, temporary.open("w", newline="") as stream:
        writer = csv_cells.Rows(stream)
        writer.add(names)
        for row in rows:
            writer.add(_cell(row[name]) for name in names)
            count += 1
    return count


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list) else value
