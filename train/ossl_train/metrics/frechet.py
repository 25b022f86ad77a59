"""Fréchet distance of two sets of embeddings, and its value for infinitely many of them.

Fréchet audio distance: Kilgour et al., "Fréchet Audio Distance: A Reference-Free Metric for
Evaluating Music Enhancement Algorithms" (Interspeech 2019). Extrapolation: Chong and Forsyth,
"Effectively Unbiased FID and Inception Score" (CVPR 2020); for audio, Gui et al., "Adapting
Frechet Audio Distance for Generative Music Evaluation" (ICASSP 2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ossl_train.metrics import NotDefined

Values = NDArray[np.float64]

FRACTIONS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Shares of the clips from which the distance is extrapolated."""
FEWEST = 8
"""Fewest clips per set; with fewer, half of them are not enough."""


def frechet_distance(left: Values, right: Values) -> float:
    """Return the squared Fréchet (2-Wasserstein) distance of Gaussians fitted to two sets.

    |m1 - m2|² + tr C1 + tr C2 - 2 tr (C1 C2)^½. With C = RᵀR, the last trace is the sum of the
    singular values of R1 R2ᵀ. It is real and not negative, also for singular covariances, for
    which the usual matrix root becomes complex or needs a constant on the diagonal.

    Args:
        left: shape (n, d), unbiased covariance.
        right: shape (m, d).

    Raises:
        NotDefined: with fewer than two vectors in a set.
    """
    if min(len(left), len(right)) < 2:
        raise NotDefined("A covariance needs at least two vectors.")
    left_mean, right_mean = left.mean(axis=0), right.mean(axis=0)
    left_root, right_root = _root(left - left_mean), _root(right - right_mean)
    shared = np.linalg.svd(left_root @ right_root.T, compute_uv=False).sum()
    spread = (left_root**2).sum() + (right_root**2).sum()
    distance = ((left_mean - right_mean) ** 2).sum() + spread - 2 * shared
    return max(0.0, float(distance))  # rounding only: a distance is not negative


def _root(centred: Values) -> Values:
    """Return R, shape (at most d, d), with RᵀR the covariance."""
    scaled = np.asarray(centred / np.sqrt(len(centred) - 1))
    if len(scaled) <= scaled.shape[1]:
        return scaled
    return np.asarray(np.linalg.qr(scaled, mode="r"))


@dataclass(frozen=True)
class Extrapolation:
    """A distance extrapolated to infinitely many clips.

    Attributes:
        value: an estimate without bias; it can be slightly below 0.
        distance: between all of the clips, not extrapolated.
        fit_error: the standard error of the straight line at infinity. It shows how much the value
            depends on the choice of sub-samples, not on the choice of clips.
    """

    value: float
    distance: float
    fit_error: float


def extrapolated(
    left: Sequence[Values],
    right: Sequence[Values],
    paired: bool,
    rng: np.random.Generator,
    fractions: Sequence[float] = FRACTIONS,
    draws: int = 4,
) -> Extrapolation:
    """Extrapolate the Fréchet distance to infinite n, by a straight line over 1/n.

    The estimate from n vectors is too large by about c/n. Both sets are sub-sampled in the same
    proportion, because both are finite. Whole clips are drawn, because windows of one clip are
    similar. Paired sets use the same clips, since their errors are correlated.

    Args:
        left: for each clip its vectors, shape (windows, d).
        right: likewise.
        paired: whether `left[i]` and `right[i]` belong together.
        rng: chooses the sub-samples.
        fractions: sizes of the sub-samples; 1.0 among them.
        draws: sub-samples per size.

    Raises:
        NotDefined: with fewer than `FEWEST` clips in a set.
    """
    if min(len(left), len(right)) < FEWEST:
        raise NotDefined(f"Extrapolation needs {FEWEST} clips in each set at least.")
    over, distances = [], []
    for fraction in fractions:
        for _ in range(draws if fraction < 1 else 1):
            chosen = _chosen(len(left), fraction, rng)
            others = chosen if paired else _chosen(len(right), fraction, rng)
            over.append(1 / fraction)
            distances.append(
                frechet_distance(
                    joined([left[k] for k in chosen]), joined([right[k] for k in others])
                )
            )
    # The full set has the same weight as the mean of the draws of another size.
    weights = [1.0 if part == 1 else draws**-0.5 for part in over]
    line, covariance = np.polyfit(over, distances, 1, w=weights, cov=True)
    error = np.sqrt(max(0.0, covariance[1, 1]))
    full_distance = distances[over.index(1.0)]
    return Extrapolation(float(line[1]), full_distance, float(error))


def joined(clips: Sequence[Values]) -> Values:
    """Return the vectors of all clips, shape (n, d)."""
    return np.concatenate(list(clips))


def _chosen(n: int, fraction: float, rng: np.random.Generator) -> NDArray[np.int64]:
    return np.asarray(rng.permutation(n)[: round(fraction * n)])
