"""Krippendorff's alpha, with bootstrap intervals over clips.

Source: K. Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011). An alpha is 1 for
perfect agreement and 0 for what chance alone would give; people who agree less than chance make
it negative. Where it is not defined, that is said, and no number is given.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Drawn clips that are in memory at a time.
CHUNK = 2_000_000
# An interval from fewer defined resamples than this part would be one of the lucky ones.
DEFINED_SHARE = 0.95


@dataclass(frozen=True)
class Alpha:
    """An alpha and its interval.

    Attributes:
        alpha: None where it is not defined.
        low: lower end of the 95 % interval (bootstrap over clips); None: not defined.
        high: its upper end.
        why: why alpha, or only the interval, is not defined; None: both are.
        n_clips: clips that at least two people answered: only these say something of agreement.
    """

    alpha: float | None
    low: float | None
    high: float | None
    why: str | None
    n_clips: int


def coincidences(clips: Ints, answers: Ints, n_clips: int, n_answers: int) -> Floats:
    """Each clip's coincidence matrix: how often two of its answers stand beside each other.

    Args:
        clips: (n,) the clip of each answer, 0 to `n_clips` - 1.
        answers: (n,) each answer, 0 to `n_answers` - 1.
        n_clips: number of clips.
        n_answers: number of different answers.

    Returns:
        (n_clips, n_answers, n_answers); zeros for a clip that fewer than two people answered.
    """
    counts = np.bincount(clips * n_answers + answers, minlength=n_clips * n_answers)
    counts = counts.reshape(n_clips, n_answers).astype(np.float64)
    people = counts.sum(axis=1)
    pairs = counts[:, :, None] * counts[:, None, :]
    diagonal = np.arange(n_answers)
    pairs[:, diagonal, diagonal] -= counts
    found: Floats = pairs / np.maximum(people - 1, 1)[:, None, None]
    return found


def alpha(found: Floats, level: str, numbers: Floats, resamples: int, seed: int) -> Alpha:
    """Krippendorff's alpha of coincidences.

    Args:
        found: (clips, answers, answers) as `coincidences` gives them.
        level: `nominal`, `ordinal` (answers in order) or `interval`.
        numbers: (answers,) the number that each answer stands for; only `interval` reads it.
        resamples: how many bootstrap resamples; 0: no interval.
        seed: seed of the bootstrap.
    """
    found = found[found.sum(axis=(1, 2)) > 0]
    n_clips = len(found)
    if n_clips == 0:
        return Alpha(None, None, None, "no clip was answered by two people", 0)
    value = float(_alphas(found.sum(axis=0)[None], level, numbers)[0])
    if np.isnan(value):
        return Alpha(None, None, None, "all answers are equal", n_clips)
    if resamples == 0:
        return Alpha(value, None, None, "no interval: no resamples", n_clips)
    if n_clips == 1:
        return Alpha(value, None, None, "no interval: one clip", n_clips)
    drawn = _alphas(np.concatenate(list(_resampled(found, resamples, seed))), level, numbers)
    defined = drawn[~np.isnan(drawn)]
    if len(defined) < DEFINED_SHARE * resamples:
        return Alpha(value, None, None, "no interval: too few clips differ", n_clips)
    low, high = np.percentile(defined, (2.5, 97.5))
    return Alpha(value, float(low), float(high), None, n_clips)


def _alphas(totals: Floats, level: str, numbers: Floats) -> Floats:
    """Alpha of each of several coincidence matrices, (n, answers, answers); NaN: not defined."""
    margins = totals.sum(axis=2)
    n = margins.sum(axis=1)
    distance = _distances(margins, level, numbers)
    observed = (totals * distance).sum(axis=(1, 2))
    expected = (margins[:, :, None] * margins[:, None, :] * distance).sum(axis=(1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(expected > 0, 1 - (n - 1) * observed / expected, np.nan)


def _distances(margins: Floats, level: str, numbers: Floats) -> Floats:
    """Squared distances of answers: (1 or n, answers, answers)."""
    n_answers = margins.shape[1]
    if level == "nominal":
        return 1 - np.eye(n_answers)[None]
    if level == "interval":
        return np.asarray((numbers[:, None] - numbers[None, :]) ** 2)[None]
    # Ordinal: the answers that lie between two, these two themselves by half.
    middles = np.cumsum(margins, axis=1) - margins / 2
    return np.asarray((middles[:, :, None] - middles[:, None, :]) ** 2)


def _resampled(found: Floats, resamples: int, seed: int) -> Iterator[Floats]:
    """Totals of clips drawn with replacement, (some, answers, answers), chunk by chunk."""
    generator = np.random.default_rng(seed)
    n_clips = len(found)
    flat = found.reshape(n_clips, -1)
    per_chunk = max(1, CHUNK // n_clips)
    for first in range(0, resamples, per_chunk):
        size = min(per_chunk, resamples - first)
        drawn = generator.integers(0, n_clips, size=(size, n_clips))
        drawn += np.arange(size)[:, None] * n_clips
        times: Any = np.bincount(drawn.ravel(), minlength=size * n_clips).reshape(size, n_clips)
        yield (times.astype(np.float64) @ flat).reshape(size, *found.shape[1:])
