"""Hashes of content at moments of a clip, as 63-bit numbers.

The upper 43 bits are a hash of the content; equal content gives equal bits. The lower 20 bits are
the time, so that the time differences of matching hashes can be compared. Of all hashes of a clip
only the smallest are kept. Two clips that share a segment keep the same hashes of it, wherever they
start and end (the bottom sketch of A. Broder, "On the resemblance and containment of documents",
1997).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Whole = NDArray[np.int64]
    Seconds = NDArray[np.float64]

MOMENT_BITS = 20
MOMENTS_PER_S = 10
WHAT_BITS = 43


def minhash(contents: Whole, moments_s: Seconds, max_hashes: int) -> tuple[int, ...]:
    """Return the smallest hashes of a clip.

    Args:
        contents: the contents, as integers.
        moments_s: their times in the clip, in seconds; of repeated content the first time counts.
        max_hashes: number of hashes to keep.

    Returns:
        Hashes, ascending, each of another content.
    """
    import numpy as np

    moments = np.rint(moments_s * MOMENTS_PER_S).astype(np.int64).clip(0, 2**MOMENT_BITS - 1)
    order = np.lexsort((moments, contents))
    mixed, first = np.unique(mixed_bits(contents[order]), return_index=True)
    hashes = (mixed[:max_hashes] << MOMENT_BITS) | moments[order][first[:max_hashes]]
    return tuple(int(value) for value in hashes)


def mixed_bits(contents: Whole) -> Whole:
    """Return numbers in [0, 2**WHAT_BITS) whose bits depend on all bits of the input.

    The finalizer of SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number
    generators", 2014).
    """
    import numpy as np

    value = contents.astype(np.uint64)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    value ^= value >> np.uint64(31)
    mixed: Whole = (value >> np.uint64(64 - WHAT_BITS)).astype(np.int64)
    return mixed
