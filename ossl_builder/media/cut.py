"""Cut frame-exact segments of a film into clips; decode each frame at most once.

The clip of a segment [start, end) has the frames from the one nearest to `start` up to, but not
including, the one nearest to `end`. Frames are found by presentation time, never by counting. So
variable frame rates, late starts and frames that are undecodable after a seek do no harm.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from ossl_builder.errors import OsslError
from ossl_builder.media.clip_writer import ClipWriter, Encoding
from ossl_builder.media.demux import MediaFile, open_media, packets, stream_at
from ossl_builder.media.stream_choice import as_media
from ossl_builder.media.timeline import PacketLog, corrected_packets, timeline_of
from ossl_builder.media.video_frames import timed_frames
from ossl_builder.media.video_transforms import OutputFormat
from ossl_builder.tables.schema import Span

# Over a shorter segment, decoding is about as fast as seeking in a newly opened file.
WORTH_JUMPING_S = 2.0
# How far before a frame to search for a key frame from which it can be decoded.
JUMP_AHEAD_S = (0.0, 2.0, 12.0, 60.0)


@dataclass(frozen=True)
class CutClip:
    """A written clip: its MP4, film times, number of frames, and display size."""

    path: Path
    start_s: float
    end_s: float
    n_frames: int
    width: int
    height: int


def frame_times(film: Path | MediaFile, step: Fraction) -> list[float]:
    """Return the film times at which frames begin, ascending, from the packets' timestamps.

    Only the first frame is decoded. If a container has more packets than frames, some times have
    no frame.

    Args:
        film: the film's file.
        step: usual frame duration, in seconds.

    Raises:
        OsslError: `video_undecodable`.
    """
    media = as_media(film)
    start = _Film(media, step, 0.0)
    start.close()
    with open_media(media.path) as container:
        stream = stream_at(container, media.video, media.path.name)
        log = PacketLog(start.time_base)
        for order, packet in enumerate(corrected_packets(container, timeline_of(media), stream)):
            if packet.size:
                log.add(packet, order)
    times = log.frame_times()
    if log.lacks_presentation_times:
        times = [time - times[0] + start.current.pts for time in times]
    return [start.film_time_s(time) for time in times if time >= start.current.pts]


def cut(
    film: Path | MediaFile,
    film_end_s: float,
    form: OutputFormat,
    spans: Sequence[Span],
    mix: Path,
    folder: Path,
    encoding: Encoding,
    progress: Callable[[float], None],
    *,
    is_damaged: bool = False,
) -> Iterator[CutClip | None]:
    """Cut a film's clips in one pass; yield each clip when it is written and verified.

    Args:
        film: the film's file.
        film_end_s: film time at which its last frame ends.
        form: format of the output frames.
        spans: the segments, in film time, in order and without overlap.
        mix: FLAC of the film's audio; its sample 0 is film time 0.
        folder: folder of the MP4 files; a file's name is the index of its span.
        encoding: encoder settings.
        progress: called with the fraction done, 0 to 1.
        is_damaged: whether some frames cannot be decoded. Then decode without frame threads, as
            the scene detection does: with frame threads, the result for damaged data varies.

    Yields:
        For each span its clip, or None if no frame begins in it.

    Raises:
        OsslError: `video_undecodable`, `clip_unverified`.
    """
    # Flush, close and verify one clip while the next one is decoded and encoded.
    finishing: deque[Future[CutClip | None]] = deque()
    source = _Film(as_media(film), 1 / form.rate, film_end_s, has_frame_threads=not is_damaged)
    try:
        with ThreadPoolExecutor(1) as finisher:
            for number, span in enumerate(spans):
                path = folder / f"{number:04d}.mp4"
                finish = _encode(source, span, path, form, mix, encoding, progress)
                finishing.append(finisher.submit(finish))
                if len(finishing) > 1:
                    yield finishing.popleft().result()
            while finishing:
                yield finishing.popleft().result()
    finally:
        source.close()


def _encode(
    film: _Film,
    span: Span,
    path: Path,
    form: OutputFormat,
    mix: Path,
    encoding: Encoding,
    progress: Callable[[float], None],
) -> Callable[[], CutClip | None]:
    """Encode the frames of a span; return the function that closes and verifies the clip."""
    film.go_to(span.start_s)
    start_s, first_pts = film.time_s, film.current.pts
    if film.is_at(span.end_s):
        return lambda: None
    writer = ClipWriter(path, form, encoding, mix, start_s, film.time_base)
    try:
        while not film.is_at(span.end_s):
            writer.add(film.current.frame, film.current.pts - first_pts, film.duration)
            film.advance()
            progress(min(1.0, film.time_s / film.end_s))
    except BaseException:
        writer.abandon()
        raise
    end_s = film.time_s

    def finish() -> CutClip:
        checked = writer.close()
        return CutClip(path, start_s, end_s, checked.n_frames, checked.width, checked.height)

    return finish


@dataclass(frozen=True)
class _Frame:
    """A decoded frame; if `frame` is None, the film's end."""

    pts: int
    frame: Any


