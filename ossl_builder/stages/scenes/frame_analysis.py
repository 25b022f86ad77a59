"""What is seen of a film in the one pass that decodes it."""

from __future__ import annotations

import tempfile
from array import array
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from ossl_builder.media.demux import MediaFile
from ossl_builder.media.video_frames import seconds
from ossl_builder.media.video_reader import Frame, VideoReader, thumbnail
from ossl_builder.models.scenedetect import Detectors
from ossl_builder.stages.scenes.cut_check import CutChecker
from ossl_builder.stages.scenes.dissolves import Dissolve, DissolveFinder
from ossl_builder.stages.scenes.transitions import FrameStats
from ossl_builder.tables.films import Film

if TYPE_CHECKING:
    from ossl_builder.stages.scenes.stage import ScenesSettings

_TINY = 2  # the small frame's pixels per pixel of the tiny one, each way
_FAINT = 8.0  # change, in levels, that a cut has at least; `cuts.is_cut` judges the faint ones
_COLOUR = 2.5  # levels of chroma that luma does not explain, beyond which a frame has colour
_BRIGHTEST = 4  # the brightness of a frame's brightest part is that of its nth tiny pixel
_TOGETHER = 48  # frames looked at in one go: right after decoding, the caches hold nothing else
_MOVED = 10.0  # change, in levels, after which another thumbnail is taken


@dataclass(frozen=True)
class FrameAnalysis:
    """What is known of a film's frames.

    Attributes:
        light: time, blackness and contrast of every frame.
        end_s: the film's end.
        has_colour: for every frame, whether it has colour (tinting is none).
        cuts: numbers of the first frames after cuts.
        middles: numbers of the frames in the middle of black stretches.
        dissolves: dissolves.
        damage_s: stretches that could not be decoded.
    """

    light: FrameStats
    end_s: float
    has_colour: NDArray[np.bool_]
    cuts: list[int]
    middles: list[int]
    dissolves: list[Dissolve]
    damage_s: list[tuple[float, float]]

    def time_s(self, number: int) -> float:
        """Time of a frame; the film's end for the one after the last."""
        return float(self.light.time_s[number]) if number < len(self.light.time_s) else self.end_s

    def is_black_and_white(self, start: int, end: int) -> bool:
        """Whether most frames from `start` to `end` that are not black are without colour."""
        shown = self.has_colour[start:end][~self.light.is_black[start:end]]
        return bool(not len(shown) or shown.mean() < 0.5)


class Thumbnails:
    """JPEGs taken on the way, kept on disk until the scenes are known."""

    def __init__(self, folder: Path) -> None:
        """`folder`: where there is room for a nameless file."""
        self._folder = folder
        self._times: list[float] = []
        self._ends: list[int] = [0]

    def __enter__(self) -> Self:
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=self._folder)
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def add(self, time_s: float, jpeg: bytes) -> None:
        """Keep the frame at `time_s`; times grow."""
        self._file.write(jpeg)
        self._times.append(time_s)
        self._ends.append(self._ends[-1] + len(jpeg))

    def nearest(self, start_s: float, end_s: float) -> bytes:
        """The frame nearest to the middle, from within [start_s, end_s) if there is one."""
        inside = range(bisect_left(self._times, start_s), bisect_left(self._times, end_s))
        middle_s = (start_s + end_s) / 2
        best = min(inside or range(len(self._times)), key=lambda k: abs(self._times[k] - middle_s))
        self._file.seek(self._ends[best])
        return self._file.read(self._ends[best + 1] - self._ends[best])


def analyze_frames(
    media: MediaFile,
    film: Film,
    settings: ScenesSettings,
    thumbnails: Thumbnails,
    progress: Callable[[float], None],
) -> FrameAnalysis:
    """Decode the frame once and note what transitions and scenes follow from.

    Args:
        media: the film's file.
        film: its row.
        settings: of the stage.
        thumbnails: is given a frame whenever some time has passed or the video has changed.
        progress: is told the part done.

    Raises:
        OsslError: `video_undecodable`.
    """
    file = film.file()
    step = 1 / file.rate
    reader = VideoReader(media, step)
    watch: _Analyzer | None = None
    taken_s, taken = -1.0, None
    for frame in reader:
        watch = watch or _Analyzer(reader.time_base, settings)
        watch.show(frame)
        time_s = seconds(frame.ticks, reader.time_base)
        if (
            taken is None
            or time_s - taken_s >= settings.min_scene_s
            or cv2.mean(cv2.absdiff(frame.small, taken))[0] > _MOVED
        ):
            jpeg = thumbnail(frame.frame, settings.thumbnail_width, file.sar)
            thumbnails.add(time_s, jpeg)
            taken_s = time_s
        taken = frame.small
        if frame.number % 32 == 0:
            progress(min(1.0, time_s / file.duration_s))
    assert watch is not None  # the reader raises if there is no video
    return watch.sightings(reader)


