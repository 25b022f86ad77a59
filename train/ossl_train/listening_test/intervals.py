"""Confidence intervals of means over films and raters.

The clips of a film are alike, so the mean of each rater over the clips of a film is one value.
Films and raters are both resampled, each with replacement (the "pigeonhole bootstrap": Owen 2007,
"The pigeonhole bootstrap", Annals of Applied Statistics 1). This counts the residual variance up to
three times. The replicates are therefore scaled around their mean, until their variance is that of
two-way clusters (Cameron, Gelbach and Miller 2011): the variance of films, plus that of raters,
minus the remainder, which both contain. This variance is estimated from few films, so Student's t
widens the interval.

In 1000 simulated tests per setting, 95 % intervals missed the true value in 2 to 4 of 100 tests if
raters differ in strictness only. If they also differ in what they prefer (by 0.5, scattering by
1.2), intervals missed it in 8 to 10 of 100 with 3 raters, and in 6 to 7 of 100 with 8 raters. See
tests/train/test_listening_statistics.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ossl_train.metrics.intervals import FilmIndices

Scores = NDArray[np.float64]
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean over clips and raters.

    Attributes:
        value: the mean of all scores.
        low, high: 95 % interval; None where there are not two films.
        outer: an interval at the stricter level that the caller chose; None likewise.
        n: number of scores.
        n_clips, n_films, n_raters: number of clips, films and raters that have scores.
    """

    value: float
    low: float | None
    high: float | None
    outer: tuple[float, float] | None
    n: int
    n_clips: int
    n_films: int
    n_raters: int


def estimate(
    scores: Scores,
    resamples: int,
    rng: np.random.Generator,
    outer: float = LEVEL,
    films: FilmIndices | None = None,
) -> Estimate | None:
    """Estimate the mean of scores [clips, raters], with intervals; NaN: no score.

    Args:
        scores: of one system, or the differences of two.
        resamples: bootstrap replicates; below 2: no intervals.
        rng: random numbers.
        outer: level of the stricter interval.
        films: the film of each clip, shape (clips,); None: each clip is from a film of its own.

    Returns:
        None if there are no scores.
    """
    has_score = ~np.isnan(scores)
    is_rated = has_score.any(axis=1)
    films = np.arange(len(scores)) if films is None else films
    scores, films = scores[is_rated][:, has_score.any(axis=0)], films[is_rated]
    if not scores.size:
        return None
    value, n = float(np.nanmean(scores)), int((~np.isnan(scores)).sum())
    n_clips, n_raters = scores.shape
    by_film = _by_film(scores, films)
    counts = (n, n_clips, len(by_film), n_raters)
    if len(by_film) < 2 or resamples < 2:
        return Estimate(value, None, None, None, *counts)
    has_score = ~np.isnan(by_film)
    filled = np.where(has_score, by_film, 0.0)
    drawn = _replicates(filled, has_score.astype(np.float64), resamples, rng)
    spread = float(drawn.std())
    deviation = np.sqrt(variance(by_film)) / spread if spread > 0 else 0.0
    off = (drawn - drawn.mean()) * deviation
    low, high = _interval(value, off, LEVEL, len(by_film))
    return Estimate(value, low, high, _interval(value, off, outer, len(by_film)), *counts)


def _by_film(scores: Scores, films: FilmIndices) -> Scores:
    """Return the mean of each rater over the clips of each film, [films, raters]; NaN: none."""
    members = (films[None] == np.unique(films)[:, None]).astype(np.float64)
    has_score = ~np.isnan(scores)
    sums = members @ np.where(has_score, scores, 0.0)
    counts = members @ has_score
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def variance(scores: Scores) -> float:
    """Return the variance of the mean of scores [films, raters], both random; NaN: no score.

    With one rater it is the variance of films alone.
    """
    has_score = ~np.isnan(scores)
    n_clips, n_raters = scores.shape
    n = has_score.sum()
    mean = scores[has_score].mean()
    off = np.where(has_score, scores - mean, 0.0)
    of_clips = float((off.sum(axis=1) ** 2).sum() / n**2 * n_clips / (n_clips - 1))
    if n_raters < 2:
        return of_clips
    of_raters = float((off.sum(axis=0) ** 2).sum() / n**2 * n_raters / (n_raters - 1))
    rows = off.sum(axis=1) / np.maximum(has_score.sum(axis=1), 1)
    columns = off.sum(axis=0) / np.maximum(has_score.sum(axis=0), 1)
    residuals = np.where(has_score, off - rows[:, None] - columns[None], 0.0)
    free = n - n_clips - n_raters + 1
    remainder = float((residuals**2).sum() / free / n) if free > 0 else 0.0
    return max(of_clips + of_raters - remainder, of_clips, of_raters)


def _replicates(
    filled: Scores, has_score: Scores, resamples: int, rng: np.random.Generator
) -> Scores:
    """Return means [resamples] of scores when films and raters are drawn with replacement."""
    clips = _times(filled.shape[0], resamples, rng)
    raters = _times(filled.shape[1], resamples, rng)
    sums = ((clips @ filled) * raters).sum(axis=1)
    counts = ((clips @ has_score) * raters).sum(axis=1)
    # Raters who did not finish can be drawn with clips that they did not rate.
    return np.asarray(sums[counts > 0] / counts[counts > 0])


def _times(n: int, resamples: int, rng: np.random.Generator) -> Scores:
    return rng.multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float64)


def _interval(value: float, off: Scores, level: float, n_films: int) -> tuple[float, float]:
    from scipy import stats

    ends = ((1 - level) / 2, (1 + level) / 2)
    wider = float(stats.t.ppf(ends[1], n_films - 1) / stats.norm.ppf(ends[1]))
    low, high = np.quantile(off, ends)
    return value + float(low) * wider, value + float(high) * wider
