"""Cut exact stretches of a film into clips, decoding each frame at most once.

A stretch [start, end) becomes the frames from the one nearest to its start up to, and without,
the one nearest to its end. Frames are found by their presentation times, never by counting, so
uneven rates, late starts and frames that a seek leaves undecodable make no difference.
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

# Over a shorter stretch, decoding on is about as quick as opening the film anew.
WORTH_JUMPING_S = 2.0
# How far ahead of a frame to look for a key frame from which it can be decoded.
JUMP_AHEAD_S = (0.0, 2.0, 12.0, 60.0)


@dataclass(frozen=True)
class CutClip:
    """A clip's MP4: its film times, and what decoding it has shown."""

    path: Path
    start_s: float
    end_s: float
    n_frames: int
    width: int
    height: int


def frame_times(film: Path | MediaFile, step: Fraction) -> list[float]:
    """Film times at which frames begin, ascending, by the time stamps of the film's packets.

    Nothing but the first frame is decoded. Where a container has more packets than frames,
    some times are those of no video.

    Args:
        film: the film's file.
        step: usual time from frame to frame, in seconds.

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
    """Cut a film's clips in one pass; give each when it is written and verified.

    Args:
        film: the film's file.
        film_end_s: film time at which its last frame ends.
        form: of its frames.
        spans: what to cut, in film time, in order and without overlap.
        mix: FLAC whose sample 0 is film time 0: the clips' audio.
        folder: where the MP4 files are written, named by the number of their span.
        encoding: settings of the encoders.
        progress: called with the part done, 0 to 1.
        is_damaged: whether some frames cannot be decoded: then they are decoded one by one, as
            the scenes were, because what a decoder with frame threads makes of damage varies.

    Yields:
        For each span its clip, or None if no video begins in it.

    Raises:
        OsslError: `video_undecodable`, `clip_unverified`.
    """
    # One clip is flushed, closed and verified while the next one is decoded and encoded.
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
    """Encode the frames of a span; what then remains to be done is returned."""
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
        found = writer.close()
        return CutClip(path, start_s, end_s, found.n_frames, found.width, found.height)

    return finish


@dataclass(frozen=True)
class _Frame:
    """A decoded frame; without a frame, the film's end."""

    pts: int
    frame: Any


class _Film:
    """A film's frames in the order of their times; one of them is the current one.

    After the last frame, the film's end is current.
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
        """Film time of the current frame."""
        return self.film_time_s(self.current.pts)

    def film_time_s(self, pts: int) -> float:
        """Film time of a presentation time."""
        return float((pts - self._zero) * self.time_base)

    @property
    def duration(self) -> int:
        """How long the current frame is shown, in units of the time base."""
        return self._following.pts - self.current.pts

    def is_at(self, edge_s: float) -> bool:
        """Whether the current frame is the nearest one to a moment, or a later one."""
        if self.current.frame is None:
            return True
        return (self.current.pts + self._following.pts) / 2 > self._pts(edge_s)

    def advance(self) -> None:
        """Make the following frame the current one."""
        self.current = self._following
        self._following = self._after(self.current)

    def go_to(self, edge_s: float) -> None:
        """Make the frame nearest to a moment the current one, unless a later one is."""
        # Where time jumps, a seek by time would lead anywhere.
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
        """Go on from the key frame before a moment, if that spares decoding.

        Some frames after a key frame refer to ones before it and cannot be decoded after a
        seek, and some containers find key frames only roughly: so a jump counts only if a
        frame at or before the moment has come out.
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
        """The frames, from the begin or from the key frame at or before `near` (PTS)."""
        frames = timed_frames(
            self._media, self._step, near=near, has_frame_threads=self._has_frame_threads
        )
        with closing(frames):
            for timed in frames:
                if timed.frame is not None:  # where frames are damaged, the scenes say
                    yield _Frame(timed.pts, timed.frame)


def _key_frame_at(media: MediaFile, near: int) -> int | None:
    """Time of the packet that a seek to `near` leads to; None if that cannot be told."""
    import av

    with suppress(av.FFmpegError), open_media(media.path) as container:
        stream = stream_at(container, media.video, media.path.name)
        container.seek(near, stream=stream)
        for packet in packets(container, stream):
            landing: int | None = packet.pts if packet.pts is not None else packet.dts
            return landing
    return None
