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
# The same in the words of sentences.
KIND_WORDS = {"audio": "music", "video": "video"}


@dataclass(frozen=True, order=True)
class Match:
    """What two films share.

    Attributes:
        film_a: the film whose id sorts first.
        film_b: the other.
        kind: `audio` or `frame`.
        clip_a: of the pair of clips that share most, the one of `film_a`.
        clip_b: the one of `film_b`.
        shared: hashes that these two share.
        n_pairs: pairs of their clips that match.
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
        film_of_row: for each row, the place of its film in `films`.
    """

    path: Path
    films: tuple[str, ...]
    film_of_row: NDArray[np.int64]


def load_fingerprints(manifests: Path) -> FingerprintIndex | None:
    """The fingerprints of a corpus; None if it has none (imported corpora have none).

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
    """All matches between films, sorted.

    Args:
        prints: the fingerprints.
        settings: from how many shared hashes on clips match.
        kinds: `KINDS`, in order; an iterator may show how far it is.
    """
    found: list[Match] = []
    # Reading and sorting, which take the time, let other threads run.
    with ThreadPoolExecutor(len(KINDS)) as pool:
        at_work = {kind: pool.submit(_shared_hashes_of, prints, kind, settings) for kind in KINDS}
        for kind in kinds:
            found += _matches_by_film(prints, kind, at_work[kind].result(), settings.min_shared)
    return tuple(sorted(found))


def _shared_hashes_of(prints: FingerprintIndex, kind: str, settings: SplitsSettings) -> SharedPairs:
    column = f"{kind}_hashes"
    return shared_hashes(prints.path, column, prints.film_of_row, settings.common_films)


def _matches_by_film(
    prints: FingerprintIndex, kind: str, shared: SharedPairs, min_shared: float
) -> Iterator[Match]:
    """One match for each two films of which clips share enough."""
    import numpy as np

    enough = np.flatnonzero(shared.score >= min_shared - SCORE_TOLERANCE)
    first, second = shared.first[enough], shared.second[enough]
    clips = _clip_ids(prints.path, np.unique(np.concatenate([first, second])))
    by_films: dict[tuple[str, str], list[tuple[int, str, str]]] = {}
    pairs = zip(first.tolist(), second.tolist(), shared.count[enough].tolist(), strict=True)
    for one, other, count in pairs:
        ends = sorted((prints.films[prints.film_of_row[row]], clips[row]) for row in (one, other))
        films = (ends[0][0], ends[1][0])
        by_films.setdefault(films, []).append((-count, ends[0][1], ends[1][1]))
    for (film_a, film_b), alike in by_films.items():
        most, clip_a, clip_b = min(alike)
        yield Match(film_a, film_b, kind, clip_a, clip_b, -most, len(alike))


def _clip_ids(path: Path, rows: NDArray[np.int64]) -> dict[int, str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not len(rows):
        return {}
    ids = pq.read_table(path, columns=["clip_id"])["clip_id"].take(pa.array(rows))
    return dict(zip(rows.tolist(), ids.to_pylist(), strict=True))


@dataclass(frozen=True)
class Leak:
    """One leak.

    Attributes:
        kind: `film` (one film in two splits), `audio` or `frame` (two films share it).
        film_a: the film, or one of the two.
        split_a: the split it is in.
        film_b: the other film, or the same.
        split_b: the split of that film.
        clip_a: a clip of `film_a` that shares it; empty: the whole film.
        clip_b: the one of `film_b`.
        shared: hashes that these two share.
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
        """The leak in words."""
        if self.kind == "film":
            return f"{self.film_a} is in {self.split_a} and in {self.split_b}."
        return (
            f"{self.film_a} ({self.split_a}) and {self.film_b} ({self.split_b}) share "
            f"{KIND_WORDS[self.kind]}: {self.clip_a} and {self.clip_b} have {self.shared} hashes "
            "in common."
        )


def read_splits(path: Path) -> list[tuple[str, str]]:
    """Films with their splits, as a table of any origin has them: a row per film, or per clip.

    Args:
        path: Parquet, or CSV with a head line; columns `film_id` and `split`.

    Raises:
        OsslError: `splits_unreadable`, naming the column or the split that is wrong.
    """
    table = _read_table(path)
    names = table.column_names
    lacking = [name for name in ("film_id", "split") if name not in names]
    if lacking:
        raise _unreadable_error(path, f"it has no column {' and none '.join(lacking)}")
    pairs = table.group_by(["film_id", "split"]).aggregate([])
    found = []
    columns = (pairs[name].to_pylist() for name in ("film_id", "split"))
    for film_id, split in zip(*columns, strict=True):
        if split and split not in SPLIT_NAMES:
            raise _unreadable_error(path, f"{split!r} is none of {', '.join(SPLIT_NAMES)}")
        if split:
            found.append((str(film_id), str(split)))
    return sorted(found)


def read_corpus_splits(manifests: Path) -> list[tuple[str, str]]:
    """Films with their splits, as the corpus' own table has them.

    Raises:
        OsslError: `table_missing`, `table_version`, `splits_unreadable`.
    """
    read_arrow(manifests, SPLITS, ["film_id"])
    return read_splits(manifests / f"{SPLITS.name}.parquet")


def find_leaks(splits: Iterable[tuple[str, str]], matches: Sequence[Match]) -> tuple[Leak, ...]:
    """All leaks of a split.

    Args:
        splits: films with their splits; a film that is left out is not among them.
        matches: what films share.
    """
    stands: dict[str, list[str]] = {}
    for film_id, split in splits:
        stands.setdefault(film_id, []).append(split)
    found = [
        Leak("film", film_id, on[0], film_id, other)
        for film_id, on in sorted(stands.items())
        for other in on[1:]
    ]
    for match in matches:
        across = [
            (split_a, split_b)
            for split_a in stands.get(match.film_a, [])
            for split_b in stands.get(match.film_b, [])
            if split_a != split_b
        ]
        for split_a, split_b in across[:1]:
            found.append(
                Leak(
                    match.kind, match.film_a, split_a, match.film_b, split_b,
                    match.clip_a, match.clip_b, match.shared,
                )
            )  # fmt: skip
    return tuple(found)


def _read_table(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow import csv

    try:
        if path.suffix.lower() == ".csv":
            texts = {name: pa.string() for name in ("film_id", "split")}
            options = csv.ConvertOptions(column_types=texts, strings_can_be_null=True)
            return csv.read_csv(path, convert_options=options)
        known = pq.read_schema(path).names
        wanted = [name for name in ("film_id", "split") if name in known]
        return pq.read_table(path, columns=wanted)
    except (pa.ArrowInvalid, OSError) as error:
        raise _unreadable_error(path, " ".join(str(error).split())) from error


def _unreadable_error(path: Path, why: str) -> OsslError:
    return OsslError(
        "splits_unreadable",
        f"{path} cannot be read as a split: {why}.",
        "Give a Parquet or CSV file with the columns film_id and split.",
    )