class _Analyzer:
    """Shows each frame to every detector, and notes its light."""

    def __init__(self, time_base: Fraction, settings: ScenesSettings) -> None:
        self._time_base = time_base
        self._black_level = settings.black_level
        self._detectors = Detectors(time_base, settings.threshold, _FAINT, settings.black_level)
        self._checker = CutChecker(settings.min_scene_s)
        self._dissolves = DissolveFinder(settings.dissolve_tolerance)
        self._waiting: list[tuple[int, int, NDArray[np.uint8]]] = []
        self._ticks = array("q")
        self._contrast = array("d")
        self._is_black = bytearray()
        self._has_colour = bytearray()
        self._middles: list[int] = []

    def show(self, frame: Frame) -> None:
        """Take the next frame; it is looked at with those that follow."""
        self._waiting.append((frame.number, frame.ticks, frame.small))
        if len(self._waiting) == _TOGETHER:
            self._see_all()

    def _see_all(self) -> None:
        for number, ticks, small in self._waiting:
            self._see(number, ticks, small)
        self._waiting.clear()

    def _see(self, number: int, ticks: int, small: NDArray[np.uint8]) -> None:
        time_s = seconds(ticks, self._time_base)
        size = (small.shape[1] // _TINY, small.shape[0] // _TINY)
        tiny = cv2.resize(small, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        luma = np.ascontiguousarray(tiny[:, :, 0])
        brightest = np.partition(luma, -_BRIGHTEST, axis=None)[-_BRIGHTEST]
        has_colour = colourfulness(tiny) > _COLOUR
        self._ticks.append(ticks)
        self._contrast.append(cv2.meanStdDev(luma)[1][0, 0])
        self._is_black.append(bool(brightest < self._black_level))
        self._has_colour.append(has_colour)
        small_luma = np.ascontiguousarray(small[:, :, 0])
        self._checker.feed(number, time_s, tiny, small_luma)
        self._dissolves.feed(number, time_s, luma, small_luma)
        cuts, middles = self._detectors.see(ticks, small, has_colour, float(brightest))
        for cut in cuts:
            self._checker.report(self._number(cut))
        self._middles += map(self._number, middles)

    def sightings(self, reader: VideoReader) -> FrameAnalysis:
        """All that was seen, once all frames have been shown."""
        self._see_all()
        base = self._time_base
        return FrameAnalysis(
            light=FrameStats(
                np.array([seconds(ticks, base) for ticks in self._ticks]),
                np.frombuffer(self._is_black, np.bool_),
                np.array(self._contrast),
            ),
            end_s=float(reader.end * base),
            has_colour=np.frombuffer(self._has_colour, np.bool_),
            cuts=self._checker.finish(),
            middles=self._middles,
            dissolves=self._dissolves.finish(),
            damage_s=[(float(a * base), float(b * base)) for a, b in reader.damage],
        )

    def _number(self, ticks: int) -> int:
        """Number of the first frame at or after `ticks`."""
        return bisect_left(self._ticks, ticks)


def colourfulness(frame: NDArray[np.float32]) -> float:
    """Standard deviation of chroma that a frame's luma does not explain, in levels.

    A tinted or toned frame has one chroma for each luma: it is black-and-white, whatever its
    tint, and its hue tells nothing about cuts.

    Args:
        frame: shape (h, w, 3), luma first.
    """
    means, spreads = cv2.meanStdDev(frame)
    luma = frame[:, :, 0].ravel() - means[0, 0]
    unexplained = 0.0
    for plane in (1, 2):
        with_luma = np.dot(luma, frame[:, :, plane].ravel()) / luma.size
        unexplained += spreads[plane, 0] ** 2 - (with_luma / max(spreads[0, 0], 1e-3)) ** 2
    return float(max(0.0, unexplained) ** 0.5)
