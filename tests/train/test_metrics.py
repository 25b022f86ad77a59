"""Metrics compared with scipy, scikit-learn, PyTorch and exact cases."""

import numpy as np
import pytest
import scipy.linalg
import torch
from ossl_train.metrics import NotDefined, intervals
from ossl_train.metrics.embeddings import (
    cosine_by_chance,
    cosines,
    divergences,
    neighbourhoods,
    softmax,
)
from ossl_train.metrics.frechet import extrapolated, frechet_distance, joined
from sklearn.neighbors import NearestNeighbors


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def with_moments(n: int, mean: np.ndarray, root: np.ndarray, seed: int = 0) -> np.ndarray:
    """Vectors whose sample mean is `mean` and sample covariance root.T @ root, exactly."""
    drawn = rng(seed).normal(size=(n, len(mean)))
    drawn -= drawn.mean(axis=0)
    white, _ = np.linalg.qr(drawn)
    return mean + white * np.sqrt(n - 1) @ root


def by_matrix_root(left: np.ndarray, right: np.ndarray) -> float:
    """The distance as the literature writes it."""
    one, other = np.cov(left.T), np.cov(right.T)
    root = scipy.linalg.sqrtm(one @ other)
    apart = left.mean(axis=0) - right.mean(axis=0)
    return float(apart @ apart + np.trace(one) + np.trace(other) - 2 * np.trace(root.real))


def test_two_gaussians_of_known_distance() -> None:
    # Commuting covariances: |m1 - m2|² + the sum of (s1 - s2)² over the axes.
    left = with_moments(50, np.array([1.0, 0.0, 0.0]), np.diag([1.0, 2.0, 3.0]))
    right = with_moments(80, np.array([0.0, 2.0, 0.0]), np.diag([2.0, 2.0, 5.0]), seed=1)
    assert frechet_distance(left, right) == pytest.approx(5 + 1 + 0 + 4, rel=1e-12)


def test_distance_agrees_with_scipys_matrix_root() -> None:
    mixing = rng(3).normal(size=(24, 24))
    left, right = rng(1).normal(size=(200, 24)), 0.3 + rng(2).normal(size=(90, 24)) @ mixing
    assert frechet_distance(left, right) == pytest.approx(by_matrix_root(left, right), rel=1e-9)


def test_distance_with_fewer_vectors_than_dimensions() -> None:
    # Covariances of rank 1, along two axes at an angle: |u|² + |v|² - 2 |u·v| for n = 2.
    u, v = np.zeros(64), np.zeros(64)
    u[0], v[0], v[1] = 3.0, 1.0, 2.0
    left, right = np.stack([u, -u]) / np.sqrt(2), np.stack([v, -v]) / np.sqrt(2)
    assert frechet_distance(left, right) == pytest.approx(9 + 5 - 2 * 3, rel=1e-12)
    # Compared with the root of a covariance that a small ridge makes regular.
    one, other = rng(1).normal(size=(20, 48)), rng(2).normal(size=(400, 48))
    ridge = 1e-9 * np.eye(48)
    root = scipy.linalg.sqrtm((np.cov(one.T) + ridge) @ (np.cov(other.T) + ridge)).real
    apart = one.mean(axis=0) - other.mean(axis=0)
    expected = apart @ apart + np.trace(np.cov(one.T) + np.cov(other.T) - 2 * root)
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-4)


def test_distance_is_symmetric_and_does_not_depend_on_rotation_and_shift() -> None:
    left, right = rng(1).normal(size=(60, 16)), 1.5 * rng(2).normal(size=(40, 16))
    turned, _ = np.linalg.qr(rng(3).normal(size=(16, 16)))
    plain = frechet_distance(left, right)
    assert frechet_distance(right, left) == pytest.approx(plain, rel=1e-12)
    assert frechet_distance(left @ turned + 7, right @ turned + 7) == pytest.approx(plain)
    assert frechet_distance(2 * left, 2 * right) == pytest.approx(4 * plain)
    assert frechet_distance(left, left[::-1]) < 1e-9
    constant = np.ones((5, 16))
    assert frechet_distance(constant, constant) == 0
    with pytest.raises(NotDefined):
        frechet_distance(left[:1], right)


def test_a_hundred_clips_in_512_dimensions_measure_mostly_their_own_number() -> None:
    # The reference's setting: the true distance is 0, and the figure is not.
    few = frechet_distance(rng(1).normal(size=(100, 512)), rng(2).normal(size=(100, 512)))
    many = frechet_distance(rng(1).normal(size=(1500, 512)), rng(2).normal(size=(1500, 512)))
    assert few > 500
    assert many < few / 6


