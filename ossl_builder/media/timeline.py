"""Correct timestamps that restart or jump, so that a file's time is continuous.

Joined DVD cells restart the clock, recorders change it, transport streams wrap around. All streams
of a file share one clock. So a jump of video and audio together is a change of the clock and is
removed. The video's jump defines the correction: its frames then follow each other without a gap,
and the audio keeps its offset to them. A jump of one stream alone is a gap in that stream and is
kept, unless time runs backward or returns to where it was.

ffmpeg corrects jumps in a similar way (`ts_discontinuity_process` in ffmpeg_demux.c), with the
same two thresholds.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any

from ossl_builder.media.demux import MediaFile, open_media, packets

# A step forward beyond this, in seconds, may be a change of the clock; a shorter one is a gap.
FORWARD_S = 10.0
# A step backward beyond this is a change of the clock. Decoding times never decrease; presentation
# times do, because decoders reorder frames.
BACKWARD_S = 0.1
BACKWARD_REORDERED_S = 1.5
# Two streams jump together if their jumps differ by no more than this.
TOGETHER_S = 2.0
# Number of packets before and after a jump that are searched for the first and last time of a run;
# no decoder reorders more.
REORDERED = 64
# Containers in which a clock may change at any time (ffmpeg: AVFMT_TS_DISCONT).
CHANGING_CLOCKS = frozenset({"mpeg", "mpegts", "ogg"})
MISSING = -(1 << 62)


@dataclass
class PacketLog:
    """Times of a stream's packets, in file order.

    Attributes:
        time_base: seconds per tick.
        order: index of each packet among all packets of the file.
        pts, dts, duration: in ticks; `MISSING`: not stated.
        size_bytes: total size of the packets.
        keys: indexes of the packets that are key frames.
    """

    time_base: Fraction
    order: array[int] = field(default_factory=lambda: array("q"))
    pts: array[int] = field(default_factory=lambda: array("q"))
    dts: array[int] = field(default_factory=lambda: array("q"))
    duration: array[int] = field(default_factory=lambda: array("q"))
    size_bytes: int = 0
    keys: array[int] = field(default_factory=lambda: array("q"))

    def __len__(self) -> int:
        return len(self.order)

    def add(self, packet: Any, order: int) -> None:
        """Append a packet; a packet that is not shown gets no time."""
        if packet.is_keyframe:
            self.keys.append(len(self.order))
        self.order.append(order)
        is_shown = not packet.is_discard
        self.pts.append(packet.pts if is_shown and packet.pts is not None else MISSING)
        self.dts.append(packet.dts if is_shown and packet.dts is not None else MISSING)
        self.duration.append(packet.duration or 0)
        self.size_bytes += packet.size

    @property
    def starts(self) -> list[int]:
        """Return each packet's begin in ticks: its presentation time, else its decoding time."""
        return [pts if pts != MISSING else dts for pts, dts in zip(self.pts, self.dts, strict=True)]

    @property
    def lacks_presentation_times(self) -> bool:
        """Whether some packets have a decoding time only, as in AVI and MPEG programs."""
        return any(p == MISSING and d != MISSING for p, d in zip(self.pts, self.dts, strict=True))

    def frame_times(self) -> list[int]:
        """Return the ticks at which frames begin, ascending, from the packets' times.

        If some packets have a decoding time only, use decoding times: the distances are the
        same, but the frames begin later, by the decoder's delay.
        """
        times = self.dts if self.lacks_presentation_times else self.pts
        return sorted({time for time in times if time != MISSING})

    def steps(self) -> list[int]:
        """Return the distances between adjacent frames, in ticks."""
        return [after - before for before, after in pairwise(self.frame_times())]

    def known(self) -> list[tuple[int, int]]:
        """Return (start, duration) in ticks of all packets that have a time."""
        pairs = zip(self.starts, self.duration, strict=True)
        return [(start, duration) for start, duration in pairs if start != MISSING]

    def corrected(self, corrections: Sequence[Correction]) -> PacketLog:
        """Return a log of the same packets with corrected times."""
        log = PacketLog(self.time_base, self.order, self.pts[:], self.dts[:], self.duration)
        log.size_bytes, log.keys = self.size_bytes, self.keys
        edges = [*(c.first_packet for c in corrections), len(self)]
        for correction, end in zip(corrections, edges[1:], strict=True):
            for number in range(correction.first_packet, end):
                for times in (log.pts, log.dts):
                    if times[number] != MISSING:
                        times[number] -= correction.ticks
        return log


@dataclass(frozen=True)
class Correction:
    """From packet `first_packet` of a stream on, its times are `ticks` too late."""

    first_packet: int
    ticks: int


# Corrections of each stream, in packet order, by stream index.
Timeline = dict[int, tuple[Correction, ...]]


@dataclass
class _Jump:
    """A jump of a stream's times before packet `number`; `size_s` is its deviation in seconds."""

    number: int
    order: int
    size_s: float
    is_corrected: bool = False


