"""Detect cuts and fades with PySceneDetect's detectors, on frames that this package decodes.

PySceneDetect 0.7 uses presentation times, but its detectors still count frames in some places. So
they get a frame rate of one frame per tick: a frame number is then a tick, and nothing is rounded.
"""

from __future__ import annotations

from collections import deque
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray
from scenedetect.common import FrameTimecode, Timecode
from scenedetect.detectors import AdaptiveDetector, ThresholdDetector

_REACH = 6  # frames that AdaptiveDetector compares to decide on one frame, plus one


class Detectors:
    """Two AdaptiveDetectors (with and without colour) and one ThresholdDetector.

    Hue and saturation of a black-and-white frame are noise, so such a frame is processed by the
    detector without colour. Near a change between colour and black-and-white, both detectors
    process the frame.
    """

    def __init__(
        self, time_base: Fraction, threshold: float, least_change: float, black_level: float
    ) -> None:
        """Create the detectors.

        Args:
            time_base: seconds per tick.
            threshold: AdaptiveDetector's `adaptive_threshold`: ratio of a frame's change to the
                mean change of the frames around it.
            least_change: its `min_content_val`: minimum change of a cut, 0 to 255.
            black_level: ThresholdDetector's threshold: a darker frame is black.
        """
        self._time_base = time_base
        self._rate = 1 / time_base
        self._cuts = {
            has_colour: AdaptiveDetector(
                adaptive_threshold=threshold,
                min_scene_len=0,
                min_content_val=least_change,
                luma_only=not has_colour,
            )
            for has_colour in (False, True)
        }
        self._black = ThresholdDetector(threshold=black_level, min_scene_len=0)
        self._recent: deque[tuple[int, bool]] = deque(maxlen=_REACH)

    def see(
        self, ticks: int, small: NDArray[np.uint8], has_colour: bool, brightness: float
    ) -> tuple[list[int], list[int]]:
        """Process the next frame.

        Args:
            ticks: presentation time of the frame.
            small: the frame as Y, V and U, shape (h, w, 3), luma in full range.
            has_colour: whether the frame has colour.
            brightness: brightness of the brightest part of the frame, 0 to 255. With the mean,
                for which ThresholdDetector is designed, every night scene would be black.

        Returns:
            Ticks of the first frame after each cut, reported two frames late; ticks of the middle
            of each black segment, reported when the segment has ended.
        """
        time = FrameTimecode(Timecode(pts=ticks, time_base=self._time_base), fps=self._rate)
        self._recent.append((ticks, has_colour))
        cuts = []
        for uses_colour in {coloured for _, coloured in self._recent}:
            if uses_colour:
                frame = cv2.cvtColor(small, cv2.COLOR_YCrCb2BGR)
            else:
                frame = cv2.cvtColor(cv2.extractChannel(small, 0), cv2.COLOR_GRAY2BGR)
            detected = self._cuts[uses_colour].process_frame(time, frame)
            cuts += [cut.pts for cut in detected if self._has_colour(cut.pts) == uses_colour]
        middles = self._black.process_frame(time, np.array([[brightness]]))
        return cuts, [middle.pts for middle in middles]

    def _has_colour(self, ticks: int) -> bool:
        """Whether the frame at `ticks` or the frame before it has colour."""
        neighbours = [coloured for time, coloured in self._recent if time <= ticks][-2:]
        return any(neighbours)
