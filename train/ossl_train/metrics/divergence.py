"""Kullback-Leibler divergence of what a tagger hears in two sounds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

SMOOTHING = 1e-6


def softmax(logits: Values) -> Values:
    """Probabilities over the last axis, safe for logits of any size."""
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def divergences(real: Values, generated: Values, smoothing: float = SMOOTHING) -> Values:
    """KL(real || generated) of each pair, in nats, shape (n,).

    A part `smoothing` of both goes evenly to all classes: at most log(classes / smoothing) then,
    where a class that one side rules out would otherwise make it infinite.

    Args:
        real: probabilities, shape (n, classes).
        generated: likewise, of the same clips in the same order.
        smoothing: 0 to 1.
    """
    if real.shape != generated.shape:
        raise ValueError(f"{real.shape} and {generated.shape} are no pairs")
    even = smoothing / real.shape[-1]
    left, right = (1 - smoothing) * real + even, (1 - smoothing) * generated + even
    return np.asarray((left * (np.log(left) - np.log(right))).sum(axis=-1))