def test_extrapolation_removes_the_bias_of_small_n() -> None:
    d, true = 16, 16 * 0.1**2
    plain, far = [], []
    for seed in range(20):
        clips = [rng(seed).normal(size=(100, 2, d)), 0.1 + rng(seed + 99).normal(size=(100, 2, d))]
        left, right = list(clips[0]), list(clips[1])
        plain.append(frechet_distance(joined(left), joined(right)))
        far.append(extrapolated(left, right, False, rng(seed)).value)
    assert np.mean(plain) - true > 0.6
    assert abs(np.mean(far) - true) < 0.15
    one = extrapolated(left, right, False, rng(5))
    assert one == extrapolated(left, right, False, rng(5))
    assert one.fit_error < 0.1
    with pytest.raises(NotDefined, match="8 clips"):
        extrapolated(left[:7], right, False, rng())


def test_pairs_are_drawn_together() -> None:
    clips = [rng(seed).normal(size=(3, 8)) for seed in range(12)]
    assert abs(extrapolated(clips, clips, True, rng()).value) < 1e-9


def test_neighbourhoods_agree_with_scikit_learn() -> None:
    k = 5
    real, generated = rng(1).normal(size=(80, 12)), 0.8 * rng(2).normal(size=(50, 12)) + 0.3
    found = neighbourhoods(real, generated, k)

    def radius(vectors: np.ndarray) -> np.ndarray:
        return NearestNeighbors(n_neighbors=k + 1).fit(vectors).kneighbors(vectors)[0][:, k]

    between = np.stack([np.sqrt(((row - generated) ** 2).sum(axis=1)) for row in real])
    in_real = between < radius(real)[:, None]
    assert found.precision.mean() == in_real.any(axis=0).mean()
    assert found.recall.mean() == (between < radius(generated)).any(axis=1).mean()
    assert found.density.mean() == pytest.approx(in_real.sum(axis=0).mean() / k)
    nearest = NearestNeighbors(n_neighbors=1).fit(generated).kneighbors(real)[0][:, 0]
    assert found.coverage.mean() == (nearest < radius(real)).mean()


def test_neighbourhoods_of_equal_and_of_different_clouds() -> None:
    real = rng(1).normal(size=(40, 8))
    same = neighbourhoods(real, real, 5)
    assert [same.precision.mean(), same.recall.mean(), same.coverage.mean()] == [1, 1, 1]
    assert same.density.mean() == pytest.approx(1)
    far = neighbourhoods(real, real + 100, 5)
    assert [far.precision.mean(), far.recall.mean(), far.density.mean()] == [0, 0, 0]
    # One mode of two: all generated vectors are good, half of the real ones are missing.
    two = np.concatenate([real, real + 100])
    collapsed = neighbourhoods(two, real, 5)
    assert collapsed.precision.mean() == 1
    assert collapsed.recall.mean() == collapsed.coverage.mean() == 0.5
    with pytest.raises(NotDefined, match="5 clips there are no 5 neighbours"):
        neighbourhoods(real, real[:5], 5)


def test_divergence_agrees_with_pytorch_and_is_never_infinite() -> None:
    real, generated = 3 * rng(1).normal(size=(6, 40)), 3 * rng(2).normal(size=(6, 40))
    found = divergences(softmax(real), softmax(generated), smoothing=0)
    expected = torch.nn.functional.kl_div(
        torch.log_softmax(torch.tensor(generated), -1),
        torch.log_softmax(torch.tensor(real), -1),
        log_target=True,
        reduction="none",
    ).sum(-1)
    assert found == pytest.approx(expected.numpy(), rel=1e-9)
    # The divergence of the reference is infinite here: one side gives a class the probability 0.
    sure = softmax(np.array([[4000.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    other = softmax(np.array([[0.0, 4000.0, 0.0], [0.0, 0.0, 0.0]]))
    assert sure[0, 1] == 0
    apart = divergences(sure, other)
    assert np.isfinite(apart).all()
    assert 10 < apart[0] < np.log(3e6)
    assert apart[1] == 0
    with pytest.raises(ValueError, match="no pairs"):
        divergences(sure, other[:1])


def test_similarity_of_pairs_and_of_cosine_by_chance_pairs() -> None:
    left = np.eye(4)
    assert cosines(left, 3 * left) == pytest.approx(1)
    assert cosine_by_chance(left, left) == pytest.approx(0)
    assert cosine_by_chance(left[:1], left[:1]) is None
    assert cosines(np.zeros((1, 4)), left[:1]) == pytest.approx(0)


def test_coverage_of_intervals() -> None:
    held = 0
    for seed in range(200):
        low, high = intervals.of_mean(rng(seed).normal(size=60), 400, rng(seed + 1)) or (0, 0)
        held += low <= 0 <= high
    assert 180 <= held <= 198  # of 200 at 95 %
    assert intervals.of_mean(np.ones(1), 100, rng()) is None
    assert intervals.of_mean(np.ones(9), 0, rng()) is None
    low, high = intervals.around(3.0, [10.0, 11.0, 12.0], 1000) or (0, 0)
    assert 2 <= low < 3 < high <= 4
