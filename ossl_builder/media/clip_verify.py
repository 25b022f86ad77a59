"""Verify a clip: decode it, count its frames, compare its first and last frame with the film."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder.errors import OsslError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Sketch = NDArray[np.float64]

# A sketch is the mean luma (0 to 255) in a grid of cells. Encoding changes it by less than
# CODING_LOSS.
SKETCH_ROWS, SKETCH_COLUMNS = 18, 32
CODING_LOSS = 6.0


@dataclass(frozen=True)
class Checked:
    """Measurements of a decoded clip."""

    n_frames: int
    width: int
    height: int


def sketch(frame: Any) -> Sketch:
    """Return a frame's mean luma in a grid of cells, [SKETCH_ROWS, SKETCH_COLUMNS]."""
    import numpy as np

    plane = frame.planes[0]
    lines = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    luma = lines[: frame.height, : frame.width].astype(np.float64)
    rows = np.linspace(0, frame.height, SKETCH_ROWS + 1).astype(int)
    columns = np.linspace(0, frame.width, SKETCH_COLUMNS + 1).astype(int)
    sums = np.add.reduceat(np.add.reduceat(luma, rows[:-1], axis=0), columns[:-1], axis=1)
    means: Sketch = sums / np.maximum(np.outer(np.diff(rows), np.diff(columns)), 1)
    return means


def check(path: Path, n_frames: int, first: list[Sketch], last: list[Sketch]) -> Checked:
    """Decode a clip, and compare frame count, first and last frame with the expected ones.

    Args:
        path: the clip's MP4.
        n_frames: expected number of frames.
        first: sketches of the first two encoded frames (or the only one), in order.
        last: sketches of the last two encoded frames (or the only one), in order.

    Raises:
        OsslError: `clip_unverified`.
    """
    import av

    count, begin, end = 0, None, None
    with av.open(str(path)) as clip:
        # One thread needs the least CPU time; the next clip's encoder uses the other cores.
        clip.streams.video[0].thread_count = 1
        for end in clip.decode(video=0):
            begin = begin or end
            count += 1
    if count != n_frames or begin is None or end is None:
        raise _unverified(path, f"it holds {count} frames, not {n_frames}")
    _compare(path, "first", sketch(begin), first[0], first[1:])
    _compare(path, "last", sketch(end), last[-1], last[:-1])
    return Checked(count, end.width, end.height)


def _compare(
    path: Path, which: str, actual: Sketch, expected: Sketch, others: list[Sketch]
) -> None:
    distance = _distance(actual, expected)
    if distance > CODING_LOSS:
        raise _unverified(path, f"its {which} frame is off by {distance:.1f} luma levels")
    for other in others:
        if _distance(expected, other) > 2 * CODING_LOSS and _distance(actual, other) <= distance:
            raise _unverified(path, f"its {which} frame is the one beside it")


def _distance(first: Sketch, second: Sketch) -> float:
    import numpy as np

    return float(np.abs(first - second).mean())


def _unverified(path: Path, why: str) -> OsslError:
    return OsslError(
        "clip_unverified",
        f"The clip {path.name} differs from what was cut: {why}.",
        "Run the stage again. If this happens again, please report it.",
    )
