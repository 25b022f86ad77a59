"""Find material that films share, and material that is in more than one split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder.engine.tables_io import read_arrow
from ossl_builder.errors import OsslError
from ossl_builder.splits.film_stats import encode
from ossl_builder.splits.settings import SplitsSettings
from ossl_builder.splits.shared_hashes import SharedPairs, shared_hashes
from ossl_builder.tables import FINGERPRINTS, SPLITS
from ossl_builder.tables.splits import SPLIT_NAMES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KINDS = ("audio", "video")
SCORE_TOLERANCE = 1e-9
# The kinds as words in messages.
KIND_WORDS = {"audio": "music", "video": "video"}


@dataclass(frozen=True, order=True)
class Match:
    """Material that two films share.

    Attributes:
        film_a: the film whose id sorts first.
        film_b: the other.
        kind: `audio` or `video`.
        clip_a: of the pair of clips that share most, the clip of `film_a`.
        clip_b: the clip of `film_b`.
        shared: number of hashes that these two clips share.
        n_pairs: number of pairs of clips that match.
    """

    film_a: str
    film_b: str
    kind: str
    clip_a: str
    clip_b: str
    shared: int
    n_pairs: int


@dataclass(frozen=True)
class FingerprintIndex:
    """The fingerprints table, without its hashes.

    Attributes:
        path: the table.
        films: ids of its films.
        film_of_row: for each row, the index of its film in `films`.
    """

    path: Path
    films: tuple[str, ...]
    film_of_row: NDArray[np.int64]


def load_fingerprints(manifests: Path) -> FingerprintIndex | None:
    """Read the fingerprints table; None if there is none, as in imported corpora.

    Raises:
        OsslError: `table_version`.
    """
    try:
        rows = read_arrow(manifests, FINGERPRINTS, ["film_id"])
    except OsslError as error:
        if error.code != "table_missing":
            raise
        return None
    films, film_of_row = encode(rows["film_id"])
    return FingerprintIndex(manifests / f"{FINGERPRINTS.name}.parquet", films, film_of_row)


def find_matches(
    prints: FingerprintIndex, settings: SplitsSettings, kinds: Iterable[str] = KINDS
) -> tuple[Match, ...]:
    """Return all matches between films, sorted.

    Args:
        prints: the fingerprints.
        settings: section `splits` of the recipe.
        kinds: `KINDS`, in order; an iterator can show progress.
    """
    matches: list[Match] = []
    # Reading and sorting release the interpreter lock, so that threads run in parallel.
    with ThreadPoolExecutor(len(KINDS)) as pool:
        futures = {kind: pool.submit(_shared_hashes_of, prints, kind, settings) for kind in KINDS}
        for kind in kinds:
            matches += _matches_by_film(prints, kind, futures[kind].result(), settings.min_shared)
    return tuple(sorted(matches))


def _shared_hashes_of(prints: FingerprintIndex, kind: str, settings: SplitsSettings) -> SharedPairs:
    column = f"{kind}_hashes"
    return shared_hashes(prints.path, column, prints.film_of_row, settings.common_films)


def _matches_by_film(
    prints: FingerprintIndex, kind: str, shared: SharedPairs, min_shared: float
) -> Iterator[Match]:
    """Yield one match per pair of films with clips that share enough hashes."""
    import numpy as np

    enough = np.flatnonzero(shared.score >= min_shared - SCORE_TOLERANCE)
    first, second = shared.first[enough], shared.second[enough]
    clips = _clip_ids(prints.path, np.unique(np.concatenate([first, second])))
    by_films: dict[tuple[str, str], list[tuple[int, str, str]]] = {}
    pairs = zip(first.tolist(), second.tolist(), shared.count[enough].tolist(), strict=True)
    for *rows, count in pairs:
        (film_a, clip_a), (film_b, clip_b) = sorted(
            (prints.films[prints.film_of_row[row]], clips[row]) for row in rows
        )
        by_films.setdefault((film_a, film_b), []).append((-count, clip_a, clip_b))
    for (film_a, film_b), clip_pairs in by_films.items():
        negative_count, clip_a, clip_b = min(clip_pairs)
        yield Match(film_a, film_b, kind, clip_a, clip_b, -negative_count, len(clip_pairs))


def _clip_ids(path: Path, rows: NDArray[np.int64]) -> dict[int, str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not len(rows):
        return {}
    ids = pq.read_table(path, columns=["clip_id"])["clip_id"].take(pa.array(rows))
    return dict(zip(rows.tolist(), ids.to_pylist(), strict=True))


@dataclass(frozen=True)
class Leak:
    """One leak: material that is in two splits.

    Attributes:
        kind: `film` (one film in two splits), `audio` or `video` (two films share it).
        film_a: the film, or one of the two.
        split_a: its split.
        film_b: the other film, or the same.
        split_b: its split.
        clip_a: a clip of `film_a` with the shared material; empty: the whole film.
        clip_b: the clip of `film_b`.
        shared: number of hashes that these two clips share.
    """

    kind: str
    film_a: str
    split_a: str
    film_b: str
    split_b: str
    clip_a: str = ""
    clip_b: str = ""
    shared: int = 0

    def sentence(self) -> str:
        """Return the leak as a sentence."""
        if self.kind == "film":
            return f"{self.film_a} is in {self.split_a} and in {self.split_b}."
        return (
            f"{self.film_a} ({self.split_a}) and {self.film_b} ({self.split_b}) share "
            f"{KIND_WORDS[self.kind]}: {self.clip_a} and {self.clip_b} have {self.shared} hashes "
            "in common."
        )


def read_splits(path: Path) -> list[tuple[str, str]]:
    """Read films with their splits from a table of any origin, with a row per film or per clip.

    Args:
        path: Parquet, or CSV with a header; columns `film_id` and `split`.

    Raises:
        OsslError: `splits_unreadable`, with the wrong column or split.
    """
    table = _read_table(path)
    names = table.column_names
    missing = [name for name in ("film_id", "split") if name not in names]
    if missing:
        raise _unreadable_error(path, f"it has no column {' and no column '.join(missing)}")
    pairs = table.group_by(["film_id", "split"]).aggregate([])
    splits = []
    columns = (pairs[name].to_pylist() for name in ("film_id", "split"))
    for film_id, split in zip(*columns, strict=True):
        if split and split not in SPLIT_NAMES:
            raise _unreadable_error(path, f"{split!r} is not one of {', '.join(SPLIT_NAMES)}")
        if split:
            splits.append((str(film_id), str(split)))
    return sorted(splits)


def read_corpus_splits(manifests: Path) -> list[tuple[str, str]]:
    """Read films with their splits from the corpus' own table.

    Raises:
        OsslError: `table_missing`, `table_version`, `splits_unreadable`.
    """
    read_arrow(manifests, SPLITS, ["film_id"])
    return read_splits(manifests / f"{SPLITS.name}.parquet")


def find_leaks(splits: Iterable[tuple[str, str]], matches: Sequence[Match]) -> tuple[Leak, ...]:
    """Return all leaks between splits.

    Args:
        splits: (film id, split), without films that are left out.
        matches: material that films share.
    """
    splits_of: dict[str, list[str]] = {}
    for film_id, split in splits:
        splits_of.setdefault(film_id, []).append(split)
    leaks = [
        Leak("film", film_id, film_splits[0], film_id, other)
        for film_id, film_splits in sorted(splits_of.items())
        for other in film_splits[1:]
    ]
    for match in matches:
        across = [
            (split_a, split_b)
            for split_a in splits_of.get(match.film_a, [])
            for split_b in splits_of.get(match.film_b, [])
            if split_a != split_b
        ]
        for split_a, split_b in across[:1]:
            leaks.append(
                Leak(
                    match.kind, match.film_a, split_a, match.film_b, split_b,
                    match.clip_a, match.clip_b, match.shared,
                )
            )  # fmt: skip
    return tuple(leaks)


def _read_table(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow import csv

    try:
        if path.suffix.lower() == ".csv":
            texts = {name: pa.string() for name in ("film_id", "split")}
            options = csv.ConvertOptions(column_types=texts, strings_can_be_null=True)
            return csv.read_csv(path, convert_options=options)
        names = pq.read_schema(path).names
        columns = [name for name in ("film_id", "split") if name in names]
        return pq.read_table(path, columns=columns)
    except (pa.ArrowInvalid, OSError) as error:
        raise _unreadable_error(path, " ".join(str(error).split())) from error


def _unreadable_error(path: Path, why: str) -> OsslError:
    return OsslError(
        "splits_unreadable",
        f"{path} is not a table of splits: {why}.",
        "Give a Parquet or CSV file with the columns film_id and split.",
    )
