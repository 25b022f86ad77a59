"""Confirm transitions with TransNetV2: drop candidates that the network does not see."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

import numpy as np

from ossl_builder.engine.stage import Reject
from ossl_builder.media.video_reader import tiny_rgb
from ossl_builder.models import transnetv2
from ossl_builder.models.transnetv2 import CONTEXT, HEIGHT, WIDTH, WINDOW

if TYPE_CHECKING:
    from ossl_builder.media.video_reader import Frame
    from ossl_builder.stages.scenes.transitions import Boundary

REASON = "not_confirmed"
FRAME_BYTES = HEIGHT * WIDTH * 3
NEAR = 2
"""Frames around a cut in which the network may see it."""


class TinyFrames:
    """All frames of a film in the size that the network reads, in a temporary file."""

    def __init__(self, folder: Path) -> None:
        """Start without frames; `folder`: folder for an unnamed temporary file."""
        self._folder = folder
        self._count = 0

    def __enter__(self) -> Self:
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=self._folder)
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def add(self, frame: Frame) -> None:
        """Store the next frame."""
        self._file.write(np.ascontiguousarray(tiny_rgb(frame, WIDTH, HEIGHT)).tobytes())
        self._count += 1

    def window(self, first: int) -> transnetv2.Frames:
        """Return WINDOW frames from index `first` (may be negative); ends are repeated."""
        indices = np.clip(np.arange(first, first + WINDOW), 0, self._count - 1)
        begin, end = int(indices[0]), int(indices[-1]) + 1
        self._file.seek(begin * FRAME_BYTES)
        data = np.frombuffer(self._file.read((end - begin) * FRAME_BYTES), np.uint8)
        window: transnetv2.Frames = data.reshape(-1, HEIGHT, WIDTH, 3)[indices - begin]
        return window


def confirm(
    boundaries: Sequence[Boundary],
    frames: TinyFrames,
    threshold: float,
    time_s: Callable[[int], float],
    progress: Callable[[float], None],
) -> tuple[list[Boundary], list[Reject]]:
    """Return the boundaries that the network sees too, and the others as rejects.

    Args:
        boundaries: candidates; fades are kept, because black frames separate their scenes.
        frames: the frames of the film.
        threshold: least probability of a transition.
        time_s: returns the time of a frame, in seconds.
        progress: receives the fraction done, 0 to 1.

    Raises:
        OsslError: those of `transnetv2.load`.
    """
    network = transnetv2.load()
    kept: list[Boundary] = []
    rejects: list[Reject] = []
    for index, boundary in enumerate(boundaries):
        progress(index / len(boundaries))
        if boundary.kind == "fade":
            kept.append(boundary)
            continue
        first = boundary.number - WINDOW // 2
        curve = transnetv2.probabilities_of_window(network, frames.window(first))
        # A dissolve lasts a second or two; all frames that the window judges may belong to it.
        reach = NEAR if boundary.kind == "cut" else CONTEXT
        middle = WINDOW // 2 - CONTEXT
        likely = float(curve[max(0, middle - reach) : middle + reach + 1].max())
        if likely >= threshold:
            kept.append(boundary)
        else:
            at_s = time_s(boundary.number)
            message = f"TransNetV2 sees a {boundary.kind} with {likely:.2f}, below {threshold}."
            rejects.append(Reject(REASON, message, at_s, at_s))
    return kept, rejects
