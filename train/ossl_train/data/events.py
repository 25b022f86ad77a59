"""Curves of what happens in a window: cuts, motion and dialogue, for each time slot."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ossl_builder.engine import tables_io
from ossl_builder.errors import OsslError
from ossl_builder.tables import SCENES, Clip, Scene
from ossl_train.data.windows import WindowSpan

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Curve = NDArray[np.float32]
    Grey = NDArray[np.uint8]

# Motion is measured between frames this far apart, from the clip's first frame on.
STEP_S = 0.2
SMALL = (64, 36)  # width and height of the grey frames
FULL_MOTION = 64.0  # levels of 255
CUTS_PER_S = 1.0
# Without a scenes table, a cut is a change of so many levels, and so many times the usual change.
CUT_LEVELS, CUT_RATIO, CUT_REACH = 20.0, 3.0, 5


@dataclass(frozen=True)
class ClipCuts:
    """A clip, and where its scenes change by a cut.

    Attributes:
        clip: the clip.
        cuts_s: seconds after its first video frame; None: unknown, to be found in its frames.
    """

    clip: Clip
    cuts_s: tuple[float, ...] | None = None


def cuts_of(clips: Mapping[str, Sequence[Clip]], root: Path) -> dict[str, tuple[ClipCuts, ...]]:
    """Return the clips of films, by film, with their cuts from the scenes table.

    Imported clips have no film time, and their cuts are unknown. So are all cuts if there is no
    scenes table.

    Raises:
        OsslError: `table_version`.
    """
    try:
        scenes: list[Scene] = tables_io.read_table(root / "manifests", SCENES)
    except OsslError as error:
        if error.code != "table_missing":
            raise
        return {film: tuple(map(ClipCuts, of_film)) for film, of_film in clips.items()}
    starts_of: dict[str, list[float]] = {scene.film_id: [] for scene in scenes}
    for scene in scenes:
        if scene.transition_in == "cut":
            starts_of[scene.film_id].append(scene.start_s)
    return {
        film: tuple(ClipCuts(clip, _cuts_within(clip, starts_of.get(film))) for clip in of_film)
        for film, of_film in clips.items()
    }


def _cuts_within(clip: Clip, starts_s: Sequence[float] | None) -> tuple[float, ...] | None:
    if clip.start_s is None or starts_s is None:
        return None
    after_start = (start_s - clip.start_s for start_s in sorted(starts_s))
    return tuple(cut_s for cut_s in after_start if 0 < cut_s < clip.duration_s)


class Motion:
    """Changes between small grey frames of a clip, added in the order of their times."""

    def __init__(self) -> None:
        self._last: Grey | None = None
        self._changes: list[float] = []

    @staticmethod
    def times(until_s: float) -> Iterator[float]:
        """Yield the times of the frames to add, in seconds after the clip's first frame."""
        return itertools.takewhile(
            lambda time_s: time_s <= until_s, (STEP_S * n for n in itertools.count())
        )

    def add(self, rgb: NDArray[np.uint8]) -> None:
        """Add the frame [height, width, 3] of the next time."""
        import cv2
        import numpy as np

        small = cv2.resize(rgb, SMALL, interpolation=cv2.INTER_AREA)
        grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
        if self._last is not None:
            self._changes.append(float(cv2.absdiff(grey, self._last).mean()))
        self._last = grey

    def curve(
        self,
        window: WindowSpan,
        n_slots: int,
        cuts_s: Sequence[float] | None,
        loudness: Curve | None,
    ) -> Curve:
        """Return the events of a window whose frames have all been added.

        Args:
            window: the window.
            n_slots: equal parts of the window.
            cuts_s: cuts in seconds after the clip's first frame; None: find them in the frames.
            loudness: [1 + n_slots], loudness of the dialogue from 0 to 1; None: there is none.

        Returns:
            [1 + n_slots, 3]: first the whole window, then each slot. Cuts per second (1: one or
            more); motion, the mean absolute difference of grey frames 0.2 s apart (1: 64 of 255
            levels or more); loudness of the dialogue (0: -70 LUFS or less, 1: 0 LUFS).
        """
        import numpy as np

        edges = window.start_s + np.linspace(0, window.duration_s, n_slots + 1)
        changes = np.array(self._changes, np.float64)
        # A change belongs to the middle between its two frames.
        middles = STEP_S * (np.arange(len(changes), dtype=np.float64) + 0.5)
        cuts = np.array(_cuts_in(changes) if cuts_s is None else cuts_s)
        spans = [(edges[0], edges[-1]), *itertools.pairwise(edges)]
        rates = [np.sum((start <= cuts) & (cuts < end)) / (end - start) for start, end in spans]
        motion = [_mean_between(middles, changes, start, end) for start, end in spans]
        curve = np.zeros((1 + n_slots, 3), np.float32)
        curve[:, 0] = np.clip(np.array(rates) / CUTS_PER_S, 0, 1)
        curve[:, 1] = np.clip(np.array(motion) / FULL_MOTION, 0, 1)
        if loudness is not None:
            curve[:, 2] = loudness
        return curve


def _mean_between(
    middles: NDArray[np.float64], changes: NDArray[np.float64], start_s: float, end_s: float
) -> float:
    """Return the mean change in a span; in a span without one, the nearest."""
    import numpy as np

    if not len(changes):
        return 0.0
    inside = (start_s <= middles) & (middles < end_s)
    if inside.any():
        return float(changes[inside].mean())
    return float(changes[np.abs(middles - (start_s + end_s) / 2).argmin()])


def _cuts_in(changes: NDArray[np.float64]) -> list[float]:
    """Return the times of changes that are much larger than those around them, in s."""
    import numpy as np

    cuts = []
    for number in np.flatnonzero(changes >= CUT_LEVELS):
        around = changes[max(0, number - CUT_REACH) : number + CUT_REACH + 1]
        if changes[number] >= CUT_RATIO * np.median(around):
            cuts.append(STEP_S * (float(number) + 0.5))
    return cuts
