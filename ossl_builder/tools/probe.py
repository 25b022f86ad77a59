"""What a film's file holds, measured by reading every packet; headers are not believed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

from ossl_builder.errors import OsslError
from ossl_builder.tools.streams import picture_stream

# Pictures decoded to see that they can be, and whether they are interlaced.
LOOK_AT = 12

SAID_OF_TRUNCATED = ("partial file", "File ended prematurely")


@dataclass(frozen=True)
class Picture:
    """The picture stream. Times in seconds on the container's clock."""

    codec: str
    start_s: float
    end_s: float
    n_packets: int
    rate: Fraction
    is_variable_rate: bool
    width: int
    height: int
    sar: Fraction
    is_interlaced: bool


@dataclass(frozen=True)
class Sound:
    """The sound stream. Times in seconds on the container's clock."""

    codec: str
    start_s: float
    end_s: float
    sample_rate: int
    channels: int


@dataclass(frozen=True)
class Probed:
    """A file: its picture, its sound if it has any, and whether its end is missing."""

    picture: Picture
    sound: Sound | None
    is_truncated: bool


@dataclass
class _Times:
    """Presentation times of a stream's packets, in units of its time base."""

    starts: list[int]
    last_end: int | None = None

    def add(self, packet: Any) -> None:
        self.starts.append(packet.pts)
        end = packet.pts + (packet.duration or 0)
        self.last_end = end if self.last_end is None else max(self.last_end, end)


def probe(path: Path, progress: Callable[[float], None]) -> Probed:
    """Measure a film's file.

    Raises:
        OsslError: `file_empty`, `not_media`, `no_picture`, `picture_undecodable`.
    """
    import av

    if path.stat().st_size == 0:
        raise OsslError("file_empty", f"{path.name} is empty.", "Fetch or copy it again.")
    try:
        with av.open(str(path)) as container:
            is_interlaced = _looks_interlaced(container, picture_stream(container, path), path)
        # Opened anew: a file without an index cannot be wound back.
        with av.open(str(path)) as container:
            video = picture_stream(container, path)
            audio = next(iter(container.streams.audio), None)
            times, is_truncated = _read_packets(container, video, audio, path, progress)
            return Probed(
                picture=_picture(video, times[video.index], is_interlaced, path),
                sound=_sound(audio, times) if audio is not None else None,
                is_truncated=is_truncated,
            )
    except (av.FFmpegError, ValueError) as error:
        raise OsslError(
            "not_media",
            f"{path.name} cannot be read as a film ({error.__class__.__name__}: "
            f"{getattr(error, 'strerror', None) or error}).",
            "It may be truncated, or something else with a film's name; fetch it again.",
        ) from error


def _looks_interlaced(container: Any, video: Any, path: Path) -> bool:
    """Decode the first pictures; tell by their flags whether they are interlaced."""
    import av

    flags: list[bool] = []
    problem = ""
    for packet in container.demux(video):
        try:
            flags += [bool(frame.interlaced_frame) for frame in packet.decode()]
        except av.FFmpegError as error:
            problem = str(error)
        if len(flags) >= LOOK_AT:
            break
    if not flags:
        raise OsslError(
            "picture_undecodable",
            f"No picture of {path.name} can be decoded{f' ({problem})' if problem else ''}.",
            "Fetch or copy the file again.",
        )
    return sum(flags) * 2 > len(flags)


def _read_packets(
    container: Any, video: Any, audio: Any, path: Path, progress: Callable[[float], None]
) -> tuple[dict[int, _Times], bool]:
    """Read every packet: their times by stream, and whether the file's end is missing."""
    import av.logging

    streams = [stream for stream in (video, audio) if stream is not None]
    times = {stream.index: _Times([]) for stream in streams}
    size = path.stat().st_size
    # That a file is cut off stands in no field: the demuxers of MP4 and Matroska only say it.
    level = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture(local=False) as said:
            for count, packet in enumerate(container.demux(streams)):
                if packet.pts is not None and packet.size and not packet.is_discard:
                    times[packet.stream.index].add(packet)
                if count % 1000 == 0 and packet.pos:
                    progress(min(1.0, packet.pos / size))
    finally:
        av.logging.set_level(level)
    return times, any(text in line for _, _, line in said for text in SAID_OF_TRUNCATED)


def _picture(video: Any, times: _Times, is_interlaced: bool, path: Path) -> Picture:
    if not times.starts or times.last_end is None:
        raise OsslError(
            "no_picture", f"{path.name} has a picture stream without pictures.", "Fetch it again."
        )
    starts = sorted(times.starts)
    steps = [after - before for before, after in pairwise(starts)]
    base = float(video.time_base)
    usual = sorted(steps)[len(steps) // 2] if steps else 0
    # The last picture lasts as long as its packet says, or as the usual one.
    end = max(times.last_end, starts[-1] + usual)
    rate = video.guessed_rate or video.average_rate or Fraction(len(starts))
    # Containers round times (Matroska: to 1 ms); only steps beyond that are uneven.
    slack = max(1.5, 0.002 / base, 0.02 * usual)
    uneven = sum(abs(step - usual) > slack for step in steps)
    sar = video.sample_aspect_ratio or Fraction(1)
    return Picture(
        codec=video.codec_context.codec.canonical_name,
        start_s=starts[0] * base,
        end_s=end * base,
        n_packets=len(starts),
        rate=Fraction(rate),
        is_variable_rate=uneven > max(1, 0.01 * len(steps))
        or abs(len(starts) / ((end - starts[0]) * base) / float(rate) - 1) > 0.01,
        width=video.codec_context.width,
        height=video.codec_context.height,
        sar=Fraction(sar) if sar > 0 else Fraction(1),
        is_interlaced=is_interlaced,
    )


def _sound(audio: Any, times: dict[int, _Times]) -> Sound | None:
    found = times[audio.index]
    if not found.starts or found.last_end is None:
        return None
    base = float(audio.time_base)
    return Sound(
        codec=audio.codec_context.codec.canonical_name,
        start_s=min(found.starts) * base,
        end_s=found.last_end * base,
        sample_rate=audio.codec_context.sample_rate,
        channels=audio.codec_context.channels,
    )
