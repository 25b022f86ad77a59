"""Cosine similarity of pairs, and what pairs that do not belong together would give."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def cosines(left: Values, right: Values) -> Values:
    """Cosine of the angle between `left[i]` and `right[i]`, shape (n,); 0 for a zero vector."""
    if left.shape != right.shape:
        raise ValueError(f"{left.shape} and {right.shape} are no pairs")
    return np.asarray((_unit(left) * _unit(right)).sum(axis=1))


def mismatched(left: Values, right: Values) -> float | None:
    """Mean cosine of all pairs that do not belong together: the level of chance.

    None with fewer than two pairs.
    """
    n = len(left)
    if n < 2:
        return None
    every = _unit(left) @ _unit(right).T
    return float((every.sum() - np.trace(every)) / (n * (n - 1)))


def _unit(vectors: Values) -> Values:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1.0))
