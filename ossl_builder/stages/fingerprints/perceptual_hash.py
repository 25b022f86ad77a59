"""Perceptual hashes of frames, robust to size, colour and coding.

A frame's hash is the signs of the low frequencies of its cosine transform (C. Zauner,
"Implementation and benchmarking of perceptual image hash functions", 2010). The sign of a
coefficient near zero changes with the coding. Therefore only frames are hashed whose smallest
coefficient is larger than in the frames around them; so two copies also choose the same frames. One
hash combines two successive frames, because single frames of different films are often similar.
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

# Interval between sampled frames; and the range within which a chosen frame's signs are surest.
EVERY_S = 0.1
NEAR_S = 0.3
# A row or column is a border if at most BRIGHT_SHARE of it ever gets brighter than this, of 255.
BORDER = 24
BRIGHT_SHARE = 0.1
# Luma whose standard deviation is less than this, of 255, is flat: black, a fade, fog.
FLAT = 8.0
SIDE = 32
# The frequencies (x, y) of the transform with 0 < x + y < 6 are used: 20 of them.
FREQUENCIES = 6
# A frame is combined with each of the next two frames that differ from it, and from each other, in
# at least this many signs: pairs within one still shot would add no information.
NEXT = 2
DIFFERENT = 3


def sampled(frames: Iterable[tuple[float, Luma]]) -> tuple[Reals, Luma]:
    """Sample frames about EVERY_S apart.

    Args:
        frames: (time in seconds, luma [height, width]), ascending.

    Returns:
        Times in seconds [frames], and luma [frames, height, width].
    """
    import numpy as np

    times: list[float] = []
    samples: list[Luma] = []
    for time_s, luma in frames:
        if not times or time_s >= times[-1] + EVERY_S - 1e-6:
            times.append(time_s)
            samples.append(luma.copy())
    return np.array(times), np.array(samples)


def frame_pairs(times_s: Reals, luma: Luma) -> tuple[Whole, Reals]:
    """Return all pairs of frames whose signs are reliable.

    Args:
        times_s: start times of the frames, ascending.
        luma: [frames, height, width], 0 to 255.

    Returns:
        The content of each pair, as an integer, and the start of its first frame in seconds.
    """
    import numpy as np

    signs, times = _reliable_signs(times_s, _without_borders(luma))
    contents, pair_times_s = [], []
    for first in range(len(signs)):
        chosen = [int(signs[first])]
        for other in map(int, signs[first + 1 :]):
            if len(chosen) > NEXT:
                break
            if all((other ^ sign_bits).bit_count() >= DIFFERENT for sign_bits in chosen):
                chosen.append(other)
                contents.append(chosen[0] << 32 | other)
                pair_times_s.append(float(times[first]))
    return np.array(contents, np.int64), np.array(pair_times_s, np.float64)


def _without_borders(luma: Luma) -> Luma:
    """Return the frames without black borders (letterbox, pillarbox); none if all are black."""
    import numpy as np

    is_bright = luma.max(axis=0, initial=0) > BORDER
    rows = np.flatnonzero(is_bright.mean(axis=1) > BRIGHT_SHARE)
    columns = np.flatnonzero(is_bright.mean(axis=0) > BRIGHT_SHARE)
    if not len(rows) or not len(columns):
        return luma[:0]
    return luma[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _reliable_signs(times_s: Reals, luma: Luma) -> tuple[Whole, Reals]:
    """Return signs, one bit each, and times of the frames with the locally most reliable signs."""
    import cv2
    import numpy as np
    from scipy.fft import dctn

    if not len(luma):
        return np.zeros(0, np.int64), np.zeros(0)
    size = (SIDE, SIDE)
    small = np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in luma])
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
