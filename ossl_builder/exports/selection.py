"""What is exported: the rows of the films that stand on the sides asked for, in a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ossl_builder.engine import manifests
from ossl_builder.errors import OsslError
from ossl_builder.tables import CLIPS, FILMS, SPLITS, Table
from ossl_builder.tables.splits import SIDES
from ossl_builder.workspace import IMPORTED

if TYPE_CHECKING:
    import pyarrow as pa

# Rows in memory at a time: a million clips pass through in a few of these.
BATCH = 65_536


@dataclass(frozen=True)
class Selection:
    """The films whose clips are exported.

    Attributes:
        folder: the tables' folder, `CORPUS/manifests`.
        sides: side of each film that is exported; empty: the corpus has no splits, all are.
        left_out: films that stand on no side.
    """

    folder: Path
    sides: dict[str, str]
    left_out: tuple[str, ...]

    @property
    def root(self) -> Path:
        """What paths in the tables are relative to."""
        return self.folder.parent

    def has(self, table: Table) -> bool:
        """Whether the corpus has a table."""
        return (self.folder / f"{table.name}.parquet").exists()

    def batches(self, table: Table, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The rows of a table that belong to these films, in the table's order.

        Raises:
            OsslError: `table_missing`, `table_version`.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        films = pa.array(sorted(self.sides), pa.string())
        for batch in manifests.iter_arrow(self.folder, table, BATCH, columns):
            if table is FILMS and "source" in batch.column_names:
                batch = _without_folders(batch)
            yield batch.filter(pc.is_in(batch["film_id"], films)) if self.sides else batch

    def imported(self) -> dict[str, str]:
        """Of a corpus whose clips were imported, the layout and the folder; else nothing."""
        told = self.root / IMPORTED
        return json.loads(told.read_bytes()) if told.is_file() else {}

    def count(self, table: Table) -> int:
        """How many rows of a table belong to these films."""
        return sum(batch.num_rows for batch in self.batches(table, ["film_id"]))


def _without_folders(films: pa.Table) -> pa.Table:
    """Films whose source is a file keep its name: where it lay is nobody else's business."""
    import pyarrow as pa

    sources = [
        source if "://" in source or source.startswith("ia:") else Path(source).name
        for source in films["source"].to_pylist()
    ]
    index = films.column_names.index("source")
    return films.set_column(index, films.schema.field(index), pa.array(sources, pa.string()))


def select(root: Path, sides: Sequence[str] = ()) -> Selection:
    """Choose the films of some sides, or of all; films that stand on no side are left out.

    Args:
        root: a corpus, or a folder written by `ossl export parquet`.
        sides: of train, validation, test; none: all three, or every film if there are no splits.

    Raises:
        OsslError: `side_unknown`, `split_empty`, `table_missing`, `table_version`.
    """
    unknown = [side for side in sides if side not in SIDES]
    if unknown:
        raise OsslError(
            "side_unknown", f"There is no side {unknown[0]!r}.", f"Sides are {', '.join(SIDES)}."
        )
    folder = root / "manifests"
    bare = Selection(folder, {}, ())
    if not bare.has(SPLITS) and not sides:
        if bare.count(CLIPS) == 0:
            raise OsslError("split_empty", "The corpus has no clips.", "`ossl build` makes them.")
        return bare
    rows = manifests.read_table(folder, SPLITS)
    chosen = {row.film_id: row.side for row in rows if row.side in (sides or SIDES)}
    left_out = tuple(row.film_id for row in rows if row.side is None)
    if not chosen:
        asked = " or ".join(sides) or "any side"
        raise OsslError(
            "split_empty", f"No film stands on {asked}.", "`ossl split` puts films on sides."
        )
    return Selection(folder, chosen, left_out)
