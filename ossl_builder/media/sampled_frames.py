"""Read the video frames that are shown at given times."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder.errors import OsslError
from ossl_builder.media.demux import MediaFile
from ossl_builder.media.packet_selection import TOLERANCE_S, select_packets, selected_frames
from ossl_builder.media.stream_choice import inspect
from ossl_builder.media.video_frames import timed_frames
from ossl_builder.media.video_transforms import orientation_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rgb = NDArray[np.uint8]


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

    Where the stream states which frames depend on which, only the frames that are needed are
    decoded. The result is the same, bit by bit, as with all frames.

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
    selection = select_packets(media, times_s)
    if selection is not None:
        for frame, time_s, n_times in selected_frames(media, selection):
            sampled = _sampled(frame, time_s)
            n_yielded += n_times
            yield from itertools.repeat(sampled, n_times)
    if n_yielded < len(times_s) or not times_s:
        yield from itertools.islice(_of_all_frames(media, times_s), n_yielded, None)


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
