"""Bootstrap confidence intervals (Efron 1979), resampling whole clips."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Interval = tuple[float, float]

LEVEL = 0.95


def resampled(n: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw n of n clips with replacement, `count` times, shape (count, n)."""
    return rng.integers(0, n, size=(count, n))


def of_mean(values: Values, count: int, rng: np.random.Generator) -> Interval | None:
    """Return the percentile interval of a mean; None for fewer than two values.

    Args:
        values: a value for each clip, shape (n,).
        count: number of resamples.
        rng: random numbers.
    """
    if len(values) < 2 or count < 2:
        return None
    return _percentiles(values[resampled(len(values), count, rng)].mean(axis=1))


def of_ratio(
    numerator: Values, denominator: Values, count: int, rng: np.random.Generator
) -> Interval | None:
    """Return the percentile interval of a ratio of sums over clips; None for fewer than two.

    Args:
        numerator: a value for each clip (for example hits), shape (n,).
        denominator: likewise (for example cuts), each above 0.
        count: number of resamples.
        rng: random numbers.
    """
    if len(numerator) < 2 or count < 2:
        return None
    chosen = resampled(len(numerator), count, rng)
    return _percentiles(numerator[chosen].sum(axis=1) / denominator[chosen].sum(axis=1))


def around(value: float, replicates: Sequence[float]) -> Interval | None:
    """Return the interval of replicates, shifted so that their mean is `value`, or None.

    This is for distances between distributions. A resample repeats clips, so each replicate is
    biased upwards. The spread of the replicates is right, but not their mean.
    """
    if len(replicates) < 2:
        return None
    moved = np.asarray(replicates) - float(np.mean(replicates)) + value
    return _percentiles(moved)


def _percentiles(values: Values) -> Interval:
    low, high = np.quantile(values, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)
