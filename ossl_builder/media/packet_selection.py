"""Select the packets that must be decoded for the frames at some times, and decode only these.

A group begins with a frame that resets the decoder (an IDR frame). Groups without a wanted frame
are left out. In the others, everything after the last wanted frame is left out, and so are frames
that no frame refers to.
"""

from __future__ import annotations

import bisect
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ossl_builder.media.demux import MediaFile, open_media, packets, stream_at
from ossl_builder.media.h264 import H264Reader, Picture, Unusual

# Times in files are rounded to their time base: a frame that starts at most this much after a
# time is the frame shown at that time.
TOLERANCE_S = 1e-4
# Codecs whose frames never depend on other frames.
INDEPENDENT = frozenset({"dnxhd", "prores"})
# Fail where the decoder would guess damaged samples: its guess depends on frames that are left out.
DECODER_OPTIONS = {"err_detect": "explode"}


@dataclass(frozen=True)
class Selection:
    """The packets to decode for some times.

    Attributes:
        packets: their numbers among the packets of the video stream.
        wanted: the presentation time of each frame to return, in ticks, and the number of times at
            which it is shown; ascending.
        first: presentation time of the first frame of the stream, in ticks.
    """

    packets: frozenset[int]
    wanted: tuple[tuple[int, int], ...]
    first: int


@dataclass(frozen=True)
class _Packet:
    """A packet in decoding order, and its presentation time in ticks."""

    picture: Picture
    pts: int


def select_packets(media: MediaFile, times_s: Sequence[float]) -> Selection | None:
    """Read all packets and select those that are needed.

    Args:
        media: the file.
        times_s: seconds after the first frame, ascending.

    Returns:
        None if the file does not say for sure which frames are needed: another codec, missing or
        contradictory times, damage, an edit list, a form that `h264` does not read.

    Raises:
        OsslError: `file_missing`, `file_empty`, `not_media`.
    """
    if media.video is None or media.has_time_jumps or not times_s:
        return None
    with open_media(media.path) as container:
        stream = stream_at(container, media.video, media.path.name)
        try:
            found = _packets(container, stream)
        except Unusual:
            return None
        time_base = stream.time_base
    ordered = sorted(packet.pts for packet in found)
    # The same product as for decoded frames, so that no rounding differs.
    starts_s = [float((pts - ordered[0]) * time_base) for pts in ordered]
    shown = Counter(
        ordered[max(0, bisect.bisect_right(starts_s, time_s + TOLERANCE_S) - 1)]
        for time_s in times_s
    )
    return Selection(
        packets=_needed(found, shown.keys()),
        wanted=tuple(sorted(shown.items())),
        first=ordered[0],
    )


def _packets(container: Any, stream: Any) -> list[_Packet]:
    """Read the packets of a stream.

    Raises:
        Unusual: the frames cannot be matched with the packets for sure.
    """
    context = stream.codec_context
    reader = None
    if context.name == "h264":
        reader = H264Reader(bytes(context.extradata or b""))
    elif context.name not in INDEPENDENT:
        raise Unusual(f"its codec is {context.name}")

    def failed() -> None:
        raise Unusual("a packet cannot be read")

    found: list[_Packet] = []
    for packet in packets(container, stream, failed=failed):
        if not packet.size:
            continue
        if packet.pts is None or packet.is_discard or packet.is_corrupt:
            raise Unusual("a packet has no time, or is not shown, or is damaged")
        if any(packet.iter_sidedata()):
            raise Unusual("parameters change")
        picture = Picture(True, False, 0) if reader is None else reader.picture(bytes(packet))
        found.append(_Packet(picture, packet.pts))
    _check_order(found, 0 if reader is None else reader.most_reordered)
    return found


def _check_order(found: Sequence[_Packet], most_reordered: int) -> None:
    """Check that the decoder returns all frames, in the order of their times.

    Raises:
        Unusual: it may not.
    """
    if not found or not found[0].picture.is_idr:
        raise Unusual("it does not begin with an IDR frame")
    by_time = sorted(range(len(found)), key=lambda number: found[number].pts)
    group_of = list(itertools.accumulate(packet.picture.is_idr for packet in found))
    for before, after in pairwise(by_time):
        orders = [(group_of[n], found[n].picture.order) for n in (before, after)]
        if found[before].pts >= found[after].pts or orders[0] >= orders[1]:
            raise Unusual("the times of frames are not in their output order")
    of_group: list[int] = []
    for packet in found:
        if packet.picture.is_idr:
            of_group = []
        bisect.insort(of_group, packet.pts)
        if len(of_group) - bisect.bisect_right(of_group, packet.pts) > most_reordered:
            raise Unusual("frames are reordered more than the stream states")


def _needed(found: Sequence[_Packet], wanted: Any) -> frozenset[int]:
    """Return the numbers of the packets that wanted frames need."""
    needed = {0}  # it can hold the encoder's version, by which the decoder avoids known errors
    group: list[int] = []
    for number, packet in enumerate(found):
        if packet.picture.is_idr:
            group = []
        group.append(number)
        if packet.pts in wanted:
            needed.add(number)
            # A frame may depend on all earlier reference frames of its group.
            needed.update(other for other in group if found[other].picture.is_reference)
            group = []
    return frozenset(needed)


def selected_frames(media: MediaFile, selection: Selection) -> Iterator[tuple[Any, float, int]]:
    """Decode the selected packets.

    Yields:
        Each wanted frame, its start in seconds after the first frame, and the number of times at
        which it is shown. It ends early at the first sign of damage.
    """
    import av

    with open_media(media.path) as container:
        stream = stream_at(container, media.video, media.path.name)
        # Callers decode several files at a time, which needs less work than several threads here.
        stream.codec_context.thread_count = 1
        stream.codec_context.options = DECODER_OPTIONS
        waiting = list(reversed(selection.wanted))
        held: Any = None
        try:
            for frame in _decoded(container, stream, selection):
                if frame.is_corrupt or frame.interlaced_frame or frame.pts is None:
                    return
                is_next = bool(waiting) and frame.pts >= waiting[-1][0]
                if is_next and frame.pts != waiting[-1][0]:
                    return
                # Where data are damaged, a decoder may change a frame that it has returned before.
                if held is not None:
                    yield _timed(held, selection)
                held = frame if is_next else None
                if is_next:
                    waiting.pop()
                elif not waiting:
                    return
            if held is not None:
                yield _timed(held, selection)
        except av.FFmpegError:
            return


def _timed(frame: Any, selection: Selection) -> tuple[Any, float, int]:
    start_s = float((frame.pts - selection.first) * frame.time_base)
    return frame, start_s, dict(selection.wanted)[frame.pts]


def _decoded(container: Any, stream: Any, selection: Selection) -> Iterator[Any]:
    """Decode the selected packets of a stream."""
    number = -1
    for packet in packets(container, stream):
        number += bool(packet.size)
        if not packet.size or number in selection.packets:
            yield from packet.decode()