def find_corrections(
    video: PacketLog | None, audio: PacketLog | None, container: str
) -> tuple[tuple[Correction, ...], tuple[Correction, ...]]:
    """Return the corrections of a file's video and of its audio.

    Args:
        video: packets of the video stream; None: the file has none.
        audio: packets of the audio stream; None: the file has none.
        container: libav's name of the demuxer.
    """
    jumps = {"video": _jumps(video), "audio": _jumps(audio)}
    for jump in jumps["video"]:
        partners = [
            other
            for other in jumps["audio"]
            if not other.is_corrected
            and (other.size_s > 0) == (jump.size_s > 0)
            and abs(other.size_s - jump.size_s) <= TOGETHER_S
        ]
        if partners:
            partner = min(partners, key=lambda other: abs(other.order - jump.order))
            partner.size_s = jump.size_s
            partner.is_corrected = jump.is_corrected = True
    for kind, log, other in (("video", video, audio), ("audio", audio, video)):
        alone = [jump for jump in jumps[kind] if not jump.is_corrected]
        for jump, following in pairwise(alone):
            if not jump.is_corrected and abs(jump.size_s + following.size_s) <= TOGETHER_S:
                # Time returns: the packets between the two jumps had a wrong clock.
                following.size_s = -jump.size_s
                jump.is_corrected = following.is_corrected = True
        is_only_stream = not other or not log
        for jump in alone:
            if jump.size_s < 0 or (is_only_stream and container in CHANGING_CLOCKS):
                jump.is_corrected = True
    return _corrections(video, jumps["video"]), _corrections(audio, jumps["audio"])


def _jumps(log: PacketLog | None) -> list[_Jump]:
    if not log:
        return []
    has_dts = sum(time != MISSING for time in log.dts) * 2 >= len(log)
    times = log.dts if has_dts else log.pts
    base = float(log.time_base)
    backward = (BACKWARD_S if has_dts else BACKWARD_REORDERED_S) / base
    forward = FORWARD_S / base
    steps = []
    last, end = MISSING, MISSING
    for number, time in enumerate(times):
        if time == MISSING:
            continue
        if last != MISSING and (time < last - backward or time > end + forward):
            steps.append(number)
        last, end = time, time + log.duration[number]
    edges = [0, *steps, len(log)]
    size = _step_size if has_dts else _run_distance
    return [
        _Jump(step, log.order[step], size(log, before, step, after) * base)
        for before, step, after in zip(edges[:-2], edges[1:-1], edges[2:], strict=True)
    ]


def _step_size(log: PacketLog, before: int, step: int, after: int) -> int:
    """Return the deviation of the decoding time after a step from the usual distance, in ticks."""
    times = [time for time in log.dts[max(before, step - REORDERED) : step] if time != MISSING]
    following = next(time for time in log.dts[step:after] if time != MISSING)
    gaps = sorted(b - a for a, b in pairwise(times))
    usual = gaps[len(gaps) // 2] if gaps else log.duration[step - 1]
    return following - (times[-1] + usual)


def _run_distance(log: PacketLog, before: int, step: int, after: int) -> int:
    """Return the ticks from the end of the run before a step to the begin of the next run.

    Presentation times are reordered, so use the maximum and the minimum of the runs.
    """
    ends = sorted(t for t in log.pts[max(before, step - REORDERED) : step] if t != MISSING)
    begins = [t for t in log.pts[step : min(after, step + REORDERED)] if t != MISSING]
    gaps = sorted(b - a for a, b in pairwise(ends))
    usual = gaps[len(gaps) // 2] if gaps else log.duration[step - 1]
    return min(begins) - (ends[-1] + usual)


def _corrections(log: PacketLog | None, jumps: list[_Jump]) -> tuple[Correction, ...]:
    total_s, corrections = 0.0, []
    for jump in jumps:
        if jump.is_corrected and log is not None:
            total_s += jump.size_s
            corrections.append(Correction(jump.number, round(total_s / float(log.time_base))))
    return tuple(corrections)


def corrected_packets(
    container: Any,
    timeline: Timeline,
    *streams: Any,
    failed: Any = lambda: None,
) -> Iterator[Any]:
    """Yield packets as `demux.packets` does, from the begin of the file, with corrected times."""
    waiting = {index: list(corrections) for index, corrections in timeline.items() if corrections}
    counts = dict.fromkeys(waiting, 0)
    offsets = dict.fromkeys(waiting, 0)
    for packet in packets(container, *streams, failed=failed):
        index = packet.stream.index
        if index in waiting and packet.size:
            if waiting[index] and counts[index] == waiting[index][0].first_packet:
                offsets[index] = waiting[index].pop(0).ticks
            counts[index] += 1
            if offsets[index]:
                packet.pts = None if packet.pts is None else packet.pts - offsets[index]
                packet.dts = None if packet.dts is None else packet.dts - offsets[index]
        yield packet


def read_logs(container: Any) -> dict[int, PacketLog]:
    """Read all packets of a file; return the logs of its video and audio streams, by index."""
    streams = [*container.streams.video, *container.streams.audio]
    logs = {stream.index: PacketLog(Fraction(stream.time_base or 1)) for stream in streams}
    if streams:
        for order, packet in enumerate(packets(container, *streams)):
            if packet.size and packet.stream.index in logs:
                logs[packet.stream.index].add(packet, order)
    return logs


def timeline_of(media: MediaFile) -> Timeline:
    """Return the corrections of a file's times; empty unless `media.has_time_jumps`."""
    if not media.has_time_jumps:
        return {}
    with open_media(media.path) as container:
        return timeline_from(media, read_logs(container), container.format.name)


def timeline_from(media: MediaFile, logs: dict[int, PacketLog], container: str) -> Timeline:
    """Return the corrections of a file from its packet logs."""
    video = None if media.video is None else logs[media.video]
    audio = None if media.audio is None else logs[media.audio]
    video_corrections, audio_corrections = find_corrections(video, audio, container)
    pairs = ((media.video, video_corrections), (media.audio, audio_corrections))
    return {index: corrections for index, corrections in pairs if index is not None and corrections}
