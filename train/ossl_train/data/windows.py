"""Windows: the stretches of a clip that are learned from, all of them, not only the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ossl_builder.errors import OsslError
from ossl_builder.tables import Clip
from ossl_train.recipe import WindowsSettings


@dataclass(frozen=True)
class Window:
    """A stretch of a clip.

    Attributes:
        film_id, clip_id: of which clip.
        side: `train`, `validation` or `test`.
        index: its number within the clip, from 0.
        start_s: where it begins, in seconds after the clip's first picture.
        duration_s: its length in seconds without padding.
    """

    film_id: str
    clip_id: str
    side: str
    index: int
    start_s: float
    duration_s: float


@dataclass(frozen=True)
class Stretch:
    """Where a window lies in its clip; times in seconds after the clip's first picture."""

    index: int
    start_s: float
    duration_s: float

    @property
    def end_s(self) -> float:
        """Where it ends."""
        return self.start_s + self.duration_s


def stretches(clip: Clip, settings: WindowsSettings) -> tuple[Stretch, ...]:
    """A clip's windows, one after the other.

    The last one is as long as what remains, and left out where that is shorter than `shortest_s`;
    so is the whole of a clip that is.

    Raises:
        OsslError: `windows_invalid`, if the shortest window is longer than the window.
    """
    if settings.shortest_s > settings.length_s:
        raise OsslError(
            "windows_invalid",
            f"windows.shortest_s ({settings.shortest_s}) is more than windows.length_s "
            f"({settings.length_s}).",
            "Set windows.shortest_s to less.",
        )
    found: list[Stretch] = []
    while True:
        start_s = len(found) * settings.length_s
        duration_s = min(settings.length_s, clip.duration_s - start_s)
        # Half a sample: a clip of 60 s may say 59.99999.
        if duration_s < settings.shortest_s - 0.5 / clip.sample_rate:
            return tuple(found)
        found.append(Stretch(len(found), start_s, duration_s))


def total_s(clips: Sequence[Clip], settings: WindowsSettings) -> float:
    """Length of all windows of some clips together, in seconds."""
    return sum(one.duration_s for clip in clips for one in stretches(clip, settings))
