"""Pictures of a clip at given times: one pass over the file, by presentation times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder.errors import OsslError
from ossl_builder.tools.orientation import orientation_of
from ossl_builder.tools.stream_choice import inspect
from ossl_builder.tools.video_frames import timed_frames

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rgb = NDArray[np.uint8]

# Times in files are rounded to their time base: a picture that begins this little after a moment
# is the one shown then.
TOLERANCE_S = 1e-4


@dataclass(frozen=True)
class Shown:
    """A picture that is shown at an asked moment.

    Attributes:
        time_s: when it begins, in seconds after the clip's first picture.
        rgb: [height, width, 3].
    """

    time_s: float
    rgb: Rgb


def shown_at(path: Path, times_s: Sequence[float]) -> Iterator[Shown]:
    """For each of some moments the picture that is shown then.

    Args:
        path: a video file.
        times_s: moments after its first picture, in order; behind its end the last picture stands.

    Yields:
        As many as there are moments, in their order; equal objects where a picture is asked twice.

    Raises:
        OsslError: `no_picture`, `picture_undecodable`, `not_media`, `file_missing`.
    """
    waiting = list(reversed(times_s))
    before: Any = None
    before_s = 0.0
    for frame, time_s in _frames(path):
        if before is not None and waiting and waiting[-1] + TOLERANCE_S < time_s:
            shown = _shown(before, before_s)
            while waiting and waiting[-1] + TOLERANCE_S < time_s:
                waiting.pop()
                yield shown
        if not waiting:
            return
        before, before_s = frame, time_s
    if before is None:
        raise OsslError(
            "picture_undecodable",
            f"Not one picture of {path.name} could be decoded.",
            "Build the clip again, or leave its film out.",
        )
    shown = _shown(before, before_s)
    for _ in waiting:
        yield shown


def _shown(frame: Any, time_s: float) -> Shown:
    return Shown(time_s, orientation_of(frame).apply(frame.to_ndarray(format="rgb24")))


def _frames(path: Path) -> Iterator[tuple[Any, float]]:
    """Decoded pictures and when they begin, after the first; what is damaged is passed over."""
    first: int | None = None
    for timed in timed_frames(inspect(path)):
        if timed.frame is None:
            continue
        first = timed.pts if first is None else first
        yield timed.frame, float((timed.pts - first) * timed.frame.time_base)
