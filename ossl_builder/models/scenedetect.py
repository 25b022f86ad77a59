"""Cuts and fades, found by PySceneDetect's detectors on frames that we decode.

PySceneDetect 0.7 keeps time as presentation times. Its detectors still count in frames in places,
so the frame rate they are told is one frame per tick: then a frame number is a tick, and nothing
is rounded, whatever the film's rate.
"""

from __future__ import annotations

from collections import deque
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray
from scenedetect.common import FrameTimecode, Timecode
from scenedetect.detectors import AdaptiveDetector, ThresholdDetector

_REACH = 6  # frames on which AdaptiveDetector's verdict on one of them rests, and one more


class Detectors:
    """AdaptiveDetector twice, with and without colour, and ThresholdDetector.

    A frame is shown to the AdaptiveDetector whose weights suit it: hue and saturation of a
    black-and-white frame are noise. Around a change from one to the other both see it.
    """

    def __init__(
        self, time_base: Fraction, threshold: float, least_change: float, black_level: float
    ) -> None:
        """Set up the detectors.

        Args:
            time_base: seconds per tick.
            threshold: AdaptiveDetector's `adaptive_threshold`: change over the mean change around.
            least_change: its `min_content_val`: change that a cut has at least, 0 to 255.
            black_level: ThresholdDetector's threshold: a frame darker than that is black.
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
        """Show the next frame.

        Args:
            ticks: its time.
            small: Y, V and U, shape (h, w, 3), luma in full range.
            has_colour: whether it has colour.
            brightness: of its brightest part, 0 to 255; the mean, which ThresholdDetector is
                made for, takes every night scene for black.

        Returns:
            Ticks of frames that begin after a cut, reported two frames late; ticks in the
            middle of stretches of black, reported when the video is back.
        """
        at = FrameTimecode(Timecode(pts=ticks, time_base=self._time_base), fps=self._rate)
        self._recent.append((ticks, has_colour))
        cuts = []
        for weighs_colour in {coloured for _, coloured in self._recent}:
            if weighs_colour:
                frame = cv2.cvtColor(small, cv2.COLOR_YCrCb2BGR)
            else:
                frame = cv2.cvtColor(cv2.extractChannel(small, 0), cv2.COLOR_GRAY2BGR)
            found = self._cuts[weighs_colour].process_frame(at, frame)
            cuts += [cut.pts for cut in found if self._has_colour(cut.pts) == weighs_colour]
        middles = self._black.process_frame(at, np.array([[brightness]]))
        return cuts, [middle.pts for middle in middles]

    def _has_colour(self, ticks: int) -> bool:
        """Whether there is colour on either side of the cut before the frame at `ticks`."""
        pair = [coloured for seen, coloured in self._recent if seen <= ticks][-2:]
        return any(pair)
