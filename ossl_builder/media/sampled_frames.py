"""Read the video frames that are shown at given times."""

from __future__ import annotations

import bisect
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder.errors import OsslError
from ossl_builder.media.demux import MediaFile, open_media, packets, stream_at
from ossl_builder.media.stream_choice import inspect
from ossl_builder.media.video_frames import timed_frames
from ossl_builder.media.video_transforms import orientation_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rgb = NDArray[np.uint8]

# Times in files are rounded to their time base: a frame that starts at most this much after a
# time is the frame shown at that time.
TOLERANCE_S = 1e-4
# Only this decoder leaves out exactly the frames that no frame refers to.
SPARSE_CODEC = "h264"
# Fail where the decoder would guess damaged samples: its guess depends on frames that are left out.
DECODER_OPTIONS = {"err_detect": "explode"}


@dataclass(frozen=True)
class SampledFrames:
    """The video frame that is shown at a requested time.

    Attributes:
        time_s: its start, in seconds after the clip's first video frame.
        rgb: [height, width, 3].
    """

    time_s: float
    rgb: Rgb


def frames_at(path: Path, times_s: Sequence[float]) -> Iterator[SampledFrames]:
    """Yield the video frame that is shown at each of some times.

    In H.264, frames that are neither wanted nor referred to are not decoded. The result is the
    same, bit by bit, as with all frames: at the first doubt all frames are decoded.

    Args:
        path: a video file.
        times_s: seconds after its first frame, ascending; after its end the last frame is used.

    Yields:
        One frame per time, in order; the same object if a frame is shown at several times.

    Raises:
        OsslError: `no_video`, `video_undecodable`, `not_media`, `file_missing`.
    """
    media = inspect(path)
    n_yielded = 0
    wanted = wanted_frames(media, times_s)
    if wanted is not None:
        for frame, time_s, n_times in needed_frames(media, wanted):
            sampled = _sampled(frame, time_s)
            n_yielded += n_times
            yield from itertools.repeat(sampled, n_times)
    if n_yielded < len(times_s) or not times_s:
        yield from itertools.islice(_of_all_frames(media, times_s), n_yielded, None)


@dataclass(frozen=True)
class WantedFrames:
    """The frames that are shown at some times.

    Attributes:
        first: presentation time of the first frame of the stream, in ticks.
        times: the number of times at which each frame is shown, by its presentation time in ticks;
            ascending.
    """

    first: int
    times: dict[int, int]


def wanted_frames(media: MediaFile, times_s: Sequence[float]) -> WantedFrames | None:
    """Find the frames that are shown at some times, by the times of the packets.

    Args:
        media: the file.
        times_s: seconds after the first frame, ascending.

    Returns:
        None if all frames must be decoded: another codec than H.264, missing or repeated times,
        damage, an edit list.

    Raises:
        OsslError: `file_missing`, `file_empty`, `not_media`.
    """
    if media.video is None or media.has_time_jumps or not times_s:
        return None
    starts: list[int] = []
    failures: list[bool] = []
    with open_media(media.path) as container:
        stream = stream_at(container, media.video, media.path.name)
        if stream.codec_context.name != SPARSE_CODEC:
            return None
        time_base = stream.time_base
        for packet in packets(container, stream, failed=lambda: failures.append(True)):
            if not packet.size:
                continue
            if packet.pts is None or packet.is_discard or packet.is_corrupt:
                return None
            if not starts and not packet.is_keyframe:
                return None
            starts.append(packet.pts)
    # The first packet is the first frame, so that no frame before it was lost.
    if failures or not starts or min(starts) != starts[0] or len(set(starts)) < len(starts):
        return None
    first, ordered = starts[0], sorted(starts)
    # The same product as for decoded frames, so that no rounding differs.
    starts_s = [float((pts - first) * time_base) for pts in ordered]
    shown = Counter(
        ordered[max(0, bisect.bisect_right(starts_s, time_s + TOLERANCE_S) - 1)]
        for time_s in times_s
    )
    return WantedFrames(first, dict(sorted(shown.items())))


def needed_frames(media: MediaFile, wanted: WantedFrames) -> Iterator[tuple[Any, float, int]]:
    """Decode the wanted frames, and those that they may refer to.

    Yields:
        Each wanted frame, its start in seconds after the first frame, and the number of times at
        which it is shown. It ends early at the first sign of damage.
    """
    import av

    with open_media(media.path) as container:
        stream = stream_at(container, media.video, media.path.name)
        waiting = list(reversed(wanted.times))
        held: Any = None
        last: int | None = None
        try:
            for frame in _decoded(container, stream, wanted):
                in_order = frame.pts is not None and (last is None or frame.pts > last)
                if frame.is_corrupt or frame.interlaced_frame or not in_order:
                    return
                last = frame.pts
                is_next = bool(waiting) and frame.pts >= waiting[-1]
                if is_next and frame.pts != waiting[-1]:
                    return
                # Where data are damaged, a decoder may change a frame that it has returned before.
                if held is not None:
                    yield _timed(held, wanted)
                held = frame if is_next else None
                if is_next:
                    waiting.pop()
                elif not waiting:
                    return
            if held is not None:
                yield _timed(held, wanted)
        except av.FFmpegError:
            return


def _timed(frame: Any, wanted: WantedFrames) -> tuple[Any, float, int]:
    start_s = float((frame.pts - wanted.first) * frame.time_base)
    return frame, start_s, wanted.times[frame.pts]


def _decoded(container: Any, stream: Any, wanted: WantedFrames) -> Iterator[Any]:
    """Decode a stream without the frames that are not wanted and that no frame refers to."""
    # Callers decode several files at a time, and several threads would take the flag too late.
    stream.codec_context.thread_count = 1
    stream.codec_context.options = DECODER_OPTIONS
    for packet in packets(container, stream):
        # The first packet can hold the encoder's version, by which the decoder avoids known errors.
        is_needed = not packet.size or packet.pts == wanted.first or packet.pts in wanted.times
        stream.codec_context.skip_frame = "DEFAULT" if is_needed else "NONREF"
        yield from packet.decode()


def _of_all_frames(media: MediaFile, times_s: Sequence[float]) -> Iterator[SampledFrames]:
    """Decode all frames up to the last time."""
    waiting = list(reversed(times_s))
    shown_frame: Any = None
    shown_s = 0.0
    for frame, time_s in _frames(media):
        if shown_frame is not None and waiting and waiting[-1] + TOLERANCE_S < time_s:
            shown = _sampled(shown_frame, shown_s)
            while waiting and waiting[-1] + TOLERANCE_S < time_s:
                waiting.pop()
                yield shown
        if not waiting:
            return
        shown_frame, shown_s = frame, time_s
    if shown_frame is None:
        raise OsslError(
            "video_undecodable",
            f"No video frame of {media.path.name} can be decoded.",
            "Build the clip again, or leave its film out.",
        )
    shown = _sampled(shown_frame, shown_s)
    for _ in waiting:
        yield shown


def _sampled(frame: Any, time_s: float) -> SampledFrames:
    return SampledFrames(time_s, orientation_of(frame).apply(frame.to_ndarray(format="rgb24")))


def _frames(media: MediaFile) -> Iterator[tuple[Any, float]]:
    """Yield decoded frames with their start after the first frame; skip damaged ones."""
    first: int | None = None
    for timed in timed_frames(media):
        if timed.frame is None:
            continue
        first = timed.pts if first is None else first
        yield timed.frame, float((timed.pts - first) * timed.frame.time_base)
