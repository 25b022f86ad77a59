"""The difference of two systems in one figure, with an interval of pairs over films."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ossl_train.evaluation.eval_set import EvalSet
from ossl_train.evaluation.report import Figure, rounded
from ossl_train.evaluation.settings import EvaluationSettings
from ossl_train.metrics import intervals
from ossl_train.metrics.intervals import Interval


@dataclass(frozen=True)
class Difference:
    """The value of a system minus that of the baseline.

    Attributes:
        name: name of the figure.
        system: the system.
        value: the difference, over the clips that both figures have; None: not defined.
        interval: 95 % confidence interval over films; None: not defined.
        n: number of clips or windows.
        unit: unit of `n`.
        n_films: number of films that the interval is over.
        why: why the difference or its interval is not defined.
    """

    name: str
    system: str
    value: float | None
    interval: Interval | None
    n: int
    unit: str
    n_films: int
    why: str = ""

    def plain(self) -> dict[str, Any]:
        """Return values for JSON, rounded as those of a figure."""
        low, high = self.interval or (None, None)
        numbers = {"value": self.value, "low": low, "high": high}
        return vars(self) | {name: rounded(value) for name, value in numbers.items()}


def difference_of(
    first: Figure, second: Figure, system: str, clips: EvalSet, settings: EvaluationSettings
) -> Difference:
    """Return the second figure minus the first, with its interval.

    For a figure of clips, films are drawn with the clips that both figures have. For a distance
    between sets, the difference is computed for each resample of films.
    """
    name = first.name
    missing = next((one for one in (first, second) if one.value is None), None)
    if missing is not None:
        return Difference(name, system, None, None, 0, "clips", 0, missing.why)
    assert first.value is not None
    assert second.value is not None
    if not (first.of_clips or second.of_clips):
        value, n = second.value - first.value, min(first.n, second.n)
        interval = None
        if len(first.replicates) == len(second.replicates):
            replicates = np.subtract(second.replicates, first.replicates)
            interval = intervals.around(value, replicates, first.n_films)
        why = "" if interval else "An interval needs two films, and two resamples."
        return Difference(name, system, value, interval, n, first.unit, first.n_films, why)
    names = sorted(first.of_clips.keys() & second.of_clips.keys())
    if not names:
        return Difference(name, system, None, None, 0, "clips", 0, "No clip has both values.")
    films = clips.film_indices(names)
    ours, theirs = (
        np.array([one.of_clips[clip_id] for clip_id in names]).T for one in (first, second)
    )
    values = [float(above.sum() / below.sum()) for above, below in (ours, theirs)]
    interval = intervals.of_ratio_difference(
        (ours[0], ours[1]),
        (theirs[0], theirs[1]),
        settings.resamples,
        settings.rng(f"{name} of {system}"),
        films,
    )
    return Difference(
        name, system, values[1] - values[0], interval, len(names), "clips", len(set(films)),
        "" if interval else "An interval needs two films, and two resamples.",
    )  # fmt: skip
