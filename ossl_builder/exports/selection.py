"""Select the films of an export by split and verdict, and read their rows in batches.

Only films that are shown to be free are exported, unless the user permits others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from ossl_builder import parse
from ossl_builder.corpus import IMPORTED, Corpus
from ossl_builder.engine import tables_io
from ossl_builder.errors import OsslError
from ossl_builder.pipeline.derived_tables import verdicts_of
from ossl_builder.rights.case import FREE
from ossl_builder.tables import CAPTIONS, CLIPS, FILMS, LABELS, SPLITS, Table
from ossl_builder.tables.labels import stored_labels_table
from ossl_builder.tables.splits import SPLIT_NAMES

if TYPE_CHECKING:
    import pyarrow as pa

# Rows in memory at a time.
BATCH = 65_536


@dataclass(frozen=True)
class Selection:
    """The films whose clips are exported.

    Attributes:
        folder: the tables' folder, `CORPUS/manifests`.
        splits: the split of each exported film; empty: no splits, all films are exported.
        left_out: films that are in no split.
        verdicts: today's verdict word of each film of the corpus.
        unverified: the exported films that are not shown to be free, sorted.
    """

    folder: Path
    splits: dict[str, str]
    left_out: tuple[str, ...]
    verdicts: Mapping[str, str]
    unverified: tuple[str, ...] = ()

    @property
    def root(self) -> Path:
        """The folder to which paths in the tables are relative."""
        return self.folder.parent

    def has(self, table: Table) -> bool:
        """Return whether the corpus has a table."""
        return (self.folder / f"{table.name}.parquet").exists()

    def stored_table(self, table: Table) -> Table:
        """Return a table with the columns of further questions that its file has."""
        return stored_labels_table(self.folder) if table is LABELS else table

    def batches(self, table: Table, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the rows of a table that belong to these films, in the table's order.

        Raises:
            OsslError: `table_missing`, `table_version`.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        films = pa.array(sorted(self.splits), pa.string())
        shown = self._videos() if table is CAPTIONS else None
        for batch in tables_io.iter_arrow(self.folder, table, BATCH, columns):
            if table is FILMS and "source" in batch.column_names:
                batch = _remove_folders(batch)
            if table is FILMS and "verdict" in batch.column_names:
                batch = self._with_verdicts(batch)
            if shown is not None and "video_sha256" in batch.column_names:
                # A caption of another video is stale.
                batch = batch.filter(pc.is_in(batch["video_sha256"], shown))
            yield batch.filter(pc.is_in(batch["film_id"], films)) if self.splits else batch

    def _videos(self) -> pa.Array:
        """Return the SHA-256 of the videos of all clips."""
        return tables_io.read_arrow(self.folder, CLIPS, ["video_sha256"])["video_sha256"]

    def verdict(self, film_id: str) -> str:
        """Return today's verdict word of a film; `unknown` if the corpus has no record of it."""
        return self.verdicts.get(film_id, "unknown")

    def _with_verdicts(self, films: pa.Table) -> pa.Table:
        """Replace the verdicts by today's: a term may have ended since the table was written."""
        import pyarrow as pa

        verdict_words = [self.verdict(film_id) for film_id in films["film_id"].to_pylist()]
        index = films.column_names.index("verdict")
        return films.set_column(
            index, films.schema.field(index), pa.array(verdict_words, pa.string())
        )

    def imported(self) -> dict[str, str]:
        """Return layout and folder of an imported corpus; an empty dict if nothing was imported."""
        path = self.root / IMPORTED
        return parse.json_value(path.read_bytes()) if path.is_file() else {}

    def film_ids(self) -> set[str]:
        """Return the films that have a row in films or clips."""
        return {
            film_id
            for table in (FILMS, CLIPS)
            if self.has(table)
            for batch in self.batches(table, ["film_id"])
            for film_id in batch["film_id"].unique().to_pylist()
        }

    def unverified_names(self) -> str:
        """Return a text that names the films that are not shown to be free, with their verdicts."""
        names = [
            f"{film_id} ({self.verdict(film_id).replace('_', ' ')})"
            for film_id in self.unverified[:NAMED]
        ]
        more = len(self.unverified) - NAMED
        return ", ".join(names) + (f" and {more} more" if more > 0 else "")

    def count(self, table: Table) -> int:
        """Return the number of rows of a table that belong to these films."""
        return sum(batch.num_rows for batch in self.batches(table, ["film_id"]))


