"""Windows: the fixed-length segments of a clip that the model sees, and their settings."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from ossl_builder.engine.settings import Settings
from ossl_builder.errors import OsslError
from ossl_builder.tables import Clip


class WindowsSettings(Settings):
    """Section `windows` of a training recipe: how clips are cut into windows."""

    length_s: float = Field(30.0, gt=0, le=30, description="length of a window, s")
    shortest_s: float = Field(
        2.0, gt=0, le=30, description="a clip, or the rest of one, shorter than this is left out, s"
    )
    hop_s: float | None = Field(
        None, gt=0, le=30,
        description="time from the start of a training window to the next, s: length_s divided by "
        "a whole number; null: length_s",
    )  # fmt: skip

    def step_s(self) -> float:
        """Return the time from the start of a window to the next, in seconds."""
        return self.length_s if self.hop_s is None else self.hop_s

    def stored(self) -> dict[str, Any]:
        """Return the values that stages and stores record: `hop_s` is `step_s()`."""
        return self.model_dump() | {"hop_s": self.step_s()}


@dataclass(frozen=True)
class Window:
    """A segment of a clip.

    Attributes:
        film_id, clip_id: the clip.
        split: `train`, `validation` or `test`.
        index: its number within the clip, from 0.
        start_s: its start, in seconds after the clip's first video frame.
        duration_s: its length in seconds without padding.
    """

    film_id: str
    clip_id: str
    split: str
    index: int
    start_s: float
    duration_s: float


@dataclass(frozen=True)
class WindowSpan:
    """The position of a window in its clip; times in seconds after the clip's first video frame."""

    index: int
    start_s: float
    duration_s: float

    @property
    def end_s(self) -> float:
        """The end of the window."""
        return self.start_s + self.duration_s


def window_spans(clip: Clip, settings: WindowsSettings) -> tuple[WindowSpan, ...]:
    """Cut a clip into windows; with a hop shorter than the length they overlap.

    Full windows start at every multiple of the hop. The last window of the grid (the multiples of
    `length_s`) has the length that remains. It is left out if that is shorter than `shortest_s`; so
    a clip can have no window. Windows are numbered in the order of their starts.

    Raises:
        OsslError: `windows_invalid`, if the shortest window is longer than the window, or the hop
            is not the length divided by a whole number.
    """
    return tuple(span for span, _ in _cut(clip, settings))


def grid_spans(clip: Clip, settings: WindowsSettings) -> tuple[WindowSpan, ...]:
    """Return those windows of `window_spans` that follow one another without overlap.

    They do not depend on the hop, except for their numbers.

    Raises:
        OsslError: `windows_invalid`.
    """
    return tuple(span for span, is_on_grid in _cut(clip, settings) if is_on_grid)


def _cut(clip: Clip, settings: WindowsSettings) -> Iterator[tuple[WindowSpan, bool]]:
    """Yield each window, and whether it is on the grid of `length_s`."""
    per_length = _hops_per_length(settings)
    # Half a sample: the duration of a clip of 60 s may be stored as 59.99999.
    rounding_s = 0.5 / clip.sample_rate
    index = 0
    for number in itertools.count():
        on_grid, hops = divmod(number, per_length)
        # As a multiple of the length, a start on the grid is the same number with any hop.
        start_s = on_grid * settings.length_s + hops * settings.step_s()
        duration_s = min(settings.length_s, clip.duration_s - start_s)
        shortest_s = settings.length_s if hops else settings.shortest_s
        if duration_s >= shortest_s - rounding_s:
            yield WindowSpan(index, start_s, duration_s), hops == 0
            index += 1
        elif hops == 0:
            return


def _hops_per_length(settings: WindowsSettings) -> int:
    if settings.shortest_s > settings.length_s:
        raise OsslError(
            "windows_invalid",
            f"windows.shortest_s ({settings.shortest_s}) is more than windows.length_s "
            f"({settings.length_s}).",
            "Set windows.shortest_s to a smaller value.",
        )
    per_length = round(settings.length_s / settings.step_s())
    # So the windows on the grid, which validation and test use, are among all windows.
    if per_length < 1 or abs(per_length * settings.step_s() - settings.length_s) > 1e-6:
        raise OsslError(
            "windows_invalid",
            f"windows.length_s ({settings.length_s}) is not a multiple of windows.hop_s "
            f"({settings.hop_s}).",
            f"Set windows.hop_s to windows.length_s divided by a whole number, for example "
            f"{settings.length_s / 2:g}.",
        )
    return per_length
