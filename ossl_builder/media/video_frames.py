"""Decode a film's video.

Scene detection, cutting and probing all use this module, so they get the same frames and times.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ossl_builder.errors import OsslError
from ossl_builder.media.demux import MediaFile, open_media, stream_at
from ossl_builder.media.timeline import Timeline, corrected_packets, timeline_of

# A longer gap in time is checked for lost frames.
LOST_S = 0.5
# Frame duration if the film's rate is unknown.
USUAL_STEP = Fraction(1, 25)


@dataclass(frozen=True)
class TimedFrame:
    """A decoded frame.

    Attributes:
        pts: presentation time in ticks of the stream's time base; strictly increasing.
        duration: how long the frame is shown, in ticks, if no frame follows.
        frame: the decoder's frame; None: data here could not be decoded.
        is_broken: whether the frame was decoded from damaged data.
    """

    pts: int
    duration: int
    frame: Any | None
    is_broken: bool = False


def timed_frames(
    media: MediaFile,
    step: Fraction = USUAL_STEP,
    *,
    near: int | None = None,
    has_frame_threads: bool = False,
    finds_losses: bool = False,
) -> Generator[TimedFrame, None, None]:
    """Decode the frames of a film in presentation order.

    Args:
        media: the file.
        step: usual frame duration, in seconds; used where the file has no times.
        near: decode from the key frame at or before this time (ticks), by seeking; not for files
            with time jumps.
        has_frame_threads: decode several frames in parallel: faster, but needs more CPU time, and
            the result for damaged data varies.
        finds_losses: also yield a `TimedFrame` without a frame where frames were lost.

    Raises:
        OsslError: `file_empty`, `not_media`, `no_video`.
    """
    import av

    timeline: Timeline = timeline_of(media)
    if media.video is None:
        raise no_video(media.path.name)
    with open_media(media.path) as container:
        stream = stream_at(container, media.video, media.path.name)
        # Frame threads need more CPU time, and their result for damaged data varies.
        stream.thread_type = "AUTO" if has_frame_threads else "SLICE"
        if near is not None:
            container.seek(near, stream=stream)
        clock = Clock(max(1, round(step / stream.time_base)))
        losses = _Losses() if finds_losses else None
        failures: list[bool] = []

        def failed() -> None:
            failures.append(True)

        # To find bytes that belong to no packet, all streams must be read.
        streams = () if finds_losses else (stream,)
        for packet in corrected_packets(container, timeline, *streams, failed=failed):
            if failures:
                failures.clear()
                yield clock.gap()
            if losses:
                losses.read(packet)
            if packet.stream.index != media.video:
                continue
            try:
                frames = packet.decode()
            except av.FFmpegError:
                yield clock.gap()
                continue
            for frame in frames:
                if losses and losses.before(frame):
                    yield clock.gap()
                yield clock.timed(frame)
        if failures:
            yield clock.gap()


def seconds(ticks: int, time_base: Fraction) -> float:
    """Convert ticks to seconds; much faster than the exact product, with the same float result."""
    return ticks * time_base.numerator / time_base.denominator


def no_video(name: str) -> OsslError:
    """Return the error of a file without a video stream."""
    return OsslError(
        "no_video", f"{name} has no video.", "A film needs a video stream; add another file."
    )


class Clock:
    """Assign each frame the time that ffmpeg assigns, and make times strictly increasing.

    As in libavcodec's `guess_correct_pts`, use the presentation time unless it has decreased more
    often than the decoding time.
    """

    def __init__(self, step: int) -> None:
        self._step = step
        self._last: int | None = None
        self._last_duration = 0
        self._last_pts: int | None = None
        self._last_dts: int | None = None
        self._faulty_pts = 0
        self._faulty_dts = 0
        self._true_durations = 0  # correct minus wrong frame durations so far

    def timed(self, frame: Any) -> TimedFrame:
        """Return the next frame with its time and duration."""
        time = self._guess(frame.pts, frame.dts)
        if self._last is None:
            time = time or 0
        else:
            time = self._last + self._duration() if time is None else max(time, self._last + 1)
            step = time - self._last
            if self._last_duration:
                is_true = abs(self._last_duration - step) <= step // 4
                self._true_durations += 1 if is_true else -1
        self._last, self._last_duration = time, frame.duration or 0
        return TimedFrame(time, self._duration(), frame, frame.is_corrupt)

    def gap(self) -> TimedFrame:
        """Return a `TimedFrame` for data after the last frame that could not be decoded."""
        return TimedFrame(self._last or 0, 0, None, is_broken=True)

    def _duration(self) -> int:
        is_trusted = self._last_duration > 0 and self._true_durations >= 0
        return self._last_duration if is_trusted else self._step

    def _guess(self, pts: int | None, dts: int | None) -> int | None:
        if dts is not None:
            self._faulty_dts += self._last_dts is not None and dts <= self._last_dts
            self._last_dts = dts
        elif pts is not None:
            self._last_dts = pts
        if pts is not None:
            self._faulty_pts += self._last_pts is not None and pts <= self._last_pts
            self._last_pts = pts
        elif dts is not None:
            self._last_pts = dts
        is_pts_right = self._faulty_pts <= self._faulty_dts or dts is None
        return pts if is_pts_right and pts is not None else dts


class _Losses:
    """Distinguish lost frames from frames that are shown for a long time.

    A gap in time alone is no loss: a frame may be shown long, and films may begin with black that
    is not coded. But where frames are lost, the file has bytes that belong to no packet, and
    about as many as frames need for that time.
    """

    def __init__(self) -> None:
        self._size = 0
        self._last_byte: int | None = None
        self._skipped: deque[int] = deque(maxlen=64)  # decoders reorder, and start at a key frame
        self._first_s: float | None = None
        self._last_s = 0.0

    def read(self, packet: Any) -> None:
        """Record a packet of any stream."""
        if packet.pos is None or packet.pos < 0:
            return
        if self._last_byte is not None:
            self._skipped.append(packet.pos - self._last_byte)
        self._last_byte = packet.pos + packet.size
        if packet.stream.type == "video":
            self._size += packet.size

    def before(self, frame: Any) -> bool:
        """Whether frames were lost directly before this one."""
        if frame.pts is None:
            return False
        time_s = seconds(frame.pts, frame.time_base)
        gap_s = time_s - self._last_s
        lost = False
        if self._first_s is None:
            self._first_s = time_s
        elif gap_s > LOST_S and self._last_s > self._first_s and self._skipped:
            rate = self._size / (self._last_s - self._first_s)
            lost = max(self._skipped) > rate * gap_s / 4
            self._skipped.clear()
        self._last_s = time_s
        return lost
