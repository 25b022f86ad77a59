"""Decode a film's video once with PyAV, and scale the frames down.

Times are ticks of the stream's time base, relative to the first decodable frame. Ticks are exact;
callers convert them to seconds if necessary.
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

_WIDTH = 64  # of the small frame, in pixels: enough to detect cuts, and fast
_HEIGHT = 8  # minimum: frames are also compared after shifts of two pixels
_PLANAR = re.compile(r"(gray|yuvj?4\d\dp)(9|10|12|14|16)?(le)?")
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG


@dataclass(frozen=True)
class Frame:
    """A decoded frame and its small version.

    Attributes:
        number: frame index in presentation order, from 0.
        ticks: presentation time relative to the first frame, in ticks of the film's time base.
        small: Y, V and U (OpenCV's order), shape (h, 64, 3); luma is full range, 0 is black, 255
            is white; chroma 128 is colourless.
        frame: the decoder's frame, for `thumbnail`; do not keep it longer than this object.
    """

    number: int
    ticks: int
    small: Plane
    frame: Any


@dataclass
class VideoReader:
    """Decode a film's video once, in presentation order.

    Attributes:
        film: the film's file; for a path, `stream_choice` chooses the streams.
        step: usual frame duration, in seconds.
        time_base: seconds per tick; valid after the first frame was read.
        end: end of the last frame, in ticks; valid after all frames were read.
        damage: segments (from, to) in ticks in which frames could not be decoded, or were
            decoded from damaged data; complete after all frames were read.
    """

    film: Path | MediaFile
    step: Fraction
    time_base: Fraction = Fraction(1)
    end: int = 0
    damage: list[tuple[int, int]] = field(default_factory=list)

    def __iter__(self) -> Iterator[Frame]:
        """Yield all frames.

        Raises:
            OsslError: `video_undecodable` (no frame can be decoded), and the errors of
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
                # Frames refer to earlier frames, so the damage ends at the next key frame.
                self.damage.append((broken_since, ticks))
                broken_since = None
            yield Frame(number, ticks, _small(frame, size), frame)
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


def tiny_rgb(frame: Frame, width: int, height: int) -> NDArray[np.uint8]:
    """Return a frame as RGB in a size that a network reads, [height, width, 3]."""
    tiny: NDArray[np.uint8] = frame.frame.to_ndarray(
        format="rgb24", width=width, height=height, interpolation="BILINEAR"
    )
    return tiny


def thumbnail(frame: Any, width: int, pixel_aspect: Fraction) -> bytes:
    """Encode a frame as a JPEG with square pixels, scaled down by averaging.

    Args:
        frame: the decoder's frame (`Frame.frame`).
        width: width of the stored frame in the JPEG, in pixels.
        pixel_aspect: sample (pixel) aspect ratio of the film, as stored.

    Raises:
        OsslError: `thumbnail_failed`.
    """
    orientation = orientation_of(frame)
    if orientation.is_transposed:
        width = max(2, round(width * frame.width * pixel_aspect / frame.height))
    height = max(2, round(width * frame.height / (frame.width * pixel_aspect)))
    # Of an interlaced frame, use one field: it has no combing. Of other frames, two source rows
    # per output row are enough.
    rows = 2 if frame.interlaced_frame else max(1, frame.height // (2 * height))
    small = _averaged(frame, (width, height), rows, 1)
    bgr = orientation.apply(cv2.cvtColor(small, cv2.COLOR_YCrCb2BGR))
    if is_hdr(frame):
        bgr = np.rint(255 * to_bt709(bgr[..., ::-1] / 255, frame.color_trc)[..., ::-1]).astype(
            np.uint8
        )
    is_encoded, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 80])
    if not is_encoded:
        raise OsslError("thumbnail_failed", "A thumbnail could not be encoded.", "")
    return bytes(jpeg)


def _small(frame: Any, size: tuple[int, int]) -> Plane:
    """Scale a frame down from a subset of its rows and columns, which is much faster."""
    rows, columns = frame.height // (2 * size[1]), frame.width // (5 * size[0])
    return _averaged(frame, size, max(1, rows), max(1, columns))


def _averaged(frame: Any, size: tuple[int, int], rows: int, columns: int) -> Plane:
    """Average every `rows`-th row and `columns`-th column to (width, height); return Y, V, U."""
    planes, depth = _planes(frame)
    small = []
    for plane in planes:
        subset = np.ascontiguousarray(plane[rows // 2 :: rows, columns // 2 :: columns])
        mean = cv2.resize(subset, size, interpolation=cv2.INTER_AREA)
        small.append(mean if depth == 8 else (mean >> (depth - 8)).astype(np.uint8))
    if len(small) < 3:
        small += [np.full_like(small[0], 128)] * 2
    merged = cv2.merge([small[0], small[2], small[1]])
    return np.asarray(merged if _is_full_range(frame) else cv2.LUT(merged, _FULL))


def _planes(frame: Any) -> tuple[list[NDArray[Any]], int]:
    """Return views of the decoder's planes (Y, or Y, U, V), and the bits per sample."""
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


def _levels(zero: int, n_levels: int, to: int) -> Plane:
    """Return a table from limited to full range (BT.601): `zero` to `to`, `n_levels` to 255."""
    levels = (np.arange(256) - zero) * 255 / n_levels + to
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


_CHROMA = _levels(128, 224, 128)
_FULL = np.stack([_levels(16, 219, 0), _CHROMA, _CHROMA], axis=-1)[:, None]
