"""Measure how much of a frame stays the same, to distinguish a new scene from a local change.

A title, a character or a scratch changes only some parts of the frame. Gate weave moves the whole
frame by a few pixels. So frames are compared part by part, at the best shift (`part_that_stays`).
If seconds are between the frames and objects have moved, each pixel is compared with its
neighbourhood (`part_within_reach`). Comparison by parts follows Kasturi and Jain (1991, Dynamic
Vision) and Xiong and Lee (1998, Efficient Scene Change Detection): a scene change alters most
parts, an object does not.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

Luma = NDArray[np.uint8]
Floats = NDArray[np.float32]

_REACH = 2  # largest shift of the frame, in pixels of the small frame: 3 % of its width
_PART = 8  # width and height of a part, in pixels (approximate)
_PLAIN = 4.0  # a part whose standard deviation is below this, in levels, has no pattern
# A part that stays differs by at most this fraction of its variance (sub-pixel shifts) ...
_SHARE = 0.5
_MOST = 12.0  # ... and by at most this many levels, even if its pattern is strong
_DARK = 32.0  # plain parts darker than this are ignored: black is the same in every scene
_SLACK = 8.0  # tolerance for noise and light beyond the range of the neighbourhood, in levels
_AROUND = np.ones((2 * _REACH + 1, 2 * _REACH + 1), np.uint8)
_FEWEST = 4  # number of usable parts that a comparison needs


def part_within_reach(before: Luma, after: Luma) -> float:
    """Return the fraction of pixels that are within the range of the other frame's neighbourhood.

    The range of a pixel's neighbourhood, `_REACH` pixels wide, goes from its erosion to its
    dilation. Slow objects stay within it, and so does the background of thin letters. Both
    directions are tested, and the larger fraction counts: a frame with a title may contain the
    range of the frame without it, or the reverse.

    Args:
        before: luma, shape (h, w), about 36 x 64.
        after: the same.
    """
    is_lit = np.maximum(before, after) > _DARK
    if is_lit.sum() < is_lit.size / 8:
        return 0.0
    within = [
        (inner >= cv2.erode(outer, _AROUND) - _SLACK)
        & (inner <= cv2.dilate(outer, _AROUND) + _SLACK)
        for inner, outer in ((before, after), (after, before))
    ]
    return float(max(mask[is_lit].mean() for mask in within))


def part_that_stays(before: Luma, after: Luma) -> float:
    """Return the fraction of the frame, 0 to 1, that is the same in both frames.

    Args:
        before: luma, shape (h, w), about 36 x 64.
        after: the same.
    """
    return float(_unchanged_share(_Reference(before), _Shifted(after)))


def most_that_stays(before: Iterable[Luma], after: Iterable[Luma]) -> float:
    """Return the largest `part_that_stays` of any frame of `before` and any of `after`."""
    references = [_Reference(luma) for luma in before]
    moved = [_Shifted(luma) for luma in after]
    return max(_unchanged_share(reference, other) for reference in references for other in moved)


class _Reference:
    """A frame without its border, with mean and variance of its parts."""

    def __init__(self, luma: Luma) -> None:
        frame = _smooth(luma)
        height, width = frame.shape
        self.frame = frame[_REACH : height - _REACH, _REACH : width - _REACH]
        self.mean, self.variance = _moments(self.frame)


class _Shifted:
    """A frame at all shifts, with mean and variance of its parts at each shift."""

    def __init__(self, luma: Luma) -> None:
        frame = _smooth(luma)
        inner = (frame.shape[0] - 2 * _REACH, frame.shape[1] - 2 * _REACH)
        views = np.lib.stride_tricks.sliding_window_view(frame, inner)
        self.frames = np.ascontiguousarray(views.reshape(-1, *inner))
        self.mean, self.variance = _moments(self.frames)


def _unchanged_share(a: _Reference, b: _Shifted) -> float:
    covariance = _means(a.frame * b.frames) - a.mean * b.mean
    difference = a.variance + b.variance - 2 * covariance + (a.mean - b.mean) ** 2
    smaller_variance = np.minimum(a.variance, b.variance)
    is_same = difference < np.minimum(_PLAIN**2 + _SHARE * smaller_variance, _MOST**2)
    is_lit = np.maximum(a.mean, b.mean) > _DARK
    is_usable = is_lit | (np.maximum(a.variance, b.variance) > _PLAIN**2)
    n_usable = is_usable.sum(axis=(1, 2))
    shares = (is_same & is_usable).sum(axis=(1, 2)) / np.maximum(n_usable, 1)
    return float(np.where(n_usable < _FEWEST, 0.0, shares).max())


def _smooth(luma: Luma) -> Floats:
    """Return a smoothed frame, which is less sensitive to sub-pixel shifts and noise."""
    return np.asarray(cv2.GaussianBlur(luma, (3, 3), 0), np.float32)


def _moments(frames: Floats) -> tuple[Floats, Floats]:
    mean = _means(frames)
    return mean, np.maximum(_means(frames**2) - mean**2, 0)


def _means(frames: Floats) -> Floats:
    """Return the means of the parts of frames, shape (..., h, w)."""
    height, width = frames.shape[-2:]
    return np.asarray(_pooling(height) @ frames @ _pooling(width).T)


def _pooling(n: int) -> Floats:
    """Return the matrix that maps `n` pixels to the means of parts of about `_PART` pixels."""
    parts = max(1, round(n / _PART))
    part_of = np.arange(n) * parts // n
    matrix = (part_of == np.arange(parts)[:, None]).astype(np.float32)
    return np.asarray(matrix / matrix.sum(axis=1, keepdims=True), np.float32)
