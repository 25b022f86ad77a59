"""Windows: the fixed-length segments of a clip that the model sees, and their settings."""

from __future__ import annotations

from dataclasses import dataclass

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
    """Cut a clip into windows, one after the other.

    The last window has the length that remains. It is left out if that is shorter than
    `shortest_s`; so a clip can have no window.

    Raises:
        OsslError: `windows_invalid`, if the shortest window is longer than the window.
    """
    if settings.shortest_s > settings.length_s:
        raise OsslError(
            "windows_invalid",
            f"windows.shortest_s ({settings.shortest_s}) is more than windows.length_s "
            f"({settings.length_s}).",
            "Set windows.shortest_s to a smaller value.",
        )
    spans: list[WindowSpan] = []
    while True:
        start_s = len(spans) * settings.length_s
        duration_s = min(settings.length_s, clip.duration_s - start_s)
        # Half a sample: the duration of a clip of 60 s may be stored as 59.99999.
        if duration_s < settings.shortest_s - 0.5 / clip.sample_rate:
            return tuple(spans)
        spans.append(WindowSpan(len(spans), start_s, duration_s))
