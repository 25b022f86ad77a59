"""Which clips of different films share hashes, for tables of millions of clips.

Hashes are read from Parquet in batches and only ever held as numbers. Nearly all of a corpus'
hashes occur once; so the first reading finds, by 32 bits of each, those that may occur twice, and
only these are looked at in full.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ossl_builder.stages.fingerprints.minhash import MOMENT_BITS, MOMENTS_PER_S

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Whole = NDArray[np.int64]
    Reals = NDArray[np.float64]
    Keys = NDArray[np.uint32]
    Mask = NDArray[np.bool_]

ROWS_AT_ONCE = 16_384
# Read as it is decoded: without, whole columns of the file wait in memory.
READ_BYTES = 1 << 20
KEY_BITS = 32
MARK_BITS = 24
# A hash in more clips than this for each film that may have it says nothing of any of them.
CLIPS_PER_FILM = 10


@dataclass(frozen=True)
class SharedPairs:
    """Pairs of clips that share hashes; one entry each.

    Attributes:
        first: row of one clip in the fingerprints table.
        second: row of the other, of another film, further down.
        count: hashes that they share at one distance in time.
        score: the same, but those of n films count as 1 / log2(n) each.
    """

    first: Whole
    second: Whole
    count: Whole
    score: Reals


@dataclass(frozen=True)
class _Occurrences:
    """Hashes that may stand in several clips: what, in which row, at which moment."""

    what: Whole
    row: Whole
    moment: Whole

    def chosen(self, index: Whole | Mask) -> _Occurrences:
        return _Occurrences(self.what[index], self.row[index], self.moment[index])


def shared_hashes(path: Path, column: str, film_of_row: Whole, common_films: int) -> SharedPairs:
    """Find the pairs of clips that share hashes.

    Args:
        path: the fingerprints table.
        column: `audio_hashes` or `video_hashes`.
        film_of_row: number of the film of each row.
        common_films: hashes of more films than this are ignored.
    """
    import numpy as np

    seen = _repeated_hashes(path, column)
    seen = seen.chosen(np.lexsort((seen.row, seen.what)))
    film = film_of_row[seen.row]
    begins = np.flatnonzero(np.diff(seen.what, prepend=-1))
    sizes = np.diff(begins, append=len(seen.what))
    is_new = np.ones(len(film), np.int64)
    is_new[1:] = (seen.what[1:] != seen.what[:-1]) | (film[1:] != film[:-1])
    n_films = np.add.reduceat(is_new, begins) if len(begins) else sizes
    tells = (n_films > 1) & (n_films <= common_films) & (sizes <= CLIPS_PER_FILM * common_films)
    keep = np.repeat(tells, sizes)
    return _count_pairs(seen.chosen(keep), film[keep], np.repeat(n_films, sizes)[keep])


def _count_pairs(seen: _Occurrences, film: Whole, n_films: Whole) -> SharedPairs:
    """Pair all clips that have a hash together, and count hashes by pair and distance in time."""
    import numpy as np

    parts: list[tuple[Whole, Whole, Whole, Reals]] = []
    step = 1
    while step < len(seen.what):
        together = np.flatnonzero(seen.what[:-step] == seen.what[step:])
        if not len(together):
            break
        one = together[film[together] != film[together + step]]
        other = one + step
        away = (seen.moment[one] - seen.moment[other]) // MOMENTS_PER_S
        parts.append((seen.row[one], seen.row[other], away, 1 / np.log2(n_films[one])))
        step += 1
    if not parts:
        nothing = np.zeros(0, np.int64)
        return SharedPairs(nothing, nothing, nothing, np.zeros(0))
    first, second, away, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _best_offset(first, second, away, weight)


def _best_offset(first: Whole, second: Whole, away: Whole, weight: Reals) -> SharedPairs:
    """For each pair of clips, the distance at which most is shared, to a second or two."""
    import numpy as np

    order = np.lexsort((away, second, first))
    first, second, away, weight = first[order], second[order], away[order], weight[order]
    changes = (np.diff(first, prepend=-1) != 0) | (np.diff(second, prepend=-1) != 0)
    begins = np.flatnonzero(changes | (np.diff(away, prepend=-(2**40)) != 0))
    count = np.diff(begins, append=len(first))
    score = np.add.reduceat(weight, begins) if len(begins) else np.zeros(0)
    first, second, away = first[begins], second[begins], away[begins]
    # Distances are cut into seconds: what lies at a cut counts with the next one.
    beside = (first[1:] == first[:-1]) & (second[1:] == second[:-1]) & (away[1:] == away[:-1] + 1)
    both, both_count = score.copy(), count.copy()
    both[:-1] += np.where(beside, score[1:], 0)
    both_count[:-1] += np.where(beside, count[1:], 0)
    order = np.lexsort((both, second, first))
    first, second, both, both_count = (
        first[order], second[order], both[order], both_count[order]
    )  # fmt: skip
    is_last = np.ones(len(first), np.bool_)
    is_last[:-1] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    return SharedPairs(first[is_last], second[is_last], both_count[is_last], both[is_last])


def _repeated_hashes(path: Path, column: str) -> _Occurrences:
    """All hashes that occur at least twice (and a few that do not)."""
    import numpy as np

    again = _repeated_keys(path, column)
    mark = np.zeros(1 << MARK_BITS, np.bool_)
    mark[again & ((1 << MARK_BITS) - 1)] = True
    found = []
    for row, ends, hashes in _batches(path, column):
        maybe = np.flatnonzero(mark[(hashes >> MOMENT_BITS) & ((1 << MARK_BITS) - 1)])
        key = _keys(hashes[maybe])
        maybe = maybe[again[np.searchsorted(again, key).clip(max=len(again) - 1)] == key]
        found.append((hashes[maybe], row + np.searchsorted(ends, maybe, side="right")))
    hashes = np.concatenate([each for each, _ in found] or [np.zeros(0, np.int64)])
    rows = np.concatenate([each for _, each in found] or [np.zeros(0, np.int64)])
    return _Occurrences(hashes >> MOMENT_BITS, rows, hashes & ((1 << MOMENT_BITS) - 1))


def _repeated_keys(path: Path, column: str) -> Keys:
    """32 bits of each hash that stand there more than once, ascending."""
    import numpy as np

    keys: Keys = np.empty(_max_values(path, column), np.uint32)
    filled = 0
    for _, _, hashes in _batches(path, column):
        keys[filled : filled + len(hashes)] = _keys(hashes)
        filled += len(hashes)
    ordered = keys[:filled]
    ordered.sort()
    again: Keys = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    return again


def _keys(hashes: Whole) -> Keys:
    import numpy as np

    low: Keys = ((hashes >> MOMENT_BITS) & ((1 << KEY_BITS) - 1)).astype(np.uint32)
    return low


def _max_values(path: Path, column: str) -> int:
    """How many hashes a column holds at most."""
    import pyarrow.parquet as pq

    parts = pq.read_metadata(path)
    total = 0
    for number in range(parts.num_row_groups):
        group = parts.row_group(number)
        for index in range(group.num_columns):
            if group.column(index).path_in_schema.split(".")[0] == column:
                total += group.column(index).num_values
    return total


def _batches(path: Path, column: str) -> Iterator[tuple[int, Whole, Whole]]:
    """Rows in turn: number of the first, where each row's hashes end, and the hashes."""
    import numpy as np
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    row = 0
    with pq.ParquetFile(path, pre_buffer=False, buffer_size=READ_BYTES) as file:
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=[column]):
            lists = batch.column(0)
            ends = np.cumsum(pc.list_value_length(lists).to_numpy(zero_copy_only=False))
            yield row, ends, lists.flatten().to_numpy()
            row += len(lists)
