"""Kernel audio distance: the maximum mean discrepancy of two sets of embeddings.

Chung et al. 2025, "KAD: no more FAD! An effective and efficient evaluation metric for audio
generation"; Gretton et al. 2012, "A kernel two-sample test". Unlike the Fréchet distance it assumes
no Gaussians, and its estimate has no bias, so it can be compared between sets of a hundred clips.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ossl_train.metrics import NotDefined

Values = NDArray[np.float64]

SCALE = 100.0
"""The published factor, which makes the values readable."""


@dataclass(frozen=True)
class Kernels:
    """The kernel of all pairs of vectors.

    Attributes:
        left: [n, n], within the first set.
        right: [m, m], within the second set.
        between: [n, m].
    """

    left: Values
    right: Values
    between: Values

    def distance(self, of_left: Values | None = None, of_right: Values | None = None) -> float:
        """Return the squared discrepancy times `SCALE`; it can be slightly below 0.

        Args:
            of_left: how often each vector of the first set counts, [n]; None: once.
            of_right: likewise, [m].
        """
        ours = np.ones(len(self.left)) if of_left is None else of_left
        theirs = np.ones(len(self.right)) if of_right is None else of_right
        between = float(ours @ self.between @ theirs) / float(ours.sum() * theirs.sum())
        squared = _within(self.left, ours) + _within(self.right, theirs) - 2 * between
        return SCALE * squared


def _within(kernel: Values, counts: Values) -> float:
    """Return the mean kernel of different draws; equal vectors that were drawn twice are pairs."""
    n = float(counts.sum())
    return float(counts @ kernel @ counts - (counts * np.diag(kernel)).sum()) / (n * (n - 1))


def kernels(left: Values, right: Values) -> Kernels:
    """Return the Gaussian kernels of two sets.

    The bandwidth is the median distance of different vectors of the second set, the reference.

    Args:
        left: shape (n, d).
        right: shape (m, d).

    Raises:
        NotDefined: with fewer than two vectors in a set, or if all of the reference are equal.
    """
    if min(len(left), len(right)) < 2:
        raise NotDefined("A kernel distance needs at least two vectors in each set.")
    within = _squared(right, right)
    bandwidth = float(np.median(within[~np.eye(len(right), dtype=bool)]))
    if bandwidth <= 0:
        raise NotDefined("Most vectors of the reference are equal.")
    return Kernels(
        *(
            np.exp(-squared / (2 * bandwidth))
            for squared in (_squared(left, left), within, _squared(left, right))
        )
    )


def _squared(left: Values, right: Values) -> Values:
    """Return squared Euclidean distances, [n, m]."""
    squared = (left**2).sum(1)[:, None] + (right**2).sum(1)[None] - 2 * left @ right.T
    return np.asarray(np.maximum(squared, 0.0))
