"""Measures of embeddings and tags: neighbourhoods, cosine similarity, KL divergence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ossl_train.metrics import NotDefined
from ossl_train.metrics.intervals import FilmIndices

Values = NDArray[np.float64]

SMOOTHING = 1e-6


def softmax(logits: Values) -> Values:
    """Return probabilities over the last axis, for logits of any size."""
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def divergences(real: Values, generated: Values, smoothing: float = SMOOTHING) -> Values:
    """Return KL(real || generated) of each pair, in nats, shape (n,).

    A share `smoothing` of both distributions is spread evenly over all classes. So the divergence
    is at most log(classes / smoothing). Without that, a class with probability 0 in `generated`
    would make it infinite.

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


@dataclass(frozen=True)
class Neighbourhoods:
    """The contribution of each vector; the measures are the means.

    Attributes:
        precision: of each generated vector, 1 if it lies within k neighbours of a real one.
        recall: of each real vector, 1 if it lies within k neighbours of a generated one.
        density: of each generated vector, in how many real neighbourhoods it lies, over k.
        coverage: of each real vector, 1 if its neighbourhood holds a generated one.
    """

    precision: Values
    recall: Values
    density: Values
    coverage: Values


def neighbourhoods(real: Values, generated: Values, k: int = 5) -> Neighbourhoods:
    """Compute which vectors are in the k-neighbourhoods of others.

    Args:
        real: shape (n, d).
        generated: shape (m, d).
        k: neighbours, the vector itself not counted.

    Raises:
        NotDefined: if a set has too few vectors for k neighbours of each.
    """
    fewest = min(len(real), len(generated))
    if fewest <= k:
        raise NotDefined(f"With {fewest} clips there are no {k} neighbours to each.")
    real_radius = np.partition(distances(real, real), k, axis=1)[:, k]
    generated_radius = np.partition(distances(generated, generated), k, axis=1)[:, k]
    between = distances(real, generated)
    in_real = between < real_radius[:, None]
    return Neighbourhoods(
        precision=np.asarray(in_real.any(axis=0), np.float64),
        recall=np.asarray((between < generated_radius[None]).any(axis=1), np.float64),
        density=np.asarray(in_real.sum(axis=0) / k, np.float64),
        coverage=np.asarray(in_real.any(axis=1), np.float64),
    )


def distances(left: Values, right: Values) -> Values:
    """Return Euclidean distances, shape (n, m); exactly 0 for equal vectors.

    The faster way, by scalar products, has an error of 1e-8 for equal vectors. Chance would then
    decide whether the copy of a vector counts as a neighbour.
    """
    return np.stack([np.linalg.norm(right - row, axis=1) for row in left])


def cosines(left: Values, right: Values) -> Values:
    """Return the cosine of `left[i]` and `right[i]`, shape (n,); 0 for a zero vector."""
    if left.shape != right.shape:
        raise ValueError(f"{left.shape} and {right.shape} are no pairs")
    return np.asarray((_unit(left) * _unit(right)).sum(axis=1))


def cosine_by_chance(left: Values, right: Values, films: FilmIndices | None = None) -> float | None:
    """Return the mean cosine of all pairs from different films: the level of chance.

    Clips of one film are alike, so a pair of them is no chance.

    Args:
        left, right: shape (n, d), in the same order.
        films: the film of each, shape (n,); None: each is from a film of its own.

    Returns:
        None with fewer than two films.
    """
    return _mean_of_others(_unit(left) @ _unit(right).T, films)


def divergence_by_chance(
    real: Values, generated: Values, films: FilmIndices | None = None, smoothing: float = SMOOTHING
) -> float | None:
    """Return the mean of `divergences` of all pairs from different films: the level of chance.

    Args:
        real, generated: probabilities, shape (n, classes), in the same order.
        films: see `cosine_by_chance`.
        smoothing: see `divergences`.

    Returns:
        None with fewer than two films.
    """
    even = smoothing / real.shape[-1]
    left, right = (1 - smoothing) * real + even, (1 - smoothing) * generated + even
    entropy = (left * np.log(left)).sum(axis=-1)
    return _mean_of_others(entropy[:, None] - left @ np.log(right).T, films)


def _mean_of_others(pairs: Values, films: FilmIndices | None) -> float | None:
    """Return the mean over pairs [n, n] of different films."""
    films = np.arange(len(pairs)) if films is None else films
    others = films[:, None] != films[None]
    return float(pairs[others].mean()) if others.any() else None


def _unit(vectors: Values) -> Values:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1.0))
