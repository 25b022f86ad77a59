"""Read the tables of a corpus for the report, by film; a missing table has no rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder.corpus import Corpus
from ossl_builder.engine import tables_io
from ossl_builder.pipeline.derived_tables import verdicts_of
from ossl_builder.rights import Verdict
from ossl_builder.tables import CLIPS, CUES, FILMS, LABELS, SCENES, SPLITS, STEMS, Table

if TYPE_CHECKING:
    import pyarrow as pa

Row = dict[str, Any]

READ: tuple[Table, ...] = (FILMS, SCENES, STEMS, CUES, CLIPS, LABELS, SPLITS)


@dataclass(frozen=True)
class Rows:
    """A table with an index by film.

    Attributes:
        table: the rows, sorted by film; None: the corpus does not have the table.
        places: index of the first row and number of rows, by film.
    """

    table: pa.Table | None
    places: Mapping[str, tuple[int, int]]

    def of(self, film_id: str) -> list[Row]:
        """Return a film's rows as plain values, in the table's order."""
        if self.table is None or film_id not in self.places:
            return []
        rows: list[Row] = self.table.slice(*self.places[film_id]).to_pylist()
        return rows


@dataclass(frozen=True)
class Contents:
    """The data of a corpus that the report shows.

    Attributes:
        corpus: the corpus.
        tables: all tables of `READ`, by name.
        film_ids: the films of the corpus, and those with rows in films or clips, sorted. A film
            that has only labels or splits was removed and is left out.
        verdicts: today's verdict on each film that the corpus has a record of.
    """

    corpus: Corpus
    tables: Mapping[str, Rows]
    film_ids: tuple[str, ...]
    verdicts: Mapping[str, Verdict]

    @property
    def folder(self) -> Path:
        """The folder of the tables."""
        return self.corpus.root / "manifests"

    def film(self, film_id: str) -> dict[str, list[Row]]:
        """Return a film's rows of every table, by the table's name."""
        return {name: rows.of(film_id) for name, rows in self.tables.items()}

    def columns_of(self, table: Table, columns: list[str]) -> list[Row]:
        """Return some columns of all rows of a table; an empty list if the table is missing."""
        arrow = self.tables[table.name].table
        rows: list[Row] = [] if arrow is None else arrow.select(columns).to_pylist()
        return rows


def read(corpus: Corpus) -> Contents:
    """Read a corpus' tables.

    Raises:
        OsslError: `table_version`.
    """
    folder = corpus.root / "manifests"
    tables = {table.name: _read_rows(folder, table) for table in READ}
    film_ids = {film_id for table in (FILMS, CLIPS) for film_id in tables[table.name].places}
    verdicts = verdicts_of(corpus)
    return Contents(corpus, tables, tuple(sorted(film_ids | verdicts.keys())), verdicts)


def _read_rows(folder: Path, table: Table) -> Rows:
    if not (folder / f"{table.name}.parquet").exists():
        return Rows(None, {})
    arrow = tables_io.read_arrow(folder, table)
    row_ranges: dict[str, tuple[int, int]] = {}
    for at, film_id in enumerate(arrow["film_id"].to_pylist()):
        first, count = row_ranges.get(film_id, (at, 0))
        row_ranges[film_id] = (first, count + 1)
    return Rows(arrow, row_ranges)
