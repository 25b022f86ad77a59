"""Find clips of different films that share hashes, in tables of millions of clips.

Hashes are read from Parquet in batches and stored as numbers. Nearly all hashes of a corpus occur
once. Therefore a first pass finds, by 32 bits of each hash, those that may occur twice, and a
second pass compares only these in full.
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
# Read while decoding: otherwise whole columns of the file are in memory.
READ_BYTES = 1 << 20
KEY_BITS = 32
MARK_BITS = 24
# A hash that occurs in more clips than this, per allowed film, is ignored.
CLIPS_PER_FILM = 10


@dataclass(frozen=True)
class SharedPairs:
    """Pairs of clips that share hashes, one entry per pair.

    Attributes:
        first: row of one clip in the fingerprints table.
        second: row of the other clip, of another film; a higher row number.
        count: number of hashes that they share at one time offset.
        score: the same, but a hash of n films counts as 1 / log2(n).
    """

    first: Whole
    second: Whole
    count: Whole
    score: Reals


@dataclass(frozen=True)
class _Occurrences:
    """Occurrences of hashes that may be in several clips: hash, row, moment in the clip."""

    value: Whole
    row: Whole
    moment: Whole

    def chosen(self, index: Whole | Mask) -> _Occurrences:
        return _Occurrences(self.value[index], self.row[index], self.moment[index])


def shared_hashes(path: Path, column: str, film_of_row: Whole, common_films: int) -> SharedPairs:
    """Return the pairs of clips of different films that share hashes.

    Args:
        path: the fingerprints table.
        column: `audio_hashes` or `video_hashes`.
        film_of_row: index of the film of each row.
        common_films: hashes of more films than this are ignored.
    """
    import numpy as np

    occurrences = _repeated_hashes(path, column)
    occurrences = occurrences.chosen(np.lexsort((occurrences.row, occurrences.value)))
    film = film_of_row[occurrences.row]
    begins = np.flatnonzero(np.diff(occurrences.value, prepend=-1))
    sizes = np.diff(begins, append=len(occurrences.value))
    is_new = np.ones(len(film), np.int64)
    is_new[1:] = (occurrences.value[1:] != occurrences.value[:-1]) | (film[1:] != film[:-1])
    n_films = np.add.reduceat(is_new, begins) if len(begins) else sizes
    is_useful = (n_films > 1) & (n_films <= common_films) & (sizes <= CLIPS_PER_FILM * common_films)
    keep = np.repeat(is_useful, sizes)
    return _count_pairs(occurrences.chosen(keep), film[keep], np.repeat(n_films, sizes)[keep])


def _count_pairs(occurrences: _Occurrences, film: Whole, n_films: Whole) -> SharedPairs:
    """Pair all clips that share a hash, and count hashes by pair and time offset."""
    import numpy as np

    parts: list[tuple[Whole, Whole, Whole, Reals]] = []
    step = 1
    while step < len(occurrences.value):
        same = np.flatnonzero(occurrences.value[:-step] == occurrences.value[step:])
        if not len(same):
            break
        i = same[film[same] != film[same + step]]
        j = i + step
        offset_s = (occurrences.moment[i] - occurrences.moment[j]) // MOMENTS_PER_S
        parts.append((occurrences.row[i], occurrences.row[j], offset_s, 1 / np.log2(n_films[i])))
        step += 1
    if not parts:
        empty = np.zeros(0, np.int64)
        return SharedPairs(empty, empty, empty, np.zeros(0))
    first, second, offset_s, weight = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    return _best_offset(first, second, offset_s, weight)


def _best_offset(first: Whole, second: Whole, offset_s: Whole, weight: Reals) -> SharedPairs:
    """Keep for each pair of clips the time offset with the highest score, to 1 or 2 seconds."""
    import numpy as np

    order = np.lexsort((offset_s, second, first))
    first, second, offset_s, weight = (
        first[order], second[order], offset_s[order], weight[order]
    )  # fmt: skip
    changes = (np.diff(first, prepend=-1) != 0) | (np.diff(second, prepend=-1) != 0)
    begins = np.flatnonzero(changes | (np.diff(offset_s, prepend=-(2**40)) != 0))
    count = np.diff(begins, append=len(first))
    score = np.add.reduceat(weight, begins) if len(begins) else np.zeros(0)
    first, second, offset_s = first[begins], second[begins], offset_s[begins]
    # Offsets are whole seconds: add the next second, for offsets near its start.
    is_same_pair = (first[1:] == first[:-1]) & (second[1:] == second[:-1])
    is_next = is_same_pair & (offset_s[1:] == offset_s[:-1] + 1)
    both, both_count = score.copy(), count.copy()
    both[:-1] += np.where(is_next, score[1:], 0)
    both_count[:-1] += np.where(is_next, count[1:], 0)
    order = np.lexsort((both, second, first))
    first, second, both, both_count = (
        first[order], second[order], both[order], both_count[order]
    )  # fmt: skip
    is_last = np.ones(len(first), np.bool_)
    is_last[:-1] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    return SharedPairs(first[is_last], second[is_last], both_count[is_last], both[is_last])


def _repeated_hashes(path: Path, column: str) -> _Occurrences:
    """Return all hashes that occur at least twice, and a few others."""
    import numpy as np

    repeated = _repeated_keys(path, column)
    # A quick filter by fewer bits, before the search.
    is_marked = np.zeros(1 << MARK_BITS, np.bool_)
    is_marked[repeated & ((1 << MARK_BITS) - 1)] = True
    parts = []
    for row, ends, hashes in _batches(path, column):
        index = np.flatnonzero(is_marked[(hashes >> MOMENT_BITS) & ((1 << MARK_BITS) - 1)])
        key = _keys(hashes[index])
        nearest = repeated[np.searchsorted(repeated, key).clip(max=len(repeated) - 1)]
        index = index[nearest == key]
        parts.append((hashes[index], row + np.searchsorted(ends, index, side="right")))
    hashes = np.concatenate([part for part, _ in parts] or [np.zeros(0, np.int64)])
    rows = np.concatenate([part for _, part in parts] or [np.zeros(0, np.int64)])
    return _Occurrences(hashes >> MOMENT_BITS, rows, hashes & ((1 << MOMENT_BITS) - 1))


def _repeated_keys(path: Path, column: str) -> Keys:
    """Return the 32-bit keys of hashes that occur more than once, ascending."""
    import numpy as np

    keys: Keys = np.empty(_max_values(path, column), np.uint32)
    filled = 0
    for _, _, hashes in _batches(path, column):
        keys[filled : filled + len(hashes)] = _keys(hashes)
        filled += len(hashes)
    ordered = keys[:filled]
    ordered.sort()
    repeated: Keys = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    return repeated


def _keys(hashes: Whole) -> Keys:
    import numpy as np

    low: Keys = ((hashes >> MOMENT_BITS) & ((1 << KEY_BITS) - 1)).astype(np.uint32)
    return low


def _max_values(path: Path, column: str) -> int:
    """Return an upper limit of the number of hashes in a column."""
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
    """Yield batches of rows: number of the first row, end of each row's hashes, and the hashes."""
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
