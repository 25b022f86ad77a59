"""A picture and another sound in one file: the picture's packets are copied, not encoded again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ossl_builder.engine.files import disk_full, replacing
from ossl_builder.errors import OsslError
from ossl_builder.tools.streams import packets, picture_stream

MP4_CODECS = frozenset({"h264", "hevc", "av1", "vp9", "mpeg4", "mpeg2video"})
BIT_RATE = 192_000
BLOCK = 1024
AHEAD_S = 0.5


def ending_for(video: Path) -> str:
    """`.mp4` if that can hold the picture, else `.mkv`.

    Raises:
        OsslError: `no_picture`, `not_media`.
    """
    import av

    try:
        with av.open(str(video)) as container:
            codec = picture_stream(container, video).codec_context.codec.canonical_name
    except (av.FFmpegError, OSError) as error:
        raise _unreadable(video) from error
    return ".mp4" if codec in MP4_CODECS else ".mkv"


def mux(video: Path, sound: Path, target: Path) -> None:
    """Write the picture of one file with the sound of another, both from time 0 on.

    Args:
        video: its first picture becomes time 0; its own sound is left out.
        sound: mono or stereo WAV or FLAC; becomes AAC.
        target: ends as `ending_for` says; replaced whole or not at all.

    Raises:
        OsslError: `no_picture`, `not_media`, `mux_failed`, `disk_full`.
    """
    import av

    first = _first_time(video)
    form = {".mp4": "mp4", ".mkv": "matroska"}[target.suffix]
    options = {"fflags": "+bitexact"}
    if form == "mp4":
        # Lengths of tracks are counted in the movie's unit: finer than the usual millisecond.
        options |= {"movflags": "+faststart", "movie_timescale": "96000"}
    try:
        with (
            replacing(target) as temporary,
            av.open(str(video)) as source,
            av.open(str(temporary), "w", format=form, options=options) as out,
        ):
            stream = picture_stream(source, video)
            picture = out.add_stream_from_template(stream, opaque=True)
            encoded = _Sound(sound, out)
            for packet in packets(source, stream):
                if packet.dts is None or packet.pts is None:
                    continue
                time_s = float((packet.pts - first) * packet.time_base)
                packet.pts, packet.dts = packet.pts - first, packet.dts - first
                packet.stream = picture
                encoded.until(time_s + AHEAD_S)
                out.mux(packet)
            encoded.end()
    except av.FFmpegError as error:
        full = disk_full(OSError(error.errno, "full"), target.parent)
        if full is not None:
            raise full from error
        raise OsslError(
            "mux_failed",
            f"The picture of {video.name} could not be put into {target.name}: {error}.",
            "The WAV beside it is whole; --no-mux leaves the video away.",
        ) from error


class _Sound:
    """A sound file encoded as the picture goes on."""

    def __init__(self, path: Path, out: Any) -> None:
        import av
        import soundfile

        with soundfile.SoundFile(str(path)) as file:
            self._rate, channels = file.samplerate, file.channels
        self._layout = "mono" if channels == 1 else "stereo"
        self._stream = out.add_stream("aac", rate=self._rate)
        self._stream.codec_context.layout = self._layout
        self._stream.codec_context.bit_rate = BIT_RATE
        self._stream.codec_context.flags |= av.codec.context.Flags.bitexact
        self._out = out
        self._given = 0
        self._blocks = self._read(path)

    def until(self, time_s: float) -> None:
        """Encode what is heard before that."""
        while self._given < time_s * self._rate:
            block = next(self._blocks, None)
            if block is None:
                return
            self._out.mux(self._stream.encode(block))

    def end(self) -> None:
        """Encode the rest."""
        self.until(float("inf"))
        self._out.mux(self._stream.encode(None))

    def _read(self, path: Path) -> Iterator[Any]:
        from fractions import Fraction

        import av
        import numpy as np
        import soundfile

        for block in soundfile.blocks(str(path), BLOCK, dtype="float32", always_2d=True):
            planes = np.ascontiguousarray(block.T)
            frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=self._layout)
            frame.sample_rate, frame.pts = self._rate, self._given
            frame.time_base = Fraction(1, self._rate)
            self._given += len(block)
            yield frame


def _first_time(video: Path) -> int:
    """Presentation time of the first picture, in ticks: not always that of the first packet."""
    import av

    times: list[int] = []
    try:
        with av.open(str(video)) as container:
            for packet in packets(container, picture_stream(container, video)):
                if packet.pts is not None and packet.size and not packet.is_discard:
                    times.append(packet.pts)
                if len(times) == 64:  # more than any decoder reorders
                    break
    except (av.FFmpegError, OSError) as error:
        raise _unreadable(video) from error
    if not times:
        raise OsslError("no_picture", f"{video.name} has no picture.", "Take another file.")
    return min(times)


def _unreadable(video: Path) -> OsslError:
    return OsslError("not_media", f"{video.name} cannot be read.", "Copy it again.")