def _remove_folders(films: pa.Table) -> pa.Table:
    """Reduce local source paths to file names, because local folders are private."""
    import pyarrow as pa

    sources = [
        source if "://" in source or source.startswith("ia:") else Path(source).name
        for source in films["source"].to_pylist()
    ]
    index = films.column_names.index("source")
    return films.set_column(index, films.schema.field(index), pa.array(sources, pa.string()))


# Films named in a sentence; `ossl films list` shows all.
NAMED = 20


def select(
    corpus: Corpus,
    splits: Sequence[str] = (),
    allow_unverified: bool = False,
    today: date | None = None,
) -> Selection:
    """Select the films of the given splits, or of all splits; films in no split are left out.

    Args:
        corpus: the corpus, or a folder that `ossl export parquet` wrote. The latter has no
            records of films, so the verdicts of its table are used.
        splits: of train, validation, test; empty: all three, or every film if there are no
            splits.
        allow_unverified: also select films that are not shown to be free.
        today: the day for which to decide; None: today.

    Raises:
        OsslError: `split_unknown`, `split_empty`, `table_missing`, `table_version`,
            `film_unverified`.
    """
    chosen = _select_splits(corpus.root / "manifests", splits, _verdict_words(corpus, today))
    films = sorted(chosen.splits) or sorted(chosen.film_ids())
    selection = replace(
        chosen,
        unverified=tuple(film_id for film_id in films if chosen.verdict(film_id) not in FREE),
    )
    if selection.unverified and not allow_unverified:
        raise OsslError(
            "film_unverified",
            f"Not shown to be free: {selection.unverified_names()}. Nothing was exported.",
            f"Read `ossl films explain {selection.unverified[0]}`; take films out with "
            "`ossl films remove` or choose a split with --split; on your own responsibility, "
            "add --allow-unverified.",
        )
    return selection


def _verdict_words(corpus: Corpus, today: date | None) -> dict[str, str]:
    """Return each film's verdict word: today's if the corpus has a record, else the table's."""
    folder = corpus.root / "manifests"
    rows: list[dict[str, str | None]] = []
    if (folder / f"{FILMS.name}.parquet").exists():
        rows = tables_io.read_arrow(folder, FILMS, ["film_id", "verdict"]).to_pylist()
    recorded_words = {str(row["film_id"]): row["verdict"] or "unknown" for row in rows}
    judged = verdicts_of(corpus, today)
    return recorded_words | {film_id: verdict.word for film_id, verdict in judged.items()}


def _select_splits(folder: Path, splits: Sequence[str], verdicts: Mapping[str, str]) -> Selection:
    unknown = [split for split in splits if split not in SPLIT_NAMES]
    if unknown:
        raise OsslError(
            "split_unknown",
            f"There is no split {unknown[0]!r}.",
            f"Splits are {', '.join(SPLIT_NAMES)}.",
        )
    bare = Selection(folder, {}, (), verdicts)
    if not bare.has(SPLITS) and not splits:
        if bare.count(CLIPS) == 0:
            raise OsslError("split_empty", "The corpus has no clips.", "Run `ossl build`.")
        return bare
    rows = tables_io.read_table(folder, SPLITS)
    chosen = {row.film_id: row.split for row in rows if row.split in (splits or SPLIT_NAMES)}
    left_out = tuple(row.film_id for row in rows if row.split is None)
    if not chosen:
        requested = " or ".join(splits) or "any split"
        raise OsslError(
            "split_empty", f"No film is in {requested}.", "`ossl split` assigns films to splits."
        )
    return Selection(folder, chosen, left_out, verdicts)
