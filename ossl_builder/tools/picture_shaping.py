"""Make a film's pictures fit for any player: progressive, square pixels, 8-bit 4:2:0."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import Any

# ITU-T H.273 code points of matrix, primaries and transfer.
UNSPECIFIED = 2
RGB = 0
BT709 = (1, 1, 1)
BT601 = (6, 6, 6)
LIMITED_RANGE = 1


@dataclass(frozen=True)
class Form:
    """What has to be known of a film's pictures that single pictures do not tell.

    Attributes:
        rate: nominal picture rate, 1/s.
        sar: a pixel's width to its height.
        is_interlaced: whether to deinterlace.
    """

    rate: Fraction
    sar: Fraction
    is_interlaced: bool

    def shown_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height with square pixels, one longer than stored; both even (4:2:0)."""
        if self.sar >= 1:
            return _even(width * self.sar), _even(Fraction(height))
        return _even(Fraction(width)), _even(height / self.sar)


class PictureShaper:
    """Makes pictures progressive, square in their pixels, 8-bit 4:2:0 of limited range."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._size: tuple[int, int] | None = None
        self._deinterlacer: Any = None
        self._input: Any = None
        self._waiting: deque[int] = deque()
        self._scaler: Any = None

    def push(self, frame: Any, pts: int) -> Iterator[Any]:
        """Take a picture; give none or more, each with the `pts` it was pushed with."""
        if not self._form.is_interlaced:
            yield self._shaped(frame, pts)
            return
        kind = (frame.width, frame.height, frame.format.name)
        if kind != self._input:
            yield from self.flush()
            self._deinterlacer, self._input = _deinterlacer(frame), kind
        self._waiting.append(pts)
        self._deinterlacer.push(frame)
        yield from self._pulled()

    def flush(self) -> Iterator[Any]:
        """Give what is still held back."""
        if self._deinterlacer is not None:
            self._deinterlacer.push(None)
            yield from self._pulled()
            self._deinterlacer = self._input = None

    def _pulled(self) -> Iterator[Any]:
        import av

        while True:
            try:
                frame = self._deinterlacer.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            # One picture comes out for each that went in; the filter has its own time base.
            yield self._shaped(frame, self._waiting.popleft())

    def _shaped(self, frame: Any, pts: int) -> Any:
        from av.video.reformatter import Interpolation, VideoReformatter

        # The first picture's size is the clip's, should the film change it later.
        self._size = self._size or self._form.shown_size(frame.width, frame.height)
        self._scaler = self._scaler or VideoReformatter()
        matrix, primaries, transfer = colours(frame, self._size[1])
        is_rgb = frame.colorspace == RGB or "rgb" in frame.format.name or "bgr" in frame.format.name
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
        shaped.pict_type = 0  # else the encoder would repeat the film's choice of key pictures
        return shaped


def colours(frame: Any, height: int) -> tuple[int, int, int]:
    """Matrix, primaries and transfer (ITU-T H.273) of a picture.

    What the film says stands; where it is silent, players take BT.709 for high definition and
    BT.601 below, so this is written down. RGB becomes BT.709.
    """
    usual = BT709 if height >= 720 or frame.colorspace == BT709[0] else BT601
    if frame.colorspace == RGB:
        usual = BT709
    said = (frame.colorspace, frame.color_primaries, frame.color_trc)
    return tuple(  # type: ignore[return-value]
        other if value in (RGB, UNSPECIFIED) else int(value)
        for value, other in zip(said, usual, strict=True)
    )


def _deinterlacer(frame: Any) -> Any:
    """A graph that makes one whole picture of each interlaced one (ffmpeg's bwdif)."""
    import av

    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    bwdif = graph.add("bwdif", "mode=send_frame:parity=auto:deint=all")
    graph.link_nodes(source, bwdif, graph.add("buffersink")).configure()
    return graph


def _even(length: Fraction) -> int:
    """The nearest even number, the larger one of two."""
    return max(2, 2 * floor(length / 2 + Fraction(1, 2)))
