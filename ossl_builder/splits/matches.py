"""Matches: films that share music or video, by the fingerprints of their clips."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ossl_builder.engine.tables_io import read_arrow
from ossl_builder.errors import OsslError
from ossl_builder.splits.film_stats import encode
from ossl_builder.splits.settings import SplitsSettings
from ossl_builder.splits.shared_hashes import Shared, shared_hashes
from ossl_builder.tables import FINGERPRINTS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KINDS = ("audio", "video")
ROUNDING = 1e-9
# The same in the words of sentences.
SHARED = {"audio": "music", "video": "video"}


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
class Fingerprinted:
    """The fingerprints table, without its hashes.

    Attributes:
        path: the table.
        films: ids of its films.
        film_of_row: for each row, the place of its film in `films`.
    """

    path: Path
    films: tuple[str, ...]
    film_of_row: NDArray[np.int64]


def fingerprinted(manifests: Path) -> Fingerprinted | None:
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
    return Fingerprinted(manifests / f"{FINGERPRINTS.name}.parquet", films, film_of_row)


def find_matches(
    prints: Fingerprinted, settings: SplitsSettings, kinds: Iterable[str] = KINDS
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
        at_work = {kind: pool.submit(_shared, prints, kind, settings) for kind in KINDS}
        for kind in kinds:
            found += _by_films(prints, kind, at_work[kind].result(), settings.min_shared)
    return tuple(sorted(found))


def _shared(prints: Fingerprinted, kind: str, settings: SplitsSettings) -> Shared:
    column = f"{kind}_hashes"
    return shared_hashes(prints.path, column, prints.film_of_row, settings.common_films)


def _by_films(
    prints: Fingerprinted, kind: str, shared: Shared, min_shared: float
) -> Iterator[Match]:
    """One match for each two films of which clips share enough."""
    import numpy as np

    enough = np.flatnonzero(shared.score >= min_shared - ROUNDING)
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
