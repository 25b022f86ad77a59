"""Precision, recall, density and coverage by nearest neighbours.

Kynkäänniemi et al., "Improved Precision and Recall Metric for Assessing Generative Models"
(NeurIPS 2019); Naeem et al., "Reliable Fidelity and Diversity Metrics for Generative Models"
(ICML 2020).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ossl_train.metrics import NotDefined

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Neighbourhoods:
    """What each vector adds; the measures are the means.

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
    """Which vectors lie in whose neighbourhood of k.

    Args:
        real: shape (n, d).
        generated: shape (m, d).
        k: neighbours, the vector itself not counted.

    Raises:
        NotDefined: if a side has no k neighbours to each vector.
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
    """Euclidean distances, shape (n, m); equal vectors are at exactly 0 from each other.

    The shorter way, over scalar products, is off by 1e-8 there and so counts a vector's copy in
    or out by chance.
    """
    return np.stack([np.linalg.norm(right - row, axis=1) for row in left])
