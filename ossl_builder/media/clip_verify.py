"""Verify a clip: decode it, count, and compare its first and last frames with the film's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder.errors import OsslError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Sketch = NDArray[np.float64]

# A sketch is the mean luma (0 to 255) in a grid of cells; coding changes it by less than this.
SKETCH_ROWS, SKETCH_COLUMNS = 18, 32
CODING_LOSS = 6.0


@dataclass(frozen=True)
class Checked:
    """What decoding a clip has shown."""

    n_frames: int
    width: int
    height: int


def sketch(frame: Any) -> Sketch:
    """A frame's mean luma in a grid of cells: [SKETCH_ROWS, SKETCH_COLUMNS]."""
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
    """Decode a clip, and compare count, first and last frame with what they should be.

    Args:
        path: the clip's MP4.
        n_frames: frames it should hold.
        first: sketches of the film's frames it should begin with: its first two, or its only one.
        last: sketches of those it should end with.

    Raises:
        OsslError: `clip_unverified`.
    """
    import av

    count, begin, end = 0, None, None
    with av.open(str(path)) as clip:
        # One thread takes least processor time; the next clip's encoder uses the other ones.
        clip.streams.video[0].thread_count = 1
        for end in clip.decode(video=0):
            begin = begin or end
            count += 1
    if count != n_frames or begin is None or end is None:
        raise _unverified(path, f"it holds {count} frames, not {n_frames}")
    _compare(path, "first", sketch(begin), first[0], first[1:])
    _compare(path, "last", sketch(end), last[-1], last[:-1])
    return Checked(count, end.width, end.height)


def _compare(path: Path, which: str, found: Sketch, own: Sketch, others: list[Sketch]) -> None:
    off = _distance(found, own)
    if off > CODING_LOSS:
        raise _unverified(path, f"its {which} frame is off by {off:.1f} luma levels")
    for other in others:
        if _distance(own, other) > 2 * CODING_LOSS and _distance(found, other) <= off:
            raise _unverified(path, f"its {which} frame is the one beside it")


def _distance(one: Sketch, other: Sketch) -> float:
    import numpy as np

    return float(np.abs(one - other).mean())


def _unverified(path: Path, what: str) -> OsslError:
    return OsslError(
        "clip_unverified",
        f"The clip {path.name} differs from what was cut: {what}.",
        "Run the stage again. If this happens again, please report it.",
    )
