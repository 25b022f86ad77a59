"""Hashes of frames: the signs of their coarsest shapes, whatever the size, colour or coding.

A frame's hash is the signs of the low frequencies of its cosine transform (C. Zauner,
"Implementation and benchmarking of perceptual image hash functions", 2010). Signs of frequencies
near zero change with the coding, so only frames are hashed that are surer of theirs than those
around them: that also makes two copies choose the same frames. Two that follow each other make
one hash, since single frames of different films are too often alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Luma = NDArray[np.uint8]
    Reals = NDArray[np.float64]
    Whole = NDArray[np.int64]
    Mask = NDArray[np.bool_]

# So often is a frame looked at; and it must be surer of its signs than all this near to it.
EVERY_S = 0.1
NEAR_S = 0.3
# Borders are where a tenth of the line is nowhere in the clip brighter than this, of 255.
BORDER = 24
BRIGHT_SHARE = 0.1
# Luma whose standard deviation is less than this, of 255, is flat: black, a fade, fog.
FLAT = 8.0
SIDE = 32
# Of the transform, the frequencies (x, y) with 0 < x + y < 6: 20 of them.
FREQUENCIES = 6
# A frame makes a hash with each of the next two that differ from it, and from each other, in this
# many signs: those of one still shot would say no more than each of them alone.
NEXT = 2
DIFFERENT = 3


def sampled(frames: Iterable[tuple[float, Luma]]) -> tuple[Reals, Luma]:
    """Frames about EVERY_S apart: their times in s, and their luma [frames, height, width]."""
    import numpy as np

    times: list[float] = []
    kept: list[Luma] = []
    for time_s, luma in frames:
        if not times or time_s >= times[-1] + EVERY_S - 1e-6:
            times.append(time_s)
            kept.append(luma.copy())
    return np.array(times), np.array(kept)


def frame_pairs(times_s: Reals, luma: Luma) -> tuple[Whole, Reals]:
    """All pairs of sure frames.

    Args:
        times_s: when the frames begin, ascending.
        luma: [frames, height, width], 0 to 255.

    Returns:
        What each pair is, as a whole number, and when its first frame begins, in seconds.
    """
    import numpy as np

    signs, times = _sure_signs(times_s, _without_borders(luma))
    what, when = [], []
    for first in range(len(signs)):
        chosen = [int(signs[first])]
        for other in map(int, signs[first + 1 :]):
            if len(chosen) > NEXT:
                break
            if all((other ^ one).bit_count() >= DIFFERENT for one in chosen):
                chosen.append(other)
                what.append(chosen[0] << 32 | other)
                when.append(float(times[first]))
    return np.array(what, np.int64), np.array(when, np.float64)


def _without_borders(luma: Luma) -> Luma:
    """Frames without black borders (letterbox, pillarbox); none if all is black."""
    import numpy as np

    is_bright = luma.max(axis=0, initial=0) > BORDER
    rows = np.flatnonzero(is_bright.mean(axis=1) > BRIGHT_SHARE)
    columns = np.flatnonzero(is_bright.mean(axis=0) > BRIGHT_SHARE)
    if not len(rows) or not len(columns):
        return luma[:0]
    return luma[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _sure_signs(times_s: Reals, luma: Luma) -> tuple[Whole, Reals]:
    """Signs, one bit each, of the frames that are surer of theirs than all around them."""
    import cv2
    import numpy as np
    from scipy.fft import dctn

    if not len(luma):
        return np.zeros(0, np.int64), np.zeros(0)
    size = (SIDE, SIDE)
    small = np.stack([cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in luma])
    small = small.astype(np.float64)
    rows, columns = np.indices((FREQUENCIES, FREQUENCIES)).reshape(2, -1)
    is_coarse = (rows + columns > 0) & (rows + columns < FREQUENCIES)
    rows, columns = rows[is_coarse], columns[is_coarse]
    waves = dctn(small, axes=(1, 2), norm="ortho")[:, rows, columns]
    strength = np.sqrt((waves**2).mean(axis=1)) + 1e-9
    sureness = np.abs(waves).min(axis=1) / strength
    is_shaped: Mask = small.std(axis=(1, 2)) > FLAT
    sureness = np.where(is_shaped, sureness, -1.0)
    begins = np.searchsorted(times_s, times_s - NEAR_S - 1e-6)
    ends = np.searchsorted(times_s, times_s + NEAR_S + 1e-6)
    is_surest = np.array(
        [sureness[i] >= sureness[begins[i] : ends[i]].max() for i in range(len(times_s))]
    )
    is_sure = is_shaped & is_surest
    bits = (waves > 0) @ (1 << np.arange(len(rows), dtype=np.int64))
    return bits[is_sure], times_s[is_sure]
