"""How much of a frame stays: what tells a new scene from an old one that something happened to.

A title, a character and a scratch change some parts of the video and leave the rest. A jump of
the film in the gate moves all of it by the same few pixels. So the video is compared part by
part, at the shift that suits best (`part_that_stays`). Where seconds lie between the frames and
things have moved, each pixel is compared with all that is near (`part_within_reach`). Comparison
by parts is that of Kasturi and Jain (1991, Dynamic Vision) and Xiong and Lee (1998, Efficient
Scene Change Detection): a scene change alters most parts, an object does not.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

Luma = NDArray[np.uint8]
Floats = NDArray[np.float32]

_REACH = 2  # the film moves by that many pixels of the small frame at most: 3 % of its width
_PART = 8  # a part's width and height in pixels, about
_PLAIN = 4.0  # levels: a part that varies less has no pattern, only a brightness
_SHARE = 0.5  # of its variance, by which a part that stays differs at most: it shifts by less
_MOST = 12.0  # than a pixel; and levels by which it differs at most, however strong its pattern
_DARK = 32.0  # brightness of a plain part that tells nothing: black is black in every scene
_SLACK = 8.0  # levels beyond the range of the surroundings that noise and light explain
_AROUND = np.ones((2 * _REACH + 1, 2 * _REACH + 1), np.uint8)
_FEWEST = 4  # parts that tell something; with fewer nothing is known


def part_within_reach(before: Luma, after: Luma) -> float:
    """The part of the video, 0 to 1, whose pixels lie within the range of their surroundings.

    The surroundings are those of the other frame: its brightness at most `_REACH` pixels away
    goes from its erosion to its dilation. What moves slowly stays within them, and so does the
    frame behind thin letters. The better of the two ways counts: the bare frame within the
    titled one, or the reverse.

    Args:
        before: brightness, shape (h, w), about 36 x 64; `after`: the same.
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
    """The part of the video, 0 to 1, in which the one frame is found again in the other.

    Args:
        before: brightness, shape (h, w), about 36 x 64; `after`: the same.
    """
    return float(_stays(_Reference(before), _Moved(after)))


def most_that_stays(before: Iterable[Luma], after: Iterable[Luma]) -> float:
    """The greatest part that stays between any frame of `before` and any of `after`."""
    references = [_Reference(luma) for luma in before]
    moved = [_Moved(luma) for luma in after]
    return max(_stays(reference, other) for reference in references for other in moved)


class _Reference:
    """A frame without its border, and mean and variance of its parts."""

    def __init__(self, luma: Luma) -> None:
        frame = _smooth(luma)
        height, width = frame.shape
        self.frame = frame[_REACH : height - _REACH, _REACH : width - _REACH]
        self.mean, self.variance = _moments(self.frame)


class _Moved:
    """A frame at all shifts, and mean and variance of its parts at each."""

    def __init__(self, luma: Luma) -> None:
        frame = _smooth(luma)
        inner = (frame.shape[0] - 2 * _REACH, frame.shape[1] - 2 * _REACH)
        views = np.lib.stride_tricks.sliding_window_view(frame, inner)
        self.frames = np.ascontiguousarray(views.reshape(-1, *inner))
        self.mean, self.variance = _moments(self.frames)


def _stays(a: _Reference, b: _Moved) -> float:
    covariance = _means(a.frame * b.frames) - a.mean * b.mean
    difference = a.variance + b.variance - 2 * covariance + (a.mean - b.mean) ** 2
    fainter = np.minimum(a.variance, b.variance)
    is_found = difference < np.minimum(_PLAIN**2 + _SHARE * fainter, _MOST**2)
    is_lit = np.maximum(a.mean, b.mean) > _DARK
    tells = is_lit | (np.maximum(a.variance, b.variance) > _PLAIN**2)
    n_told = tells.sum(axis=(1, 2))
    shares = (is_found & tells).sum(axis=(1, 2)) / np.maximum(n_told, 1)
    return float(np.where(n_told < _FEWEST, 0.0, shares).max())


def _smooth(luma: Luma) -> Floats:
    """A shift by a part of a pixel, and noise, matter less in a smoothed frame."""
    return np.asarray(cv2.GaussianBlur(luma, (3, 3), 0), np.float32)


def _moments(frames: Floats) -> tuple[Floats, Floats]:
    mean = _means(frames)
    return mean, np.maximum(_means(frames**2) - mean**2, 0)


def _means(frames: Floats) -> Floats:
    """Means of the parts of frames, shape (..., h, w)."""
    height, width = frames.shape[-2:]
    return np.asarray(_pooling(height) @ frames @ _pooling(width).T)


def _pooling(n: int) -> Floats:
    """The matrix that takes `n` pixels to the means of parts of about `_PART` pixels."""
    parts = max(1, round(n / _PART))
    part_of = np.arange(n) * parts // n
    matrix = (part_of == np.arange(parts)[:, None]).astype(np.float32)
    return np.asarray(matrix / matrix.sum(axis=1, keepdims=True), np.float32)
