"""Krippendorff's alpha, with bootstrap intervals over clips.

Source: K. Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011). Alpha is 1 for
perfect agreement, 0 for agreement by chance, and negative below chance. If it is not defined, the
result has a reason instead of a number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Resampled clips in memory at a time.
CHUNK = 2_000_000
# With a smaller share of defined resamples, the interval would be biased.
DEFINED_SHARE = 0.95


@dataclass(frozen=True)
class Alpha:
    """Alpha and its interval.

    Attributes:
        alpha: None where it is not defined.
        low: lower end of the 95 % interval (bootstrap over clips); None: not defined.
        high: its upper end.
        why: why alpha, or only the interval, is not defined; None: both are.
        n_clips: clips that at least two annotators answered; the others are not used.
    """

    alpha: float | None
    low: float | None
    high: float | None
    why: str | None
    n_clips: int


def coincidences(clips: Ints, answers: Ints, n_clips: int, n_answers: int) -> Floats:
    """Return the coincidence matrix of each clip: how often two of its answers form a pair.

    Args:
        clips: (n,) the clip of each answer, 0 to `n_clips` - 1.
        answers: (n,) each answer, 0 to `n_answers` - 1.
        n_clips: number of clips.
        n_answers: number of different answers.

    Returns:
        (n_clips, n_answers, n_answers); zeros for a clip with fewer than two answers.
    """
    counts = np.bincount(clips * n_answers + answers, minlength=n_clips * n_answers)
    counts = counts.reshape(n_clips, n_answers).astype(np.float64)
    n_annotators = counts.sum(axis=1)
    pairs = counts[:, :, None] * counts[:, None, :]
    diagonal = np.arange(n_answers)
    pairs[:, diagonal, diagonal] -= counts
    matrices: Floats = pairs / np.maximum(n_annotators - 1, 1)[:, None, None]
    return matrices


def krippendorff_alpha(
    matrices: Floats, level: str, numbers: Floats, resamples: int, seed: int
) -> Alpha:
    """Return Krippendorff's alpha of coincidence matrices.

    Args:
        matrices: (clips, answers, answers), from `coincidences`.
        level: `nominal`, `ordinal` (answers in order) or `interval`.
        numbers: (answers,) the number of each answer; used only for `interval`.
        resamples: number of bootstrap resamples; 0: no interval.
        seed: seed of the bootstrap.
    """
    matrices = matrices[matrices.sum(axis=(1, 2)) > 0]
    n_clips = len(matrices)
    if n_clips == 0:
        return Alpha(None, None, None, "no clip has answers by two annotators", 0)
    value = float(_alphas(matrices.sum(axis=0)[None], level, numbers)[0])
    if np.isnan(value):
        return Alpha(None, None, None, "all answers are equal", n_clips)
    if resamples == 0:
        return Alpha(value, None, None, "no interval: resamples is 0", n_clips)
    if n_clips == 1:
        return Alpha(value, None, None, "no interval: only one clip", n_clips)
    resampled = np.concatenate(list(_resampled(matrices, resamples, seed)))
    alphas = _alphas(resampled, level, numbers)
    defined = alphas[~np.isnan(alphas)]
    if len(defined) < DEFINED_SHARE * resamples:
        return Alpha(value, None, None, "no interval: too few clips differ", n_clips)
    low, high = np.percentile(defined, (2.5, 97.5))
    return Alpha(value, float(low), float(high), None, n_clips)


def _alphas(totals: Floats, level: str, numbers: Floats) -> Floats:
    """Return alpha of several matrices, (n, answers, answers); NaN: not defined."""
    margins = totals.sum(axis=2)
    n = margins.sum(axis=1)
    distance = _distances(margins, level, numbers)
    observed = (totals * distance).sum(axis=(1, 2))
    expected = (margins[:, :, None] * margins[:, None, :] * distance).sum(axis=(1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(expected > 0, 1 - (n - 1) * observed / expected, np.nan)


def _distances(margins: Floats, level: str, numbers: Floats) -> Floats:
    """Return squared distances of answers, (1 or n, answers, answers)."""
    n_answers = margins.shape[1]
    if level == "nominal":
        return 1 - np.eye(n_answers)[None]
    if level == "interval":
        return np.asarray((numbers[:, None] - numbers[None, :]) ** 2)[None]
    # Ordinal: the number of answers between two, these two themselves counted by half.
    middles = np.cumsum(margins, axis=1) - margins / 2
    return np.asarray((middles[:, :, None] - middles[:, None, :]) ** 2)


def _resampled(matrices: Floats, resamples: int, seed: int) -> Iterator[Floats]:
    """Yield sums over clips drawn with replacement, (chunk, answers, answers)."""
    generator = np.random.default_rng(seed)
    n_clips = len(matrices)
    flat = matrices.reshape(n_clips, -1)
    per_chunk = max(1, CHUNK // n_clips)
    for first in range(0, resamples, per_chunk):
        size = min(per_chunk, resamples - first)
        drawn = generator.integers(0, n_clips, size=(size, n_clips))
        drawn += np.arange(size)[:, None] * n_clips
        times: Any = np.bincount(drawn.ravel(), minlength=size * n_clips).reshape(size, n_clips)
        yield (times.astype(np.float64) @ flat).reshape(size, *matrices.shape[1:])
