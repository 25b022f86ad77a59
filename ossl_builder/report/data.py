"""What the report reads: the corpus' tables, film by film; tables not there have no rows."""

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
    """One table, from which a film's rows are taken when they are wanted.

    Attributes:
        table: sorted by film; None: the corpus has no such table.
        places: film to its first row and number of rows.
    """

    table: pa.Table | None
    places: Mapping[str, tuple[int, int]]

    def of(self, film_id: str) -> list[Row]:
        """A film's rows as plain values, in the table's order."""
        if self.table is None or film_id not in self.places:
            return []
        found: list[Row] = self.table.slice(*self.places[film_id]).to_pylist()
        return found


@dataclass(frozen=True)
class Contents:
    """A corpus as the report sees it.

    Attributes:
        corpus: the corpus.
        tables: by name, all of `READ`.
        film_ids: films of the corpus, or with a row or clips in the tables, sorted. Labels and
            splits of a film that has gone since are not asked.
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
        """A film's rows of every table, by the table's name."""
        return {name: rows.of(film_id) for name, rows in self.tables.items()}

    def columns_of(self, table: Table, columns: list[str]) -> list[Row]:
        """Some columns of a whole table; none if it is not there."""
        whole = self.tables[table.name].table
        found: list[Row] = [] if whole is None else whole.select(columns).to_pylist()
        return found


def read(corpus: Corpus) -> Contents:
    """Open a corpus' tables.

    Raises:
        OsslError: `table_version`.
    """
    folder = corpus.root / "manifests"
    tables = {table.name: _rows(folder, table) for table in READ}
    known = {film_id for table in (FILMS, CLIPS) for film_id in tables[table.name].places}
    verdicts = verdicts_of(corpus)
    return Contents(corpus, tables, tuple(sorted(known | verdicts.keys())), verdicts)


def _rows(folder: Path, table: Table) -> Rows:
    if not (folder / f"{table.name}.parquet").exists():
        return Rows(None, {})
    arrow = tables_io.read_arrow(folder, table)
    places: dict[str, tuple[int, int]] = {}
    for at, film_id in enumerate(arrow["film_id"].to_pylist()):
        first, count = places.get(film_id, (at, 0))
        places[film_id] = (first, count + 1)
    return Rows(arrow, places)
