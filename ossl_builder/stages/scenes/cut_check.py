"""Check the cuts that PySceneDetect reports: at a cut the frames change permanently."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ossl_builder.stages.scenes.similarity import Luma, most_that_stays

_FEWEST_FRAMES = 7  # frames compared at least: animation may change only every fourth frame
_PLAIN = 15.0  # a change of this many levels is clear; a smaller one is faint
_RETURN = 0.5  # two frames that differ by less than this fraction of the change are one shot
_BEYOND = 1.3  # a faint cut must exceed the change within either side by this factor
_AMID = 0.65  # the same factor for a clear cut, which may be within fast movement
_SAME = 0.3  # fraction of the frame that stays the same within a shot


@dataclass(frozen=True)
class _Frame:
    number: int
    time_s: float
    frame: NDArray[np.float32]
    luma: Luma


class CutChecker:
    """Check reported cuts, each as soon as enough frames after it were fed."""

    def __init__(self, reach_s: float) -> None:
        """Start without frames.

        Args:
            reach_s: time before and after a cut that is compared, in seconds; at least
                `_FEWEST_FRAMES` frames are compared.
        """
        self._reach_s = reach_s
        self._frames: deque[_Frame] = deque()
        self._pending: list[int] = []
        self._cuts: list[int] = []

    def feed(self, number: int, time_s: float, frame: NDArray[np.float32], luma: Luma) -> None:
        """Add the next frame.

        Args:
            number: the frame index.
            time_s: its time in seconds.
            frame: luma and both chroma planes, about [18, 32, 3].
            luma: about [36, 64].
        """
        self._frames.append(_Frame(number, time_s, frame, luma))
        if self._pending and self._is_enough(self._after(self._pending[0])):
            self._check_next()
        while (
            len(self._frames) > 4 * _FEWEST_FRAMES
            and self._frames[0].time_s < time_s - 4 * self._reach_s
        ):
            self._frames.popleft()

    def report(self, number: int) -> None:
        """Add a cut to check; `number`: index of the first frame after it, which was fed."""
        self._pending.append(number)

    def finish(self) -> list[int]:
        """Return the indices of the first frames after the confirmed cuts, in film order."""
        while self._pending:
            self._check_next()
        return self._cuts

    def _check_next(self) -> None:
        number = self._pending.pop(0)
        after = self._after(number)
        before = [frame for frame in self._frames if frame.number < number]
        # On both sides, take the frames nearest to the cut.
        before, after = self._near(before[::-1])[::-1], self._near(after)
        if before and after:
            left, right = (np.stack([frame.frame for frame in side]) for side in (before, after))
            lumas = [frame.luma for frame in before], [frame.luma for frame in after]
            if is_other(*lumas) and is_cut(left, right):
                self._cuts.append(number)

    def _after(self, number: int) -> list[_Frame]:
        return [frame for frame in self._frames if frame.number >= number]

    def _is_enough(self, side: list[_Frame]) -> bool:
        return len(side) > _FEWEST_FRAMES and side[-1].time_s - side[0].time_s >= self._reach_s

    def _near(self, side: list[_Frame]) -> list[_Frame]:
        reached = [frame for frame in side if abs(frame.time_s - side[0].time_s) < self._reach_s]
        return side[: max(_FEWEST_FRAMES, len(reached))]


def is_other(before: Sequence[Luma], after: Sequence[Luma]) -> bool:
    """Decide whether all frames before the cut differ from all frames after it.

    The first, middle and last frame of each side are compared, so that a flash or damage in one of
    them does not hide that the shot is the same.
    """
    ends = ([side[0], side[len(side) // 2], side[-1]] for side in (before, after))
    return most_that_stays(*ends) < _SAME


def is_cut(before: NDArray[np.float32], after: NDArray[np.float32]) -> bool:
    """Decide whether the content changes permanently between two short runs of frames.

    After a flash, or an object that passes close to the camera, the old content returns: a frame
    before the change is similar to one after it. Fast movement, and animation in steps of several
    frames, change as much within a run as between the runs. So does a flash or damage near a cut;
    frames that differ from most of their run are therefore left out of a second comparison.

    Args:
        before: shape (n, h, w, 3): luma and both chroma planes, levels 0 to 255.
        after: shape (m, h, w, 3).
    """
    between = _distances(before, after)
    within = [_distances(run, run) for run in (before, after)]
    change = between[-1, 0]
    enough = (_AMID if change >= _PLAIN else _BEYOND) * max(inside.max() for inside in within)
    if between.min() >= _RETURN * change and between.min() > enough:
        return True
    left, right = map(_usual, within)
    enough = _BEYOND * max(within[0][left][:, left].max(), within[1][right][:, right].max())
    change = between[left, :][-1, right][0]
    is_all = left.all() and right.all()
    return bool(not is_all and between.min() >= _RETURN * change and between.min() > enough)


def _usual(within: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return a mask of the frames of a run whose distance to the others is not an outlier."""
    typical = np.median(within, axis=1)
    return np.asarray(typical <= max(2 * float(np.median(typical)), _PLAIN))


def _distances(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean absolute difference of all pairs, summed over planes; shape (n, m)."""
    differences = np.abs(left[:, None] - right[None]).mean(axis=(2, 3)).sum(axis=2)
    return np.asarray(differences, np.float32)
