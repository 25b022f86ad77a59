"""A film's video, decoded once and small, through PyAV.

Times are ticks of the stream's time base, counted from the first frame that could be decoded:
exact rationals, turned into seconds by whoever needs them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ossl_builder.errors import OsslError
from ossl_builder.media.demux import MediaFile
from ossl_builder.media.stream_choice import as_media
from ossl_builder.media.tone_map import is_hdr, to_bt709
from ossl_builder.media.video_frames import timed_frames
from ossl_builder.media.video_transforms import orientation_of

Plane = NDArray[np.uint8]

_WIDTH = 64  # pixels of the small frame: enough for cuts, few enough to cost little
_HEIGHT = 8  # of it, at least: frames are also compared after shifts of two pixels
_PLANAR = re.compile(r"(gray|yuvj?4\d\dp)(9|10|12|14|16)?(le)?")
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG


@dataclass(frozen=True)
class Frame:
    """One decoded frame, made small.

    Attributes:
        number: counted in presentation order, the first being 0.
        ticks: presentation time after the first frame, in ticks of the film's time base.
        small: Y, V and U (OpenCV's order), shape (h, 64, 3); luma is full range, 0 for black and
            255 for white; 128 is colourless.
        frame: the decoder's own video, for `thumbnail`; let go of it with the frame.
    """

    number: int
    ticks: int
    small: Plane
    frame: Any


@dataclass
class VideoReader:
    """Decodes a film's video once, in presentation order.

    Attributes:
        film: the film's file; of a path, the streams are chosen by the rules.
        step: usual time from frame to frame, in seconds.
        time_base: seconds per tick; known when the first frame is.
        end: ticks at which the last frame ends; known when all are read.
        damage: stretches (from, to) in ticks in which frames could not be decoded, or were
            decoded from damaged ones; known when all are read.
    """

    film: Path | MediaFile
    step: Fraction
    time_base: Fraction = Fraction(1)
    end: int = 0
    damage: list[tuple[int, int]] = field(default_factory=list)

    def __iter__(self) -> Iterator[Frame]:
        """All frames.

        Raises:
            OsslError: `video_undecodable`, if not one frame can be decoded, and those of
                `video_frames.timed_frames`.
        """
        media = as_media(self.film)
        first: int | None = None
        end = 0
        number = 0
        broken_since: int | None = None
        size = (0, 0)
        for timed in timed_frames(media, self.step, finds_losses=True):
            frame = timed.frame
            if frame is None:
                if broken_since is None and first is not None:
                    broken_since = end
                continue
            if first is None:
                self.time_base = Fraction(frame.time_base)
                first = timed.pts
                size = (_WIDTH, max(_HEIGHT, round(_WIDTH * frame.height / frame.width)))
            ticks = timed.pts - first
            if timed.is_broken:
                broken_since = ticks if broken_since is None else broken_since
            elif broken_since is not None and frame.key_frame:
                # Frames refer to earlier ones: only the next key frame is intact again.
                self.damage.append((broken_since, ticks))
                broken_since = None
            yield Frame(number, ticks, _shrunk(frame, size), frame)
            end = ticks + timed.duration
            number += 1
        if first is None:
            raise OsslError(
                "video_undecodable",
                f"No frame of {media.path.name} could be decoded.",
                "Fetch the film again, or from another source.",
            )
        self.end = end
        if broken_since is not None and broken_since < self.end:
            self.damage.append((broken_since, self.end))


def thumbnail(frame: Any, width: int, pixel_aspect: Fraction) -> bytes:
    """A frame as JPEG with square pixels, its size averaged down.

    Args:
        frame: of a `Video`.
        width: of the JPEG, in pixels.
        pixel_aspect: width to height of the film's pixels, as stored.
    """
    turn = orientation_of(frame)
    if turn.is_transposed:
        width = max(2, round(width * frame.width * pixel_aspect / frame.height))
    height = max(2, round(width * frame.height / (frame.width * pixel_aspect)))
    # One field of an interlaced frame shows no comb; two rows make a row well enough.
    rows = 2 if frame.interlaced_frame else max(1, frame.height // (2 * height))
    small = _averaged(frame, (width, height), rows, 1)
    bgr = turn.apply(cv2.cvtColor(small, cv2.COLOR_YCrCb2BGR))
    if is_hdr(frame):
        bgr = np.rint(255 * to_bt709(bgr[..., ::-1] / 255, frame.color_trc)[..., ::-1]).astype(
            np.uint8
        )
    done, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 80])
    if not done:
        raise OsslError("thumbnail_failed", "A thumbnail could not be encoded.", "")
    return bytes(jpeg)


def _shrunk(frame: Any, size: tuple[int, int]) -> Plane:
    """Some rows and columns, averaged: a fraction of the cost of the whole frame."""
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
