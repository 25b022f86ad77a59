"""Confidence intervals over films: a bootstrap that draws films, widened by Student's t.

The clips of a film are alike: they share its music, its sound and its style. So films are drawn
with all of their clips, not clips (Cameron, Gelbach and Miller 2008, "Bootstrap-based improvements
for inference with clustered errors"). A bootstrap of few films is too narrow by sqrt((n - 1) / n),
and by the normal distribution where Student's t belongs; both are corrected. 95 % intervals of
simulated sets of 4 to 60 films hold the true value in 93 to 95 of 100, intervals over clips in 38
to 76 (tests/train/test_intervals.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
FilmIndices = NDArray[np.int64]
"""For each clip, the index of the film that it is from."""
Interval = tuple[float, float]

LEVEL = 0.95
FEW_FILMS = 8
"""With fewer films an interval is only a hint."""


def of_mean(
    values: Values, count: int, rng: np.random.Generator, films: FilmIndices | None = None
) -> Interval | None:
    """Return the interval of a mean over clips; None for fewer than two films.

    Args:
        values: a value for each clip, shape (n,).
        count: number of resamples; below 2: no interval.
        rng: random numbers.
        films: the film of each clip, shape (n,); None: each clip is from a film of its own.
    """
    return of_ratio(values, np.ones(len(values)), count, rng, films)


def of_ratio(
    numerator: Values,
    denominator: Values,
    count: int,
    rng: np.random.Generator,
    films: FilmIndices | None = None,
) -> Interval | None:
    """Return the interval of a ratio of sums over clips; None for fewer than two films.

    Args:
        numerator: a value for each clip (for example hits), shape (n,).
        denominator: likewise (for example cuts), each above 0.
        count, rng, films: see `of_mean`.
    """
    members = _members(len(numerator), films)
    if len(members) < 2 or count < 2:
        return None
    above, below = (
        np.array([values[clips].sum() for clips in members]) for values in (numerator, denominator)
    )
    drawn = rng.integers(0, len(members), size=(count, len(members)))
    replicates = above[drawn].sum(axis=1) / below[drawn].sum(axis=1)
    return around(float(above.sum() / below.sum()), replicates, len(members))


def of_ratio_difference(
    first: tuple[Values, Values],
    second: tuple[Values, Values],
    count: int,
    rng: np.random.Generator,
    films: FilmIndices | None = None,
) -> Interval | None:
    """Return the interval of the second minus the first of two ratios; None for one film.

    Both are of the same clips, and each resample has the same films on both sides: what makes a
    clip easy or hard for both of two systems does not widen the interval.

    Args:
        first: numerators and denominators as in `of_ratio`, each of shape (n,).
        second: likewise, of the same clips in the same order.
        count, rng, films: see `of_mean`.
    """
    members = _members(len(first[0]), films)
    if len(members) < 2 or count < 2:
        return None
    sums = [np.array([values[clips].sum() for clips in members]) for values in (*first, *second)]
    drawn = rng.integers(0, len(members), size=(count, len(members)))
    above, below, other_above, other_below = (values[drawn].sum(axis=1) for values in sums)
    value = sums[2].sum() / sums[3].sum() - sums[0].sum() / sums[1].sum()
    return around(float(value), other_above / other_below - above / below, len(members))


def around(value: float, replicates: Sequence[float] | Values, n_films: int) -> Interval | None:
    """Return the interval of bootstrap replicates, shifted so that their mean is `value`, or None.

    A distance between distributions is biased upwards in each replicate, because a resample repeats
    clips. The spread of the replicates is right, but not their mean.

    Args:
        value: the estimate.
        replicates: the estimate for resampled films.
        n_films: number of films.
    """
    from scipy import stats

    if len(replicates) < 2 or n_films < 2:
        return None
    ends = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
    student = float(stats.t.ppf(ends[1], n_films - 1) / stats.norm.ppf(ends[1]))
    wider = student * float(np.sqrt(n_films / (n_films - 1)))
    off = (np.asarray(replicates) - float(np.mean(replicates))) * wider
    low, high = np.quantile(off, ends)
    return value + float(low), value + float(high)


def draw(films: FilmIndices, rng: np.random.Generator) -> list[int]:
    """Draw as many films as there are, with replacement; return their clips."""
    members = _members(len(films), films)
    chosen = rng.integers(0, len(members), len(members))
    return [int(clip) for film in chosen for clip in members[film]]


def _members(n: int, films: FilmIndices | None) -> list[NDArray[np.int64]]:
    """Return the clips of each film."""
    if films is None:
        return [np.array([clip]) for clip in range(n)]
    return [np.flatnonzero(films == film) for film in np.unique(films)]
