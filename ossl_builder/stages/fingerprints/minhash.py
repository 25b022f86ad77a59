"""Hashes of what happens at moments of a clip, as 63-bit numbers: what happens, then when.

The upper 43 bits say what happens and are equal wherever the same thing is heard or seen; the lower
20 are the moment, so that matching hashes can be asked whether they keep the same distance in time.
Of all hashes of a clip the smallest are kept: two clips that share a stretch keep the same ones of
it, wherever they begin and end (the bottom sketch of A. Broder, "On the resemblance and
containment of documents", 1997).
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


def minhash(what: Whole, moments_s: Seconds, most: int) -> tuple[int, ...]:
    """The hashes to keep.

    Args:
        what: whole numbers that say what happens; equal for the same thing.
        moments_s: when, after the clip's begin; of what happens again, the first time counts.
        most: how many to keep.

    Returns:
        Hashes, ascending; no two say that the same thing happens.
    """
    import numpy as np

    moments = np.rint(moments_s * MOMENTS_PER_S).astype(np.int64).clip(0, 2**MOMENT_BITS - 1)
    order = np.lexsort((moments, what))
    mixed, first = np.unique(mixed_bits(what[order]), return_index=True)
    hashes = (mixed[:most] << MOMENT_BITS) | moments[order][first[:most]]
    return tuple(int(value) for value in hashes)


def mixed_bits(what: Whole) -> Whole:
    """Numbers whose bits depend on all bits of the given ones: [0, 2**WHAT_BITS).

    The finalizer of SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number
    generators", 2014).
    """
    import numpy as np

    value = what.astype(np.uint64)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    value ^= value >> np.uint64(31)
    mixed: Whole = (value >> np.uint64(64 - WHAT_BITS)).astype(np.int64)
    return mixed
