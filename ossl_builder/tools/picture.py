"""A film's picture, decoded once and small, through PyAV.

Times are ticks of the stream's time base, counted from the first picture that could be decoded:
exact rationals, turned into seconds by whoever needs them.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from ossl_builder.errors import OsslError
from ossl_builder.tools.streams import picture_stream

Plane = NDArray[np.uint8]

_WIDTH = 64  # pixels of the small picture: enough for cuts, few enough to cost little
_LOST_S = 0.5  # a gap in time that is looked into: were there pictures?
_PLANAR = re.compile(r"(gray|yuvj?4\d\dp)(9|10|12|14|16)?(le)?")
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG
_STUBBORN = 50  # failed reads in a row after which the rest of a file counts as lost


@dataclass(frozen=True)
class Picture:
    """One decoded picture, made small.

    Attributes:
        number: counted in presentation order, the first being 0.
        ticks: presentation time after the first picture, in ticks of the film's time base.
        small: Y, V and U (OpenCV's order), shape (h, 64, 3); luma is full range, 0 for black and
            255 for white; 128 is colourless.
        frame: the decoder's own picture, for `thumbnail`; let go of it with the picture.
    """

    number: int
    ticks: int
    small: Plane
    frame: Any


@dataclass
class PictureReader:
    """Decodes a film's picture once, in presentation order.

    Attributes:
        path: the film's file.
        step: usual time from picture to picture, in seconds.
        time_base: seconds per tick; known when the first picture is.
        end: ticks at which the last picture ends; known when all are read.
        damage: stretches (from, to) in ticks in which pictures could not be decoded, or were
            decoded from damaged ones; known when all are read.
    """

    path: Path
    step: Fraction
    time_base: Fraction = Fraction(1)
    end: int = 0
    damage: list[tuple[int, int]] = field(default_factory=list)

    def __iter__(self) -> Iterator[Picture]:
        """All pictures.

        Raises:
            OsslError: `picture_undecodable`, if not one picture can be decoded.
        """
        first: int | None = None
        last = -1
        duration = 0
        number = 0
        broken_since: int | None = None
        size = (0, 0)
        for frame, broken in self._frames():
            if frame is None:
                if broken_since is None and first is not None:
                    broken_since = last + duration
                continue
            time = frame.pts if frame.pts is not None else frame.dts
            if first is None:
                self.time_base = Fraction(frame.time_base)
                first = time = time or 0
                size = (_WIDTH, max(4, round(_WIDTH * frame.height / frame.width)))
                duration = max(1, round(self.step / self.time_base))
            ticks = last + duration if time is None else time - first
            ticks = max(ticks, last + 1)  # a time that does not grow is a fault of the file
            if broken:
                broken_since = ticks if broken_since is None else broken_since
            elif broken_since is not None and frame.key_frame:
                # Pictures refer to earlier ones: only the next key picture is sound again.
                self.damage.append((broken_since, ticks))
                broken_since = None
            yield Picture(number, ticks, _shrunk(frame, size), frame)
            duration = frame.duration or max(1, round(self.step / self.time_base))
            last = ticks
            number += 1
        if first is None:
            raise OsslError(
                "picture_undecodable",
                f"Not one picture of {self.path.name} could be decoded.",
                "Get the film again, or from another source.",
            )
        self.end = last + duration
        if broken_since is not None and broken_since < self.end:
            self.damage.append((broken_since, self.end))

    def _frames(self) -> Iterator[tuple[Any | None, bool]]:
        """Decoded frames and whether they are broken; (None, True) where decoding failed."""
        try:
            container = av.open(str(self.path))
        except (av.error.FFmpegError, OSError) as error:
            raise OsslError(
                "picture_undecodable",
                f"{self.path.name} could not be opened: {error}.",
                "Get the film again, or from another source.",
            ) from error
        with container:
            stream = picture_stream(container, self.path)
            # Frame threads cost more processor time, and what they make of damage varies.
            stream.thread_type = "SLICE"
            failures = 0
            losses = _Losses()
            while failures < _STUBBORN:
                try:
                    for packet in container.demux():
                        losses.read(packet)
                        if packet.stream_index != stream.index:
                            continue
                        try:
                            frames = packet.decode()
                        except av.error.FFmpegError:
                            yield None, True
                            continue
                        failures = 0
                        for frame in frames:
                            if losses.before(frame):
                                yield None, True
                            yield frame, frame.is_corrupt
                    return
                except av.error.FFmpegError:
                    failures += 1
                    yield None, True


class _Losses:
    """Tells lost pictures from held ones.

    A gap in time alone is no loss: pictures may be held, and films begin with black that is not
    coded. But where pictures are lost, the file has bytes that belong to none, not far from as
    many as pictures take for that time.
    """

    def __init__(self) -> None:
        self._size = 0
        self._last_byte: int | None = None
        self._skipped: deque[int] = deque(maxlen=64)  # decoders reorder, and start at a key picture
        self._first_s: float | None = None
        self._last_s = 0.0

    def read(self, packet: Any) -> None:
        """A packet was read, of the picture or of anything else."""
        if packet.pos is None or packet.pos < 0:
            return
        if self._last_byte is not None:
            self._skipped.append(packet.pos - self._last_byte)
        self._last_byte = packet.pos + packet.size
        if packet.stream.type == "video":
            self._size += packet.size

    def before(self, frame: Any) -> bool:
        """Whether pictures were lost right before this one."""
        if frame.pts is None:
            return False
        time_s = float(frame.pts * frame.time_base)
        gap_s = time_s - self._last_s
        lost = False
        if self._first_s is None:
            self._first_s = time_s
        elif gap_s > _LOST_S and self._last_s > self._first_s and self._skipped:
            rate = self._size / (self._last_s - self._first_s)
            lost = max(self._skipped) > rate * gap_s / 4
            self._skipped.clear()
        self._last_s = time_s
        return lost


def thumbnail(frame: Any, width: int, pixel_aspect: Fraction) -> bytes:
    """A picture as JPEG with square pixels, its size averaged down.

    Args:
        frame: of a `Picture`.
        width: of the JPEG, in pixels.
        pixel_aspect: width to height of the film's pixels.
    """
    height = max(2, round(width * frame.height / (frame.width * pixel_aspect)))
    # One field of an interlaced picture shows no comb; two rows make a row well enough.
    rows = 2 if frame.interlaced_frame else max(1, frame.height // (2 * height))
    small = _averaged(frame, (width, height), rows, 1)
    bgr = cv2.cvtColor(small, cv2.COLOR_YCrCb2BGR)
    done, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 80])
    if not done:
        raise OsslError("thumbnail_failed", "A thumbnail could not be encoded.", "")
    return bytes(jpeg)


def _shrunk(frame: Any, size: tuple[int, int]) -> Plane:
    """Some rows and columns, averaged: a fraction of the cost of the whole picture."""
    rows, columns = frame.height // (2 * size[1]), frame.width // (5 * size[0])
    return _averaged(frame, size, max(1, rows), max(1, columns))


def _averaged(frame: Any, size: tuple[int, int], rows: int, columns: int) -> Plane:
    """Y, V and U of every `rows`-th row and `columns`-th column, averaged to (width, height)."""
    planes, depth = _planes(frame)
    small = []
    for plane in planes:
        chosen = np.ascontiguousarray(plane[rows // 2 :: rows, columns // 2 :: columns])
        mean = cv2.resize(chosen, size, interpolation=cv2.INTER_AREA)
        small.append(mean if depth == 8 else (mean >> (depth - 8)).astype(np.uint8))
    if len(small) < 3:
        small += [np.full_like(small[0], 128)] * 2
    merged = cv2.merge([small[0], small[2], small[1]])
    return np.asarray(merged if _is_full_range(frame) else cv2.LUT(merged, _FULL))


def _planes(frame: Any) -> tuple[list[NDArray[Any]], int]:
    """Views onto the decoder's planes (Y, or Y, U, V), and their bits per sample."""
    if not _PLANAR.fullmatch(frame.format.name):
        frame = frame.reformat(format="yuv420p")
    depth = frame.format.components[0].bits
    dtype = np.uint8 if depth == 8 else np.uint16
    views = []
    for plane in frame.planes[:3]:
        rows = np.frombuffer(plane, dtype).reshape(plane.height, -1)
        views.append(rows[:, : plane.width])
    return views, depth


def _is_full_range(frame: Any) -> bool:
    return bool(frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj"))


def _levels(zero: int, of: int, to: int) -> Plane:
    """Limited range to full range (ITU-R BT.601): `zero` becomes `to`, `of` levels become 255."""
    levels = (np.arange(256) - zero) * 255 / of + to
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


_CHROMA = _levels(128, 224, 128)
_FULL = np.stack([_levels(16, 219, 0), _CHROMA, _CHROMA], axis=-1)[:, None]
