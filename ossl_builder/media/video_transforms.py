"""Transform video frames for any player: progressive, upright, square pixels, 8-bit 4:2:0."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import TYPE_CHECKING, Any

from ossl_builder.media.tone_map import is_hdr, lut_file

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Orientation:
    """How to turn a frame upright: transpose first, then mirror and flip.

    Attributes:
        is_transposed: exchange rows and columns.
        is_mirrored: exchange left and right.
        is_flipped: exchange top and bottom.
    """

    is_transposed: bool = False
    is_mirrored: bool = False
    is_flipped: bool = False

    @property
    def is_upright(self) -> bool:
        """Whether the frame is already upright."""
        return self == Orientation()

    def filters(self) -> list[tuple[str, str]]:
        """Return the equivalent ffmpeg filters: (name, arguments)."""
        if self.is_transposed:
            # Values of `dir`: 0 transposes, 1 also mirrors, 2 also flips, 3 does both.
            return [("transpose", f"dir={self.is_mirrored + 2 * self.is_flipped}")]
        mirror = [("hflip", "")] if self.is_mirrored else []
        return mirror + ([("vflip", "")] if self.is_flipped else [])

    def apply(self, frame: NDArray[Any]) -> NDArray[Any]:
        """Turn an array of shape (height, width, ...)."""
        import numpy as np

        if self.is_transposed:
            frame = frame.swapaxes(0, 1)
        if self.is_mirrored:
            frame = frame[:, ::-1]
        if self.is_flipped:
            frame = frame[::-1]
        return np.ascontiguousarray(frame)


def orientation_of(frame: Any) -> Orientation:
    """Read a decoded frame's display matrix.

    The matrix maps (x, y) to (a x + c y, b x + d y). Angles are rounded to multiples of 90 degrees.
    """
    for data in frame.side_data:
        if data.type.name == "DISPLAYMATRIX":
            a, b, _, c, d = struct.unpack("<5i", bytes(data)[:20])
            if abs(a) + abs(d) >= abs(b) + abs(c):
                return Orientation(False, a < 0, d < 0)
            return Orientation(True, c < 0, b < 0)
    return Orientation()


# ITU-T H.273 code points of matrix, primaries and transfer.
UNSPECIFIED = 2
RGB = 0
BT709 = (1, 1, 1)
BT601 = (6, 6, 6)
LIMITED_RANGE = 1
RGB_FORMATS = ("rgb", "bgr", "gbr", "0rgb", "0bgr", "argb", "abgr", "pal8")
# Colour matrices of HDR films: number in ITU-T H.273 to swscale's number.
SWS_BT2020 = 9
SWS_MATRICES = {1: 1, 5: 5, 6: 5, 9: SWS_BT2020, 10: SWS_BT2020}


@dataclass(frozen=True)
class OutputFormat:
    """Properties of a film that its single frames do not state.

    Attributes:
        rate: nominal frame rate, 1/s.
        sar: sample (pixel) aspect ratio, as stored.
    """

    rate: Fraction
    sar: Fraction

    def shown_size(self, width: int, height: int, orientation: Orientation) -> tuple[int, int]:
        """Return upright width and height with square pixels; only upscale, both even."""
        if self.sar >= 1:
            size = _even(width * self.sar), _even(Fraction(height))
        else:
            size = _even(Fraction(width)), _even(height / self.sar)
        return (size[1], size[0]) if orientation.is_transposed else size


@dataclass(frozen=True)
class _Kind:
    """Properties of a frame that decide which filters it needs."""

    width: int
    height: int
    format: str
    orientation: Orientation
    transfer: int


class VideoTransformer:
    """Make frames progressive and upright, with square pixels, 8-bit 4:2:0 and limited range.

    Each frame's own flags decide: interlaced frames are deinterlaced, frames with a display
    matrix are rotated, frames with high dynamic range are tone-mapped.
    """

    def __init__(self, form: OutputFormat) -> None:
        self._form = form
        self._size: tuple[int, int] | None = None
        self._graph: Any = None
        self._kind: _Kind | None = None
        self._waiting: deque[int] = deque()
        self._scaler: Any = None
        self._rgb: Any = None

    def push(self, frame: Any, pts: int) -> Iterator[Any]:
        """Add a frame; yield zero or more finished frames, each with its own `pts`."""
        orientation = orientation_of(frame)
        # The clip keeps the size of its first frame, also if the film changes it later.
        self._size = self._size or self._form.shown_size(frame.width, frame.height, orientation)
        transfer = int(frame.color_trc) if is_hdr(frame) else 0
        kind = _Kind(frame.width, frame.height, frame.format.name, orientation, transfer)
        if kind != self._kind:
            yield from self.flush()
            self._kind = kind
        needs_filters = frame.interlaced_frame or transfer or not orientation.is_upright
        if self._graph is None and not needs_filters:
            yield self._transformed(frame, pts)
            return
        if transfer:
            frame = self._as_rgb(frame)
        if self._graph is None:
            self._graph = _graph(frame, orientation, transfer)
        self._waiting.append(pts)
        self._graph.push(frame)
        yield from self._pulled()

    def flush(self) -> Iterator[Any]:
        """Yield the frames that are still in the filters."""
        if self._graph is not None:
            self._graph.push(None)
            yield from self._pulled()
            self._graph = None

    def _pulled(self) -> Iterator[Any]:
        import av

        while True:
            try:
                frame = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            # The filters return one frame per input frame, but in their own time base.
            yield self._transformed(frame, self._waiting.popleft())

    def _as_rgb(self, frame: Any) -> Any:
        """Convert an HDR frame to 12-bit RGB; its code values stay PQ or HLG."""
        from av.video.reformatter import VideoReformatter

        self._rgb = self._rgb or VideoReformatter()
        matrix = SWS_MATRICES.get(int(frame.colorspace), SWS_BT2020)
        rgb = self._rgb.reformat(frame, format="gbrp12le", src_colorspace=matrix)
        rgb.pts, rgb.time_base = frame.pts, frame.time_base
        return rgb

    def _transformed(self, frame: Any, pts: int) -> Any:
        from av.video.reformatter import Interpolation, VideoReformatter

        assert self._size is not None  # set when the frame was pushed
        self._scaler = self._scaler or VideoReformatter()
        matrix, primaries, transfer = colours(frame, self._size[1])
        is_rgb = frame.colorspace == RGB or frame.format.name.startswith(RGB_FORMATS)
        if self._kind is not None and self._kind.transfer:
            is_rgb, (matrix, primaries, transfer) = True, BT709
        shaped = self._scaler.reformat(
            frame,
            *self._size,
            format="yuv420p",
            dst_colorspace=1 if is_rgb else None,  # swscale's number of BT.709
            dst_color_range=LIMITED_RANGE,
            interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND,
        )
        shaped.colorspace, shaped.color_primaries, shaped.color_trc = matrix, primaries, transfer
        shaped.color_range = LIMITED_RANGE
        shaped.pts = pts
        shaped.pict_type = 0  # else the encoder would copy the film's key frames
        return shaped


def colours(frame: Any, height: int) -> tuple[int, int, int]:
    """Return matrix, primaries and transfer (ITU-T H.273) of a frame.

    Use the values that the film states. For a missing value use what players assume: BT.709 for
    high definition, BT.601 below. RGB becomes BT.709.
    """
    usual = BT709 if height >= 720 or frame.colorspace == BT709[0] else BT601
    if frame.colorspace == RGB:
        usual = BT709
    stated = (frame.colorspace, frame.color_primaries, frame.color_trc)
    return tuple(  # type: ignore[return-value]
        default if value in (RGB, UNSPECIFIED) else int(value)
        for value, default in zip(stated, usual, strict=True)
    )


def _graph(frame: Any, orientation: Orientation, transfer: int) -> Any:
    """Build the filters that deinterlace, tone-map and rotate; they return one frame per frame."""
    import av

    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    # bwdif changes only frames that are flagged as interlaced.
    filters = [("bwdif", "mode=send_frame:parity=auto:deint=interlaced")]
    if transfer:
        filters.append(("lut3d", f"file={lut_file(transfer)}:interp=tetrahedral"))
    filters += orientation.filters()
    nodes = [source, *(graph.add(name, arguments or None) for name, arguments in filters)]
    graph.link_nodes(*nodes, graph.add("buffersink")).configure()
    return graph


def _even(length: Fraction) -> int:
    """Round to the nearest even number (half up), at least 2."""
    return max(2, 2 * floor(length / 2 + Fraction(1, 2)))
