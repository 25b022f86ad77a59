"""Measure a film's file by reading every packet; headers are not trusted."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

from ossl_builder.errors import OsslError
from ossl_builder.media.demux import MediaFile, open_media, packets, stream_at
from ossl_builder.media.stream_choice import AudioStream, Choice, VideoStream, choose
from ossl_builder.media.timeline import PacketLog, Timeline, corrected_packets, timeline_from
from ossl_builder.media.truncation import MESSAGES, missing_bytes
from ossl_builder.media.video_frames import Clock, no_video, timed_frames

# Key frames are decoded to check that they can be, and to read their flags: at most one per this
# many seconds.
POLL_EVERY_S = 2.0
FIRST_FRAMES = 12
# All frames after this many packets before the end are decoded; no decoder reorders more.
TAIL_PACKETS = 32
# Maximum delay of a decoder.
MOST_DELAY_S = 1.0


@dataclass(frozen=True)
class VideoFacts:
    """Measurements of the video stream. Times are seconds on the file's corrected clock.

    Attributes:
        codec: libav's name of the codec.
        start_s: begin of the first decodable frame.
        end_s: end of the last packet's frame.
        decoded_end_s: end of the last decodable frame.
        n_packets: number of coded frames.
        rate: nominal frame rate, 1/s.
        is_variable_rate: whether the frame rate varies.
        width, height: stored size in pixels.
        sar: sample (pixel) aspect ratio, as stored.
        is_interlaced: whether some of the decoded frames are flagged as interlaced.
    """

    codec: str
    start_s: float
    end_s: float
    decoded_end_s: float
    n_packets: int
    rate: Fraction
    is_variable_rate: bool
    width: int
    height: int
    sar: Fraction
    is_interlaced: bool


@dataclass(frozen=True)
class AudioFacts:
    """Measurements of the audio stream. Times are seconds on the file's corrected clock.

    Attributes:
        codec: libav's name of the codec.
        start_s: begin of the first packet.
        end_s: end of the last packet.
        decoded_s: total duration of the decodable samples.
        sample_rate: in Hz.
        channels: number of channels.
    """

    codec: str
    start_s: float
    end_s: float
    decoded_s: float
    sample_rate: int
    channels: int


@dataclass(frozen=True)
class Probed:
    """Measurements of a film's file.

    Attributes:
        media: the file and its chosen streams.
        streams_why: reasons for the choice of streams, as text.
        streams_other: description of the other video and audio streams, as text.
        video: measurements of the video stream.
        audio: measurements of the audio stream; None: the file has none.
        is_truncated: whether the end of the file is missing.
    """

    media: MediaFile
    streams_why: str
    streams_other: str
    video: VideoFacts
    audio: AudioFacts | None
    is_truncated: bool


def probe(
    path: Path,
    progress: Callable[[float], None],
    wanted_video: int | str | None = None,
    wanted_audio: int | str | None = None,
) -> Probed:
    """Measure a film's file.

    Args:
        path: the file.
        progress: called with the fraction done, 0 to 1.
        wanted_video, wanted_audio: see `stream_choice.choose`.

    Raises:
        OsslError: `file_empty`, `not_media`, `no_video`, `video_undecodable`,
            `stream_missing`.
    """
    logs, choice, container, is_truncated = _read(path, progress, wanted_video, wanted_audio)
    if choice.video is None:
        raise no_video(path.name)
    media = MediaFile(
        path, choice.video.index, None if choice.audio is None else choice.audio.index
    )
    timeline = timeline_from(media, logs, container)
    if timeline:
        media = MediaFile(path, media.video, media.audio, has_time_jumps=True)
    logs = {index: log.corrected(timeline.get(index, ())) for index, log in logs.items()}
    video, audio = choice.video, choice.audio
    log = logs[video.index]
    rate = video.rate or Fraction(max(1, len(log)))
    decoded = _decode(media, timeline, log, 1 / rate)
    progress(1.0)
    return Probed(
        media=media,
        streams_why=choice.why,
        streams_other=choice.others,
        video=_video_facts(media, video, rate, log, decoded),
        audio=None if audio is None else _audio_facts(audio, logs[audio.index], decoded),
        is_truncated=is_truncated,
    )


def _read(
    path: Path,
    progress: Callable[[float], None],
    wanted_video: int | str | None,
    wanted_audio: int | str | None,
) -> tuple[dict[int, PacketLog], Choice, str, bool]:
    """Read every packet; return packet logs, chosen streams, container, and is_truncated."""
    import av.logging

    size = path.stat().st_size
    # Some demuxers report a truncated file only in the log.
    level = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture(local=False) as logged, open_media(path) as container:
            streams = [*container.streams.video, *container.streams.audio]
            logs = {s.index: PacketLog(Fraction(s.time_base or 1)) for s in streams}
            for order, packet in enumerate(packets(container, *streams) if streams else ()):
                if packet.size:
                    logs[packet.stream.index].add(packet, order)
                if order % 1000 == 0 and packet.pos:
                    progress(0.5 * min(1.0, packet.pos / size))
            choice = choose(container, logs, wanted_video, wanted_audio)
            name = container.format.name
    finally:
        av.logging.set_level(level)
    is_cut = any(text in line for _, _, line in logged for text in MESSAGES)
    return logs, choice, name, is_cut or missing_bytes(path) > 0


def _video_facts(
    media: MediaFile, video: VideoStream, rate: Fraction, log: PacketLog, decoded: _Decoded
) -> VideoFacts:
    timed_packets = sorted(log.known())
    if not timed_packets:
        raise OsslError(
            "no_video",
            f"{media.path.name} has a video stream without frames.",
            "Fetch it again.",
        )
    starts = [start for start, _ in timed_packets]
    steps = log.steps()
    base = float(log.time_base)
    usual_step = sorted(steps)[len(steps) // 2] if steps else 0
    # The duration of the last frame is its packet's duration, or the usual step.
    end = max(max(start + duration for start, duration in timed_packets), starts[-1] + usual_step)
    # Containers round times (Matroska: to 1 ms), so smaller deviations are not uneven.
    tolerance = max(1.5, 0.002 / base, 0.02 * usual_step)
    n_uneven = sum(abs(step - usual_step) > tolerance for step in steps)
    start_s, is_interlaced = _first_frames(media, 1 / rate)
    # Packets without presentation times have decoding times only, which are earlier.
    end_s = end * base
    if log.lacks_presentation_times and end_s < decoded.end_s < end_s + MOST_DELAY_S:
        end_s = decoded.end_s
    return VideoFacts(
        codec=video.codec,
        start_s=start_s,
        end_s=end_s,
        decoded_end_s=decoded.end_s,
        n_packets=len(starts),
        rate=rate,
        is_variable_rate=n_uneven > max(1, 0.01 * len(steps))
        or abs(len(starts) / (end_s - starts[0] * base) / float(rate) - 1) > 0.01,
        width=video.width,
        height=video.height,
        sar=video.sar,
        is_interlaced=is_interlaced or decoded.is_interlaced,
    )


def _first_frames(media: MediaFile, step: Fraction) -> tuple[float, bool]:
    """Return the begin of the first frame (s), and whether a frame near it is interlaced."""
    start_s: float | None = None
    is_interlaced = False
    with closing(timed_frames(media, step)) as frames:
        decoded = (timed for timed in frames if timed.frame is not None)
        for timed in islice(decoded, FIRST_FRAMES):
            frame: Any = timed.frame
            start_s = float(timed.pts * frame.time_base) if start_s is None else start_s
            is_interlaced |= bool(frame.interlaced_frame)
    if start_s is None:
        raise OsslError(
            "video_undecodable",
            f"No frame of {media.path.name} can be decoded.",
            "Fetch or copy the file again.",
        )
    return start_s, is_interlaced


@dataclass(frozen=True)
class _Decoded:
    """Result of decoding parts of a film.

    Attributes:
        end_s: end of the last decodable frame.
        is_interlaced: whether some frames are flagged as interlaced.
        audio_s: total duration of the decodable audio.
    """

    end_s: float
    is_interlaced: bool
    audio_s: float


def _decode(media: MediaFile, timeline: Timeline, log: PacketLog, step: Fraction) -> _Decoded:
    """Decode key frames throughout the film, all frames near its end, and all audio.

    Args:
        media: the film's file.
        timeline: corrections of the timestamps.
        log: packets of the video stream.
        step: usual frame duration, in seconds.
    """
    import av

    base = float(log.time_base)
    clock = Clock(max(1, round(step / log.time_base)))
    end_s, is_interlaced, audio_s, next_s = float("-inf"), False, 0.0, float("-inf")
    with open_media(media.path) as container:
        video = stream_at(container, media.video, media.path.name)
        streams = [video]
        if media.audio is not None:
            streams.append(stream_at(container, media.audio, media.path.name))
        number, tail = -1, _tail(log)
        for packet in corrected_packets(container, timeline, *streams):
            is_video = packet.stream.index == media.video
            is_tail = False
            if is_video:
                number += bool(packet.size)
                time_s = float((packet.dts if packet.dts is not None else packet.pts or 0) * base)
                is_tail = number >= tail or not packet.size
                if not is_tail and not (packet.is_keyframe and time_s >= next_s):
                    continue
                next_s = time_s + POLL_EVERY_S
                if number == tail > 0:  # drop earlier frames from the decoder
                    video.codec_context.flush_buffers()
            try:
                frames = packet.decode()
            except av.FFmpegError:
                continue
            for frame in frames:
                if not is_video:
                    audio_s += frame.samples / frame.sample_rate
                    continue
                is_interlaced |= bool(frame.interlaced_frame)
                if is_tail:
                    timed = clock.timed(frame)
                    end_s = max(end_s, (timed.pts + timed.duration) * base)
    return _Decoded(end_s, is_interlaced, audio_s)


def _tail(log: PacketLog) -> int:
    """Return the index of the last key frame that has at least `TAIL_PACKETS` after it."""
    early = [number for number in log.keys if number <= len(log) - TAIL_PACKETS]
    return early[-1] if early else 0


def _audio_facts(audio: AudioStream, log: PacketLog, decoded: _Decoded) -> AudioFacts | None:
    timed_packets = log.known()
    if not timed_packets:
        return None
    base = float(log.time_base)
    return AudioFacts(
        codec=audio.codec,
        start_s=min(start for start, _ in timed_packets) * base,
        end_s=max(start + duration for start, duration in timed_packets) * base,
        decoded_s=decoded.audio_s,
        sample_rate=audio.sample_rate,
        channels=audio.channels,
    )
