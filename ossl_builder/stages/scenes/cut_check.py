"""Which of the cuts that PySceneDetect reports are cuts: the frame must have changed for good."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ossl_builder.stages.scenes.similarity import Luma, most_that_stays

_FEWEST_FRAMES = 7  # compared at least: animation may move in every fourth only
_PLAIN = 15.0  # change, in levels, that needs little more to be a cut; less is faint
_RETURN = 0.5  # part of the change below which two frames are the same shot
_BEYOND = 1.3  # times the change within either side that a faint cut must exceed
_AMID = 0.65  # the same for a plain one: it may stand amid fast movement
_SAME = 0.3  # part of the video that stays within a shot


@dataclass(frozen=True)
class _Seen:
    number: int
    time_s: float
    frame: NDArray[np.float32]
    luma: Luma


class CutChecker:
    """Checks cuts as soon as enough of what follows them has been seen."""

    def __init__(self, reach_s: float) -> None:
        """`reach_s`: how much before and after a cut is compared, if that is some frames."""
        self._reach_s = reach_s
        self._seen: deque[_Seen] = deque()
        self._open: list[int] = []
        self._cuts: list[int] = []

    def feed(self, number: int, time_s: float, frame: NDArray[np.float32], luma: Luma) -> None:
        """`frame`: luma and both chroma, about 18 x 32 x 3; `luma`: about 36 x 64."""
        self._seen.append(_Seen(number, time_s, frame, luma))
        if self._open and self._is_enough(self._after(self._open[0])):
            self._close()
        while (
            len(self._seen) > 4 * _FEWEST_FRAMES
            and self._seen[0].time_s < time_s - 4 * self._reach_s
        ):
            self._seen.popleft()

    def report(self, number: int) -> None:
        """A cut was reported: `number` is the first frame after it, and was fed lately."""
        self._open.append(number)

    def finish(self) -> list[int]:
        """Numbers of the first frames after true cuts, in film order."""
        while self._open:
            self._close()
        return self._cuts

    def _close(self) -> None:
        number = self._open.pop(0)
        after = self._after(number)
        before = [seen for seen in self._seen if seen.number < number]
        # From the cut outwards, on either side.
        before, after = self._near(before[::-1])[::-1], self._near(after)
        if before and after:
            left, right = (np.stack([seen.frame for seen in side]) for side in (before, after))
            lumas = [seen.luma for seen in before], [seen.luma for seen in after]
            if is_other(*lumas) and is_cut(left, right):
                self._cuts.append(number)

    def _after(self, number: int) -> list[_Seen]:
        return [seen for seen in self._seen if seen.number >= number]

    def _is_enough(self, side: list[_Seen]) -> bool:
        return len(side) > _FEWEST_FRAMES and side[-1].time_s - side[0].time_s >= self._reach_s

    def _near(self, side: list[_Seen]) -> list[_Seen]:
        reached = [seen for seen in side if abs(seen.time_s - side[0].time_s) < self._reach_s]
        return side[: max(_FEWEST_FRAMES, len(reached))]


def is_other(before: Sequence[Luma], after: Sequence[Luma]) -> bool:
    """Whether no video of the one run shows what one of the other does.

    The first, middle and last of each are compared, so that a flash or damage in some of them
    hides nothing.
    """
    ends = ([side[0], side[len(side) // 2], side[-1]] for side in (before, after))
    return most_that_stays(*ends) < _SAME


def is_cut(before: NDArray[np.float32], after: NDArray[np.float32]) -> bool:
    """Whether the frame changes for good between two short runs of frames.

    A flash, or something that passes close to the camera, leaves the old frame behind it: a
    frame from before the change looks like one from after it. Fast movement, and animation in
    steps of several frames, change as much within either run as between them. A flash or damage
    near a cut does so, too: the frames that most of their run are unlike are then left out.

    Args:
        before: shape (n, h, w, 3): luma and both chroma, levels 0 to 255.
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
    """The frames of a run that are about as much like its others as most of them are."""
    typical = np.median(within, axis=1)
    return np.asarray(typical <= max(2 * float(np.median(typical)), _PLAIN))


def _distances(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean absolute difference of all pairs, summed over luma and chroma; shape (n, m)."""
    apart = np.abs(left[:, None] - right[None]).mean(axis=(2, 3)).sum(axis=2)
    return np.asarray(apart, np.float32)
