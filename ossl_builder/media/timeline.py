"""Correct timestamps that restart or jump, so that a file's time is continuous.

Joined DVD cells begin their clock anew, recorders change it, transport streams wrap. The clock of
a file is one for all its streams, so a jump that the video and the audio make together is a change
of the clock and is taken out. The video decides by how much: its frames then follow each other
without a gap, and the audio keeps its distance to them. A jump of one stream alone is a gap in
that stream, and stays, unless time runs backward or comes back to where it was.

ffmpeg corrects jumps in a similar way (`ts_discontinuity_process` in ffmpeg_demux.c), with the
same two bounds.
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
# A step backward beyond this is a change of the clock. Decoding times never go back; presentation
# times do, by as much as a decoder reorders.
BACKWARD_S = 0.1
BACKWARD_REORDERED_S = 1.5
# Two streams jump together if their jumps differ by no more than this.
TOGETHER_S = 2.0
# Packets beside a jump that are looked at for the run's first and last time: more than any
# decoder reorders.
REORDERED = 64
# Containers in which a clock may change at any time (ffmpeg: AVFMT_TS_DISCONT).
CHANGING_CLOCKS = frozenset({"mpeg", "mpegts", "ogg"})
MISSING = -(1 << 62)


@dataclass
class PacketLog:
    """The times of a stream's packets, in the order of the file.

    Attributes:
        time_base: seconds per tick.
        order: number of each packet among all packets of the file.
        pts, dts, duration: in ticks; `MISSING` where the file has none.
        size_bytes: of all packets together.
        keys: numbers of the packets that are key frames.
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
        """Note a packet; one that is not to be shown has no time."""
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
        """When each packet begins, in ticks: its presentation time, else its decoding time."""
        return [pts if pts != MISSING else dts for pts, dts in zip(self.pts, self.dts, strict=True)]

    @property
    def lacks_presentation_times(self) -> bool:
        """Whether some packets have a decoding time only, as in AVI and MPEG programs."""
        return any(p == MISSING and d != MISSING for p, d in zip(self.pts, self.dts, strict=True))

    def frame_times(self) -> list[int]:
        """Ticks at which frames begin, ascending, as far as packets tell.

        Where some packets have a decoding time only, decoding times are taken: frames have the
        same distances, but begin later by what the decoder holds back.
        """
        times = self.dts if self.lacks_presentation_times else self.pts
        return sorted({time for time in times if time != MISSING})

    def steps(self) -> list[int]:
        """Ticks from frame to frame."""
        return [after - before for before, after in pairwise(self.frame_times())]

    def known(self) -> list[tuple[int, int]]:
        """(start, duration) of all packets that have a time."""
        pairs = zip(self.starts, self.duration, strict=True)
        return [(start, duration) for start, duration in pairs if start != MISSING]

    def corrected(self, corrections: Sequence[Correction]) -> PacketLog:
        """The same packets with corrected times."""
        new = PacketLog(self.time_base, self.order, self.pts[:], self.dts[:], self.duration)
        new.size_bytes, new.keys = self.size_bytes, self.keys
        edges = [*(c.first_packet for c in corrections), len(self)]
        for correction, end in zip(corrections, edges[1:], strict=True):
            for number in range(correction.first_packet, end):
                for times in (new.pts, new.dts):
                    if times[number] != MISSING:
                        times[number] -= correction.ticks
        return new


@dataclass(frozen=True)
class Correction:
    """From a stream's packet number `first_packet` on, its times are `ticks` too late."""

    first_packet: int
    ticks: int


# For each stream by its index, corrections in the order of its packets.
Timeline = dict[int, tuple[Correction, ...]]


@dataclass
class _Jump:
    """A step in a stream's times, before the packet `number`; `size_s` is what is too much."""

    number: int
    order: int
    size_s: float
    is_corrected: bool = False


def find_corrections(
    video: PacketLog | None, audio: PacketLog | None, container: str
) -> tuple[tuple[Correction, ...], tuple[Correction, ...]]:
    """Corrections of a file's video and of its audio.

    Args:
        container: the demuxer's name.
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
                # Time comes back: what lies between had a wrong clock.
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
    """Ticks by which the decoding time before a step is off from the usual distance."""
    times = [time for time in log.dts[max(before, step - REORDERED) : step] if time != MISSING]
    following = next(time for time in log.dts[step:after] if time != MISSING)
    gaps = sorted(b - a for a, b in pairwise(times))
    usual = gaps[len(gaps) // 2] if gaps else log.duration[step - 1]
    return following - (times[-1] + usual)


def _run_distance(log: PacketLog, before: int, step: int, after: int) -> int:
    """Ticks from the end of the run before a step to the begin of the next.

    Presentation times are reordered, so each run's extremes count.
    """
    ends = sorted(t for t in log.pts[max(before, step - REORDERED) : step] if t != MISSING)
    begins = [t for t in log.pts[step : min(after, step + REORDERED)] if t != MISSING]
    gaps = sorted(b - a for a, b in pairwise(ends))
    usual = gaps[len(gaps) // 2] if gaps else log.duration[step - 1]
    return min(begins) - (ends[-1] + usual)


def _corrections(log: PacketLog | None, jumps: list[_Jump]) -> tuple[Correction, ...]:
    total_s, found = 0.0, []
    for jump in jumps:
        if jump.is_corrected and log is not None:
            total_s += jump.size_s
            found.append(Correction(jump.number, round(total_s / float(log.time_base))))
    return tuple(found)


def corrected_packets(
    container: Any,
    timeline: Timeline,
    *streams: Any,
    failed: Any = lambda: None,
) -> Iterator[Any]:
    """Read packets as `demux.packets` does, from the file's begin on, with corrected times."""
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
    """Read all packets of a file; the times of its video and audio streams, by their index."""
    streams = [*container.streams.video, *container.streams.audio]
    logs = {stream.index: PacketLog(Fraction(stream.time_base or 1)) for stream in streams}
    if streams:
        for order, packet in enumerate(packets(container, *streams)):
            if packet.size and packet.stream.index in logs:
                logs[packet.stream.index].add(packet, order)
    return logs


def timeline_of(media: MediaFile) -> Timeline:
    """The corrections of a file's times; none are looked for unless it is known to need them."""
    if not media.has_time_jumps:
        return {}
    with open_media(media.path) as container:
        return timeline_from(media, read_logs(container), container.format.name)


def timeline_from(media: MediaFile, logs: dict[int, PacketLog], container: str) -> Timeline:
    """The corrections of a file whose packets have been read."""
    video = None if media.video is None else logs[media.video]
    audio = None if media.audio is None else logs[media.audio]
    of_video, of_audio = find_corrections(video, audio, container)
    pairs = ((media.video, of_video), (media.audio, of_audio))
    return {index: found for index, found in pairs if index is not None and found}
