"""Analyze a film's frames in one decoding pass: statistics, cuts, dissolves, thumbnails."""

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
    from ossl_builder.stages.scenes.confirmation import TinyFrames
    from ossl_builder.stages.scenes.stage import ScenesSettings

_TINY = 2  # the small frame's pixels per pixel of the tiny one, each way
_FAINT = 8.0  # smallest change of a cut, in levels; `cut_check.is_cut` decides on faint ones
_COLOUR = 2.5  # a frame with more chroma than this, not explained by luma, has colour; in levels
_BRIGHTEST = 4  # the brightness of the brightest part is that of the nth brightest tiny pixel
_BATCH = 48  # frames analyzed in one batch, for the CPU caches: decoding evicts their content
_MOVED = 10.0  # change, in levels, after which another thumbnail is taken


@dataclass(frozen=True)
class FrameAnalysis:
    """The result of the analysis of a film's frames.

    Attributes:
        light: time, blackness and contrast of every frame.
        end_s: end of the film, in seconds.
        has_colour: for every frame, whether it has colour; tinting does not count.
        cuts: indices of the first frames after cuts.
        middles: indices of the frames in the middle of black segments.
        dissolves: the dissolves.
        damage_s: intervals that could not be decoded, in seconds.
    """

    light: FrameStats
    end_s: float
    has_colour: NDArray[np.bool_]
    cuts: list[int]
    middles: list[int]
    dissolves: list[Dissolve]
    damage_s: list[tuple[float, float]]

    def time_s(self, number: int) -> float:
        """Return the time of a frame in seconds; for the index after the last, the film's end."""
        return float(self.light.time_s[number]) if number < len(self.light.time_s) else self.end_s

    def is_black_and_white(self, start: int, end: int) -> bool:
        """Decide whether most frames in [start, end) have no colour; black frames do not count."""
        not_black = self.has_colour[start:end][~self.light.is_black[start:end]]
        return bool(not len(not_black) or not_black.mean() < 0.5)


class Thumbnails:
    """Candidate thumbnails as JPEGs, stored in a temporary file until the scenes are known."""

    def __init__(self, folder: Path) -> None:
        """Start without thumbnails; `folder`: folder for an unnamed temporary file."""
        self._folder = folder
        self._times: list[float] = []
        self._ends: list[int] = [0]

    def __enter__(self) -> Self:
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=self._folder)
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def add(self, time_s: float, jpeg: bytes) -> None:
        """Store the JPEG of the frame at `time_s`; times must ascend."""
        self._file.write(jpeg)
        self._times.append(time_s)
        self._ends.append(self._ends[-1] + len(jpeg))

    def nearest(self, start_s: float, end_s: float) -> bytes:
        """Return the JPEG nearest to the middle, within [start_s, end_s) if there is one."""
        within = range(bisect_left(self._times, start_s), bisect_left(self._times, end_s))
        middle_s = (start_s + end_s) / 2
        best = min(within or range(len(self._times)), key=lambda k: abs(self._times[k] - middle_s))
        self._file.seek(self._ends[best])
        return self._file.read(self._ends[best + 1] - self._ends[best])


def analyze_frames(
    media: MediaFile,
    film: Film,
    settings: ScenesSettings,
    thumbnails: Thumbnails,
    progress: Callable[[float], None],
    tiny_frames: TinyFrames | None = None,
) -> FrameAnalysis:
    """Decode the video once and collect what transitions and scenes are derived from.

    Args:
        media: the film's file.
        film: its row.
        settings: settings of the stage.
        thumbnails: receives a frame whenever some time has passed or the content has changed.
        progress: receives the fraction done, 0 to 1.
        tiny_frames: receives every frame, if a network confirms transitions.

    Raises:
        OsslError: `video_undecodable`.
    """
    file = film.file()
    step = 1 / file.rate
    reader = VideoReader(media, step)
    analyzer: _Analyzer | None = None
    thumbnail_s, previous = -1.0, None
    for frame in reader:
        analyzer = analyzer or _Analyzer(reader.time_base, settings)
        analyzer.feed(frame)
        if tiny_frames is not None:
            tiny_frames.add(frame)
        time_s = seconds(frame.ticks, reader.time_base)
        if (
            previous is None
            or time_s - thumbnail_s >= settings.min_scene_s
            or cv2.mean(cv2.absdiff(frame.small, previous))[0] > _MOVED
        ):
            jpeg = thumbnail(frame.frame, settings.thumbnail_width, file.sar)
            thumbnails.add(time_s, jpeg)
            thumbnail_s = time_s
        previous = frame.small
        if frame.number % 32 == 0:
            progress(min(1.0, time_s / file.duration_s))
    assert analyzer is not None  # the reader raises if there is no video
    return analyzer.finish(reader)


class _Analyzer:
    """Pass each frame to all detectors, and collect its statistics."""

    def __init__(self, time_base: Fraction, settings: ScenesSettings) -> None:
        self._time_base = time_base
        self._black_level = settings.black_level
        self._detectors = Detectors(time_base, settings.threshold, _FAINT, settings.black_level)
        self._checker = CutChecker(settings.min_scene_s)
        self._dissolves = DissolveFinder(settings.dissolve_tolerance)
        self._batch: list[tuple[int, int, NDArray[np.uint8]]] = []
        self._ticks = array("q")
        self._contrast = array("d")
        self._is_black = bytearray()
        self._has_colour = bytearray()
        self._middles: list[int] = []

    def feed(self, frame: Frame) -> None:
        """Add the next frame; it is analyzed in a batch."""
        self._batch.append((frame.number, frame.ticks, frame.small))
        if len(self._batch) == _BATCH:
            self._analyze_batch()

    def _analyze_batch(self) -> None:
        for number, ticks, small in self._batch:
            self._analyze(number, ticks, small)
        self._batch.clear()

    def _analyze(self, number: int, ticks: int, small: NDArray[np.uint8]) -> None:
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
            self._checker.report(self._frame_index(cut))
        self._middles += map(self._frame_index, middles)

    def finish(self, reader: VideoReader) -> FrameAnalysis:
        """Return the result after the last frame."""
        self._analyze_batch()
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

    def _frame_index(self, ticks: int) -> int:
        """Return the index of the first frame at or after `ticks`."""
        return bisect_left(self._ticks, ticks)


def colourfulness(frame: NDArray[np.float32]) -> float:
    """Return the standard deviation of the chroma that luma does not explain, in levels.

    In a tinted or toned frame, chroma is a function of luma. Such a frame is black-and-white, and
    its hue gives no information about cuts.

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