class _Film:
    """Cursor over a film's frames in presentation order.

    After the last frame, the film's end is the current frame.
    """

    def __init__(
        self, media: MediaFile, step: Fraction, end_s: float, *, has_frame_threads: bool = True
    ) -> None:
        self._media = media
        self._step = step
        self._has_frame_threads = has_frame_threads
        self._frames = self._decoded()
        first = next(self._frames, None)
        if first is None:
            raise OsslError(
                "video_undecodable",
                f"No frame of {media.path.name} can be decoded.",
                "Fetch or copy the film again.",
            )
        self.end_s = end_s
        self.time_base: Fraction = first.frame.time_base
        self._zero = first.pts
        self.current = first
        self._following = self._after(first)

    @property
    def time_s(self) -> float:
        """Return the film time of the current frame, in seconds."""
        return self.film_time_s(self.current.pts)

    def film_time_s(self, pts: int) -> float:
        """Convert a presentation time to film time, in seconds."""
        return float((pts - self._zero) * self.time_base)

    @property
    def duration(self) -> int:
        """Return how long the current frame is shown, in ticks."""
        return self._following.pts - self.current.pts

    def is_at(self, edge_s: float) -> bool:
        """Whether the current frame is the nearest to the film time `edge_s`, or a later one."""
        if self.current.frame is None:
            return True
        return (self.current.pts + self._following.pts) / 2 > self._pts(edge_s)

    def advance(self) -> None:
        """Move to the next frame."""
        self.current = self._following
        self._following = self._after(self.current)

    def go_to(self, edge_s: float) -> None:
        """Move forward to the frame nearest to the film time `edge_s`."""
        # In a file with time jumps, a seek by time is unreliable.
        if edge_s - self.time_s > WORTH_JUMPING_S and not self._media.has_time_jumps:
            self._jump(edge_s)
        while not self.is_at(edge_s):
            self.advance()

    def close(self) -> None:
        """Close the film's file."""
        self._frames.close()

    def _pts(self, time_s: float) -> float:
        return self._zero + time_s / float(self.time_base)

    def _after(self, frame: _Frame) -> _Frame:
        if frame.frame is None:
            return frame
        end = _Frame(max(round(self._pts(self.end_s)), frame.pts + 1), None)
        return next(self._frames, end)

    def _jump(self, edge_s: float) -> None:
        """Seek to the key frame before `edge_s`, if that saves decoding.

        Some frames after a key frame refer to frames before it and cannot be decoded after a
        seek, and some containers seek only approximately. So a seek is used only if it yields a
        frame at or before `edge_s`.
        """
        for ahead_s in JUMP_AHEAD_S:
            near = int(self._pts(edge_s - ahead_s))
            landing = _key_frame_at(self._media, near)
            if landing is None or landing <= self._following.pts:
                return
            frames = self._decoded(near)
            first = next(frames, None)
            if first is not None and self._following.pts < first.pts <= self._pts(edge_s):
                self._frames.close()
                self._frames, self.current = frames, first
                self._following = self._after(first)
                return
            frames.close()

    def _decoded(self, near: int | None = None) -> Generator[_Frame, None, None]:
        """Yield the frames, from the begin or from the key frame at or before `near` (PTS)."""
        frames = timed_frames(
            self._media, self._step, near=near, has_frame_threads=self._has_frame_threads
        )
        with closing(frames):
            for timed in frames:
                if timed.frame is not None:  # the scene detection reports damaged frames
                    yield _Frame(timed.pts, timed.frame)


def _key_frame_at(media: MediaFile, near: int) -> int | None:
    """Return the time of the first packet after a seek to `near`; None: unknown."""
    import av

    with suppress(av.FFmpegError), open_media(media.path) as container:
        stream = stream_at(container, media.video, media.path.name)
        container.seek(near, stream=stream)
        for packet in packets(container, stream):
            landing: int | None = packet.pts if packet.pts is not None else packet.dts
            return landing
    return None
