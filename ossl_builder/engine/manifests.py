"""Tables from records: sorted, byte-identical for equal content, never appended to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder import __version__
from ossl_builder.engine import files, records
from ossl_builder.engine.records import Record
from ossl_builder.engine.stage import Stage
from ossl_builder.tables.schema import Table

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_PER_GROUP = 65_536
CHECKSUMS = "checksums.sha256"


def write_tables(
    corpus: Path, stages: Sequence[Stage], current: dict[str, dict[str, Record]]
) -> tuple[str, ...]:
    """Write `manifests/<table>.parquet` of every stage, where its content has changed.

    Args:
        current: for each stage's name, the records whose rows belong into its table, by item.

    Returns:
        Names of the tables that were written.
    """
    folder = corpus / "manifests"
    known = _known(corpus)
    written = []
    for stage in stages:
        ended = current[stage.name]
        digest = files.sha256_json(
            [stage.writes.version, __version__, [[i, ended[i].output] for i in sorted(ended)]]
        )
        path = folder / f"{stage.writes.name}.parquet"
        before = known.get(stage.writes.name)
        if before and before["digest"] == digest and _is(path, before["size_bytes"]):
            continue
        with files.replacing(path) as temporary:
            write_parquet(
                temporary,
                stage.writes,
                (records.read_rows(corpus, stage, item_id) for item_id in sorted(ended)),
            )
        known[stage.writes.name] = {
            "digest": digest,
            "size_bytes": path.stat().st_size,
            "sha256": files.sha256_file(path),
        }
        written.append(stage.writes.name)
    if written or not (folder / CHECKSUMS).exists():
        lines = [f"{known[name]['sha256']}  {name}.parquet\n" for name in sorted(known)]
        files.write_bytes(folder / CHECKSUMS, "".join(lines).encode())
        files.write_bytes(_memory(corpus), files.json_bytes(known))
    return tuple(written)


def damaged_tables(corpus: Path) -> Iterable[str]:
    """Paths, relative to the corpus, of tables whose bytes are not those in `checksums.sha256`."""
    checksums = corpus / "manifests" / CHECKSUMS
    if not checksums.exists():
        return
    for line in checksums.read_text().splitlines():
        digest, name = line.split("  ", 1)
        path = corpus / "manifests" / name
        if not path.exists() or files.sha256_file(path) != digest:
            yield f"manifests/{name}"


def _memory(corpus: Path) -> Path:
    return corpus / "records" / "tables.json"


def _known(corpus: Path) -> dict[str, dict[str, Any]]:
    try:
        found: dict[str, dict[str, Any]] = json.loads(_memory(corpus).read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return found


def _is(path: Path, size_bytes: int) -> bool:
    try:
        return path.stat().st_size == size_bytes
    except FileNotFoundError:
        return False


def write_parquet(path: Path, table: Table, items: Iterable[tuple[Any, ...]]) -> None:
    """Write rows, item after item; a row group's worth of them is in memory at a time."""
    import pyarrow.parquet as pq

    schema = table.arrow_schema().with_metadata(
        {**table.arrow_schema().metadata, b"ossl.builder": __version__.encode()}
    )
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        waiting: list[Any] = []
        for rows in items:
            waiting.extend(rows)
            if len(waiting) >= ROWS_PER_GROUP:
                writer.write_table(_to_arrow(table, waiting, schema))
                waiting = []
        writer.write_table(_to_arrow(table, waiting, schema))


def _to_arrow(table: Table, rows: list[Any], schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_pylist([table.to_json(row) for row in rows], schema=schema)
