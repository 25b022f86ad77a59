"""Choose the video stream and the audio stream of a file that are the film.

Files also contain thumbnails, covers, commentaries, audio descriptions and other languages. The
user chooses, or the streams' flags, lengths, sizes and channels decide.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from ossl_builder.errors import OsslError
from ossl_builder.media.demux import MediaFile, open_media
from ossl_builder.media.timeline import CHANGING_CLOCKS, PacketLog, read_logs, timeline_from

# Flags (AV_DISPOSITION_…) of streams that are still images, not the film.
STILLS = ("attached_pic", "still_image", "timed_thumbnails")
# Flags of streams that are not the original version of the film.
OTHER_VERSIONS = (
    "comment", "visual_impaired", "hearing_impaired", "dub", "karaoke", "lyrics", "clean_effects",
    "non_diegetic", "descriptions", "captions", "metadata", "dependent",
)  # fmt: skip
# Many commentaries have only a title, no flag.
OTHER_TITLES = re.compile(r"comment|descri(bed|pt)|visually impaired|isolated|karaoke", re.I)
# A stream shorter than this fraction of the longest stream of its kind is not the film.
WHOLE = 0.5


@dataclass(frozen=True)
class VideoStream:
    """Header data of a video stream; plain values, valid after the file is closed.

    Attributes:
        index: index among all streams.
        codec: libav's name of the codec.
        width, height: stored size in pixels.
        rate: nominal frame rate, 1/s; None: not stated.
        sar: sample (pixel) aspect ratio, as stored.
    """

    index: int
    codec: str
    width: int
    height: int
    rate: Fraction | None
    sar: Fraction


@dataclass(frozen=True)
class AudioStream:
    """Header data of an audio stream; plain values, valid after the file is closed."""

    index: int
    codec: str
    sample_rate: int
    channels: int


@dataclass(frozen=True)
class Choice:
    """The chosen streams.

    Attributes:
        video: the video stream; None: the file has none.
        audio: the audio stream; None: the file has none.
        why: the reasons, one sentence per stream.
        others: description of the other video and audio streams, as text; empty: none.
    """

    video: VideoStream | None
    audio: AudioStream | None
    why: str
    others: str


@dataclass(frozen=True)
class _Candidate:
    """A stream and its merits (reason, value), the most important first."""

    stream: Any
    merits: tuple[tuple[str, float], ...]

    @property
    def rank(self) -> tuple[float, ...]:
        return tuple(value for _, value in self.merits)


def inspect(path: Path) -> MediaFile:
    """Open a file and choose its streams by the rules.

    Packets are read only if the file has several streams of one kind, or a container whose clock
    may change.

    Raises:
        OsslError: `file_empty`, `not_media`.
    """
    with open_media(path) as container:
        name = container.format.name
        is_plain = len(container.streams.video) < 2 and len(container.streams.audio) < 2
        logs = None
        if not is_plain or name in CHANGING_CLOCKS:
            logs = read_logs(container)
        choice = choose(container, logs)
        media = MediaFile(
            path,
            None if choice.video is None else choice.video.index,
            None if choice.audio is None else choice.audio.index,
        )
        if logs is None or not timeline_from(media, logs, name):
            return media
        return MediaFile(media.path, media.video, media.audio, has_time_jumps=True)


def as_media(film: Path | MediaFile) -> MediaFile:
    """Return the file with chosen streams; for a path, choose them by the rules."""
    return inspect(film) if isinstance(film, Path) else film


def choose(
    container: Any,
    logs: Mapping[int, PacketLog] | None = None,
    wanted_video: int | str | None = None,
    wanted_audio: int | str | None = None,
) -> Choice:
    """Choose the film's streams.

    Args:
        container: an open file.
        logs: the streams' packet logs, by index; None: not read, all streams count as equally long.
        wanted_video, wanted_audio: an index among all streams, or a language (`eng`); None: use
            the rules.

    Raises:
        OsslError: `stream_missing`: there is no stream of this kind with this index.
    """
    streams = container.streams
    video, why_video = _chosen("video", streams.video, logs, wanted_video, _video_merits)
    audio, why_audio = _chosen("audio", streams.audio, logs, wanted_audio, _audio_merits)
    others = [
        _described(stream, logs)
        for stream in (*streams.video, *streams.audio)
        if stream is not video and stream is not audio
    ]
    why = "; ".join(reason for reason in (why_video, why_audio) if reason)
    return Choice(
        None if video is None else _video_stream(video),
        None if audio is None else _audio_stream(audio),
        why,
        "; ".join(others),
    )


def _video_stream(stream: Any) -> VideoStream:
    context = stream.codec_context
    rate = stream.guessed_rate or stream.average_rate
    sar = stream.sample_aspect_ratio or 0
    return VideoStream(
        index=stream.index,
        codec=context.codec.canonical_name,
        width=context.width,
        height=context.height,
        rate=Fraction(rate) if rate else None,
        sar=Fraction(sar) if sar > 0 else Fraction(1),
    )


def _audio_stream(stream: Any) -> AudioStream:
    context = stream.codec_context
    return AudioStream(
        index=stream.index,
        codec=context.codec.canonical_name,
        sample_rate=context.sample_rate,
        channels=context.channels,
    )


def _chosen(
    kind: str,
    streams: Sequence[Any],
    logs: Mapping[int, PacketLog] | None,
    wanted: int | str | None,
    merits_of: Callable[[Any], tuple[tuple[str, float], ...]],
) -> tuple[Any | None, str]:
    """Return the chosen stream of a kind (None: no usable one), and the reason."""
    if isinstance(wanted, int):
        for stream in streams:
            if stream.index == wanted:
                return stream, f"{kind} #{wanted}: set in the recipe"
        raise OsslError(
            "stream_missing",
            f"The file has no {kind} stream #{wanted}, which fetch.{kind}_stream names.",
            f"It has {', '.join(_described(stream, logs) for stream in streams) or 'none'}.",
        )
    usable = [
        stream
        for stream in streams
        if stream.codec_context is not None
        and not (kind == "video" and _has_flag(stream, STILLS[:1]))
        and (logs is None or len(logs[stream.index]))
    ]
    if not usable:
        return None, ""
    note = ""
    if wanted is not None:
        in_language = [stream for stream in usable if _language(stream) == wanted.lower()]
        note = (
            f", in the language {wanted}" if in_language else f"; none is in the language {wanted}"
        )
        usable = in_language or usable
    if len(usable) == 1:
        why = "the only one" if len(streams) == 1 else f"the only usable one of {len(streams)}"
        return usable[0], f"{kind} #{usable[0].index}: {why}{note}"
    lengths = {stream.index: _length_s(stream, logs) for stream in usable}
    longest = max(lengths.values())
    candidates = [
        _Candidate(
            stream,
            (
                ("it is long enough", lengths[stream.index] >= WHOLE * longest),
                ("it is neither a still image nor another version", not _is_other(stream, kind)),
                *merits_of(stream),
                ("it comes first", -stream.index),
            ),
        )
        for stream in usable
    ]
    best, second = sorted(candidates, key=lambda candidate: candidate.rank, reverse=True)[:2]
    merit = next(
        name
        for (name, value), (_, other) in zip(best.merits, second.merits, strict=True)
        if value != other
    )
    return best.stream, f"{kind} #{best.stream.index}: of {len(usable)}, {merit}{note}"


def _video_merits(stream: Any) -> tuple[tuple[str, float], ...]:
    context = stream.codec_context
    return (
        ("it is flagged default", _has_flag(stream, ("default",))),
        ("it has the most pixels", context.width * context.height),
    )


def _audio_merits(stream: Any) -> tuple[tuple[str, float], ...]:
    return (
        ("it is flagged default", _has_flag(stream, ("default",))),
        ("it has the most channels", stream.codec_context.channels),
    )


def _is_other(stream: Any, kind: str) -> bool:
    flags = (*STILLS, *OTHER_VERSIONS) if kind == "video" else OTHER_VERSIONS
    title = stream.metadata.get("title") or stream.metadata.get("handler_name") or ""
    return _has_flag(stream, flags) or bool(OTHER_TITLES.search(title))


def _has_flag(stream: Any, names: Sequence[str]) -> bool:
    from av.stream import Disposition

    return any(int(stream.disposition) & int(Disposition[name]) for name in names)


def _language(stream: Any) -> str:
    return str(stream.language or "").lower()


def _length_s(stream: Any, logs: Mapping[int, PacketLog] | None) -> float:
    """Return the stream's length by its packets' times; if time jumps, limit it by their number."""
    if logs is None:
        return 0.0
    log = logs[stream.index]
    timed_packets = sorted(log.known())
    if not timed_packets:
        return float(len(log) * log.time_base)
    gaps = sorted(after[0] - before[0] for before, after in itertools.pairwise(timed_packets))
    usual_step = gaps[len(gaps) // 2] if gaps else timed_packets[0][1]
    span = timed_packets[-1][0] - timed_packets[0][0] + usual_step
    return float(min(span, 4 * len(log) * max(usual_step, 1)) * log.time_base)


def _described(stream: Any, logs: Mapping[int, PacketLog] | None) -> str:
    from av.stream import Disposition

    context = stream.codec_context
    words = [f"#{stream.index} {stream.type}"]
    if context is not None:
        words.append(context.codec.canonical_name)
        words.append(
            f"{context.width}x{context.height}"
            if stream.type == "video"
            else f"{context.channels} channels"
        )
    words += [_language(stream)] if _language(stream) else []
    title = stream.metadata.get("title")
    words += [repr(title[:60])] if title else []
    words += [
        str(flag.name) for flag in Disposition if flag and int(stream.disposition) & int(flag)
    ]
    if logs is not None:
        words.append(f"{_length_s(stream, logs):.1f} s")
    return " ".join(words)
