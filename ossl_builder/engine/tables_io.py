"""Write tables from records: sorted, byte-identical for equal content, always written whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder import __version__, files
from ossl_builder.engine import records
from ossl_builder.engine.cache import MadeFiles
from ossl_builder.engine.records import Record
from ossl_builder.engine.stage import Stage
from ossl_builder.errors import OsslError
from ossl_builder.tables.schema import Table

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_PER_GROUP = 65_536
CHECKSUMS = "checksums.sha256"
# Hint for a table that is missing or has another schema version: the command that writes it.
MAKE = "Run `ossl build`."
MAKERS = {
    "captions": "Run `ossl label caption`.",
    "labels": "Run `ossl label merge`.",
    "splits": "Run `ossl split`.",
}


# By table and item: values of columns that no stage computes.
Decided = Mapping[str, Mapping[str, Mapping[str, Any]]]


def write_tables(
    corpus: Path,
    stages: Sequence[Stage],
    current: dict[str, dict[str, Record]],
    decided: Decided | None = None,
) -> tuple[str, ...]:
    """Write `manifests/<table>.parquet` of each stage whose content has changed.

    Args:
        corpus: the corpus' folder.
        stages: the stages whose tables to write.
        current: by stage name and item, the records whose rows belong into the stage's table.
        decided: column values that do not come from records; all rows of the item get them.

    Returns:
        Names of the tables that were written.
    """
    tables = _table_index(corpus)
    written = []
    for stage in stages:
        records_by_item = current[stage.name]
        values = (decided or {}).get(stage.writes.name, {})
        made_from = [
            [i, records_by_item[i].output, *([values[i]] if i in values else [])]
            for i in records_by_item
        ]
        digest = files.sha256_json([stage.writes.version, __version__, sorted(made_from)])
        name = f"{stage.writes.name}.parquet"
        if tables.is_fresh(name, digest):
            continue
        rows = (
            _replace_columns(records.read_rows(corpus, stage, item_id), values.get(item_id, {}))
            for item_id in sorted(records_by_item)
        )
        with files.replacing(tables.folder / name) as temporary:
            write_parquet(temporary, stage.writes, rows)
        tables.add(name, digest)
        written.append(stage.writes.name)
    if written or not (tables.folder / CHECKSUMS).exists():
        _save(tables)
    return tuple(written)


def _replace_columns(rows: tuple[Any, ...], values: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(dataclasses.replace(row, **values) for row in rows) if values else rows


def write_corpus_table(corpus: Path, table: Table, rows: Sequence[Any]) -> None:
    """Check, sort and write a table that is computed from all films together.

    The caller must hold the corpus' lock.

    Raises:
        OsslError: `invariant_broken`.
    """
    table.validate(rows)
    ordered = sorted(rows, key=lambda row: tuple(getattr(row, name) for name in table.key))
    tables = _table_index(corpus)
    name = f"{table.name}.parquet"
    with files.replacing(tables.folder / name) as temporary:
        write_parquet(temporary, table, [tuple(ordered)])
    tables.add(name, "")
    _save(tables)


def read_arrow(folder: Path, table: Table, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a table as Arrow.

    Args:
        folder: the folder of the Parquet files.
        table: the table.
        columns: names of the columns to read; None: all.

    Raises:
        OsslError: `table_missing`, `table_damaged`, `table_version`, `path_outside`.
    """
    read = _open_parquet(folder, table).read(columns=None if columns is None else list(columns))
    return _check_paths(folder, table, read)


def iter_arrow(
    folder: Path, table: Table, n_rows: int, columns: Sequence[str] | None = None
) -> Iterator[pa.Table]:
    """Read a table that does not fit into memory, `n_rows` at a time; see `read_arrow`."""
    import pyarrow as pa

    chosen = None if columns is None else list(columns)
    for batch in _open_parquet(folder, table).iter_batches(n_rows, columns=chosen):
        yield _check_paths(folder, table, pa.Table.from_batches([batch]))


