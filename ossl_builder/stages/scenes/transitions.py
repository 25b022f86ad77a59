"""Find fades, and combine cuts, fades and dissolves to the boundaries of scenes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ossl_builder.stages.scenes.dissolves import Dissolve

_FADE_S = 3.0  # longest fade to or from black, in seconds
_LATE_S = 1.0  # time next to the black segment in which a fade must be visible, in seconds


@dataclass(frozen=True)
class Boundary:
    """The start of a scene: index of its first frame, and `cut`, `fade` or `dissolve`."""

    number: int
    kind: str


@dataclass(frozen=True)
class FrameStats:
    """Statistics of every frame.

    Attributes:
        time_s: time in seconds, [frames].
        is_black: whether the brightest part of the frame is black, [frames].
        contrast: standard deviation of luma, in levels, [frames].
    """

    time_s: NDArray[np.float64]
    is_black: NDArray[np.bool_]
    contrast: NDArray[np.float64]

    def black_runs(self) -> list[tuple[int, int]]:
        """Return the runs of black frames as half-open pairs of frame indices."""
        edges = np.flatnonzero(np.diff(np.concatenate(([0], self.is_black.astype(np.int8), [0]))))
        return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


@dataclass(frozen=True)
class Fade:
    """A fade through black: it begins at frame `start` and has ended at frame `end`."""

    start: int
    end: int
    boundary: int


def find_fades(light: FrameStats, middles: Sequence[int], cuts: Sequence[int]) -> list[Fade]:
    """Return the fades: black segments that the video fades into, out of, or both.

    The boundary is the middle of the black segment if the video fades on both sides, else the side
    without a fade.

    Args:
        light: statistics of every frame.
        middles: indices of frames in the middle of black segments, from ThresholdDetector.
        cuts: indices of the first frames after cuts; a fade does not extend over a cut.
    """
    fades = []
    for first, after in light.black_runs():
        inside = [middle for middle in middles if first <= middle <= after]
        if not inside or first == 0 or after == len(light.time_s):
            continue
        earlier = max((cut for cut in cuts if cut < first - 1), default=0)
        later = min((cut for cut in cuts if cut > after + 1), default=len(light.time_s))
        black = float(light.contrast[first:after].min())
        start = _fade_edge(light, range(first - 1, earlier - 1, -1), black)
        end = _fade_edge(light, range(after, later), black)
        if start is not None and end is not None:
            fades.append(Fade(start, end + 1, inside[0]))
        elif start is not None:
            fades.append(Fade(start, after + 1, after))
        elif end is not None:
            fades.append(Fade(first, end + 1, first))
    return fades


def _fade_edge(light: FrameStats, away: range, black: float) -> int | None:
    """Return the frame index at which a fade from black is complete; None: there is no fade.

    Args:
        light: statistics of every frame.
        away: frame indices from the black segment outwards.
        black: contrast of the black segment.
    """
    edge_s = light.time_s[away[0]] if len(away) else 0.0
    near_black = [k for k in away if abs(light.time_s[k] - edge_s) <= _FADE_S]
    beside = [k for k in near_black if abs(light.time_s[k] - edge_s) <= _LATE_S]
    if len(beside) < 4:
        return None
    full = light.contrast[beside].max()
    # Contrast falls steadily towards black, to less than half next to it. A single blended frame
    # at a cut does not pass.
    if (
        black > 0.25 * full
        or light.contrast[beside[0]] > 0.5 * full
        or light.contrast[beside[2]] > 0.9 * full
    ):
        return None
    peak = light.contrast[near_black].max()
    return next(k for k in near_black if light.contrast[k] >= 0.9 * peak)


def name_transitions(
    light: FrameStats,
    end_s: float,
    cuts: Sequence[int],
    fades: Sequence[Fade],
    dissolves: Sequence[Dissolve],
    damaged: Sequence[tuple[float, float]],
    min_scene_s: float,
) -> list[Boundary]:
    """Return all boundaries between scenes, in film order.

    A fade replaces the cuts within it. A cut or a fade excludes a dissolve at the same place.
    Changes in damaged frames are no boundaries. Of two boundaries closer than `min_scene_s` the
    later is dropped, unless it is a cut and the earlier is not.

    Args:
        light: statistics of every frame.
        end_s: end of the film, in seconds.
        cuts: indices of the first frames after cuts.
        fades: result of `find_fades`.
        dissolves: result of `DissolveFinder`.
        damaged: intervals that could not be decoded, in seconds.
        min_scene_s: shortest scene, in seconds.
    """
    candidates = [Boundary(fade.boundary, "fade") for fade in fades]
    candidates += [
        Boundary(cut, "cut")
        for cut in cuts
        if not any(fade.start <= cut <= fade.end for fade in fades)
    ]
    blocked = [(boundary.number, boundary.number) for boundary in candidates]
    blocked += [(fade.start, fade.end) for fade in fades]
    for dissolve in dissolves:
        is_black = light.is_black[dissolve.start : dissolve.end + 1].any()
        if not is_black and all(b < dissolve.start or dissolve.end < a for a, b in blocked):
            middle = (light.time_s[dissolve.start] + light.time_s[dissolve.end]) / 2
            candidates.append(Boundary(bisect_left(light.time_s, middle), "dissolve"))
    boundaries: list[Boundary] = []
    last_s = 0.0
    for boundary in sorted(candidates, key=lambda boundary: boundary.number):
        time_s = float(light.time_s[boundary.number])
        if any(a <= time_s <= b for a, b in damaged) or end_s - time_s < min_scene_s:
            continue
        if time_s - last_s < min_scene_s:
            if not boundaries or boundary.kind != "cut" or boundaries[-1].kind == "cut":
                continue
            boundaries.pop()
        boundaries.append(boundary)
        last_s = time_s
    return boundaries
