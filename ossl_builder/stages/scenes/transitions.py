"""Which transitions a film has: cuts, fades and dissolves, put together and named."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ossl_builder.stages.scenes.dissolves import Dissolve

_FADE_S = 3.0  # the longest fade to or from black that is followed to its other end
_LATE_S = 1.0  # stretch beside a black one whose contrast the fade is measured against


@dataclass(frozen=True)
class Boundary:
    """A scene begins with the frame `number`, by a `cut`, a `fade` or a `dissolve`."""

    number: int
    kind: str


@dataclass(frozen=True)
class FrameStats:
    """What is known of every frame.

    Attributes:
        time_s: its time.
        is_black: whether its brightest part is black.
        contrast: standard deviation of its brightness, in levels.
    """

    time_s: NDArray[np.float64]
    is_black: NDArray[np.bool_]
    contrast: NDArray[np.float64]

    def black_runs(self) -> list[tuple[int, int]]:
        """Runs of black frames: (first, first frame after it)."""
        edges = np.flatnonzero(np.diff(np.concatenate(([0], self.is_black.astype(np.int8), [0]))))
        return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


@dataclass(frozen=True)
class Fade:
    """A fade through black: from the frame `start` on, whole again at `end`."""

    start: int
    end: int
    boundary: int


def find_fades(light: FrameStats, middles: Sequence[int], cuts: Sequence[int]) -> list[Fade]:
    """The stretches of black that the video fades into, out of, or both.

    The boundary is the middle of the black if the video fades on both sides of it, else the
    side on which it is cut.

    Args:
        light: every frame.
        middles: numbers of frames in the middle of black stretches, from ThresholdDetector.
        cuts: numbers of the first frames after cuts; no fade reaches across one.
    """
    fades = []
    for first, after in light.black_runs():
        inside = [middle for middle in middles if first <= middle <= after]
        if not inside or first == 0 or after == len(light.time_s):
            continue
        earlier = max((cut for cut in cuts if cut < first - 1), default=0)
        later = min((cut for cut in cuts if cut > after + 1), default=len(light.time_s))
        black = float(light.contrast[first:after].min())
        start = _faded(light, range(first - 1, earlier - 1, -1), black)
        end = _faded(light, range(after, later), black)
        if start is not None and end is not None:
            fades.append(Fade(start, end + 1, inside[0]))
        elif start is not None:
            fades.append(Fade(start, after + 1, after))
        elif end is not None:
            fades.append(Fade(first, end + 1, first))
    return fades


def _faded(light: FrameStats, away: range, black: float) -> int | None:
    """The frame at which a fade is whole, going `away` from black; None: it does not fade."""
    edge_s = light.time_s[away[0]] if len(away) else 0.0
    near = [k for k in away if abs(light.time_s[k] - edge_s) <= _FADE_S]
    late = [k for k in near if abs(light.time_s[k] - edge_s) <= _LATE_S]
    if len(late) < 4:
        return None
    full = light.contrast[late].max()
    # Steadily less contrast towards black, and less than half of it beside it: not one frame
    # that happens to be a blend.
    if (
        black > 0.25 * full
        or light.contrast[late[0]] > 0.5 * full
        or light.contrast[late[2]] > 0.9 * full
    ):
        return None
    whole = light.contrast[near].max()
    return next(k for k in near if light.contrast[k] >= 0.9 * whole)


def name_transitions(
    light: FrameStats,
    end_s: float,
    cuts: Sequence[int],
    fades: Sequence[Fade],
    dissolves: Sequence[Dissolve],
    damaged: Sequence[tuple[float, float]],
    min_scene_s: float,
) -> list[Boundary]:
    """All boundaries between scenes, in film order.

    A fade takes the cuts beside it; a cut or a fade rules out a dissolve. What seems to change
    in damaged frames is no boundary. Of two that are closer than `min_scene_s` the later goes,
    unless it is a cut and the earlier is none.

    Args:
        light: every frame.
        end_s: the film's end.
        cuts: numbers of the first frames after cuts.
        fades: as found by `find_fades`.
        dissolves: as found by `DissolveFinder`.
        damaged: stretches that could not be decoded, in seconds.
        min_scene_s: the shortest scene.
    """
    found = [Boundary(fade.boundary, "fade") for fade in fades]
    found += [
        Boundary(cut, "cut")
        for cut in cuts
        if not any(fade.start <= cut <= fade.end for fade in fades)
    ]
    firm = [(boundary.number, boundary.number) for boundary in found]
    firm += [(fade.start, fade.end) for fade in fades]
    for dissolve in dissolves:
        is_black = light.is_black[dissolve.start : dissolve.end + 1].any()
        if not is_black and all(b < dissolve.start or dissolve.end < a for a, b in firm):
            middle = (light.time_s[dissolve.start] + light.time_s[dissolve.end]) / 2
            found.append(Boundary(bisect_left(light.time_s, middle), "dissolve"))
    kept: list[Boundary] = []
    last_s = 0.0
    for boundary in sorted(found, key=lambda boundary: boundary.number):
        time_s = float(light.time_s[boundary.number])
        if any(a <= time_s <= b for a, b in damaged) or end_s - time_s < min_scene_s:
            continue
        if time_s - last_s < min_scene_s:
            if not kept or boundary.kind != "cut" or kept[-1].kind == "cut":
                continue
            kept.pop()
        kept.append(boundary)
        last_s = time_s
    return kept