def _open_parquet(folder: Path, table: Table) -> Any:
    """Open the Parquet file of a table; raise if it is missing or has another schema version."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = files.inside(folder.parent, f"{folder.name}/{table.name}.parquet")
    try:
        parquet_file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, IsADirectoryError) as error:
        raise _damaged_error(path, str(error)) from error
    except FileNotFoundError as error:
        raise OsslError(
            "table_missing",
            f"There is no table {table.name}: {path} is missing.",
            MAKERS.get(table.name, MAKE),
        ) from error
    version = (
        (parquet_file.schema_arrow.metadata or {}).get(b"ossl.schema_version", b"none").decode()
    )
    if version != str(table.version):
        raise OsslError(
            "table_version",
            f"{path} has the schema version {version}; this program reads {table.version}.",
            MAKERS.get(table.name, MAKE),
        )
    return parquet_file


def _check_paths(folder: Path, table: Table, rows: pa.Table) -> pa.Table:
    """Return the rows unchanged; raise if a path in them leads out of the corpus."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for name, unsafe in table.confined.items():
        if name not in rows.column_names:
            continue
        values = rows[name]
        if not (pa.types.is_string(values.type) or pa.types.is_null(values.type)):
            path = folder / f"{table.name}.parquet"
            raise _damaged_error(path, f"its column {name} is no text")
        if pa.types.is_string(values.type):
            bad_paths = values.filter(pc.match_substring_regex(values, unsafe.pattern))
            if len(bad_paths):
                raise files.outside(folder.parent, bad_paths[0].as_py())
    return rows


def _damaged_error(path: Path, why: str) -> OsslError:
    return OsslError(
        "table_damaged",
        f"{path} is not a table of this program: {' '.join(why.split())}.",
        MAKERS.get(path.stem, MAKE),
    )


def read_table(folder: Path, table: Table) -> list[Any]:
    """Return a table's rows, sorted by key; see `read_arrow`."""
    return [table.from_json(value) for value in read_arrow(folder, table).to_pylist()]


def _table_index(corpus: Path) -> MadeFiles:
    return MadeFiles(corpus / "manifests", corpus / "records" / "tables.json")


def _save(tables: MadeFiles) -> None:
    lines = [f"{sha256}  {name}\n" for name, sha256 in tables.checksums().items()]
    files.write_bytes(tables.folder / CHECKSUMS, "".join(lines).encode())
    tables.save()


def damaged_tables(corpus: Path) -> Iterable[str]:
    """Yield the paths, relative to the corpus, of tables that differ from `checksums.sha256`."""
    checksums = corpus / "manifests" / CHECKSUMS
    if not checksums.exists():
        return
    for line in checksums.read_text().splitlines():
        digest, name = line.split("  ", 1)
        path = corpus / "manifests" / name
        if not path.exists() or files.sha256_file(path) != digest:
            yield f"manifests/{name}"


def write_parquet(path: Path, table: Table, items: Iterable[tuple[Any, ...]]) -> None:
    """Write the rows of items to Parquet; memory holds one row group at a time."""
    import pyarrow.parquet as pq

    schema = _schema(table)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        waiting: list[Any] = []
        for rows in items:
            waiting.extend(rows)
            if len(waiting) >= ROWS_PER_GROUP:
                writer.write_table(_to_arrow(table, waiting, schema))
                waiting = []
        writer.write_table(_to_arrow(table, waiting, schema))


def write_arrow(path: Path, table: Table, batches: Iterable[pa.Table]) -> int:
    """Write Arrow batches, checked when they were made, to Parquet; return the number of rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(table)
    n_rows = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        waiting = schema.empty_table()
        for batch in batches:
            n_rows += batch.num_rows
            waiting = pa.concat_tables([waiting, batch.cast(schema)])
            # Only full groups: the bytes must not depend on the batch boundaries.
            while waiting.num_rows >= ROWS_PER_GROUP:
                writer.write_table(waiting.slice(0, ROWS_PER_GROUP).combine_chunks())
                waiting = waiting.slice(ROWS_PER_GROUP)
        writer.write_table(waiting.combine_chunks())
    return n_rows


def _schema(table: Table) -> pa.Schema:
    plain = table.arrow_schema()
    return plain.with_metadata({**plain.metadata, b"ossl.builder": __version__.encode()})


def _to_arrow(table: Table, rows: list[Any], schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_pylist([table.to_json(row) for row in rows], schema=schema)
