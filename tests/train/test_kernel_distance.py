"""The kernel audio distance: its value, that it has no bias, and its interval over films."""

from __future__ import annotations

import numpy as np
import pytest
from ossl_train.evaluation.distance_figures import MOST_VECTORS, kernel_figure
from ossl_train.evaluation.settings import EvaluationSettings
from ossl_train.metrics import NotDefined
from ossl_train.metrics.kernel_distance import kernels

SETTINGS = EvaluationSettings(distance_resamples=80)


def vectors(seed: int, n: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 8)) + shift


def test_the_value_is_that_of_the_definition() -> None:
    left, right = vectors(0, 7, 0.5), vectors(1, 5)
    apart = [
        np.sum((a - b) ** 2) for i, a in enumerate(right) for j, b in enumerate(right) if i != j
    ]
    width = 2 * np.median(apart)

    def mean(one: np.ndarray, two: np.ndarray, skip: bool) -> float:
        values = [
            np.exp(-np.sum((a - b) ** 2) / width)
            for i, a in enumerate(one) for j, b in enumerate(two) if not (skip and i == j)
        ]  # fmt: skip
        return float(np.mean(values))

    expected = mean(left, left, True) + mean(right, right, True) - 2 * mean(left, right, False)
    found = kernels(left, right)
    assert found.distance() == pytest.approx(100 * expected)
    # Counting a vector twice is the same as having it twice.
    twice = kernels(left, right)
    counts = np.array([2.0, 1, 1, 1, 1, 1, 0])
    doubled = np.concatenate([left[:6], left[:1]])
    expected = mean(doubled, doubled, True) + mean(right, right, True)
    expected -= 2 * mean(doubled, right, False)
    assert twice.distance(counts) == pytest.approx(100 * expected)


def test_equal_distributions_are_at_0_for_any_size() -> None:
    for n in (20, 100):
        found = [kernels(vectors(s, n), vectors(s + 500, n)).distance() for s in range(60)]
        assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(60)
        assert min(found) < 0 < max(found)
    rising = [kernels(vectors(1, 80, shift), vectors(2, 80)).distance() for shift in (0, 0.3, 1)]
    assert rising == sorted(rising)
    assert rising[2] > 20


def test_sets_that_have_no_kernel() -> None:
    with pytest.raises(NotDefined, match="two vectors"):
        kernels(vectors(0, 1), vectors(1, 5))
    with pytest.raises(NotDefined, match="equal"):
        kernels(vectors(0, 4), np.ones((6, 8)))


def test_the_interval_is_over_films_and_holds_the_value() -> None:
    films = np.repeat(np.arange(10), 6)
    styles = np.random.default_rng(4).normal(size=(10, 8))
    ours = [vectors(n, 3) * 0.3 + styles[film] for n, film in enumerate(films)]
    theirs = [vectors(n + 90, 3) * 0.3 + styles[film] + 0.4 for n, film in enumerate(films)]
    own = (films, films)
    figure = kernel_figure(ours, theirs, own, True, SETTINGS)
    assert figure.interval is not None
    assert figure.interval[0] < figure.value < figure.interval[1]
    assert figure.value > 0
    clips = (np.arange(60), np.arange(60))
    over_clips = kernel_figure(ours, theirs, clips, False, SETTINGS)
    over_films = kernel_figure(ours, theirs, own, False, SETTINGS)
    assert np.diff(over_films.interval) > 1.5 * np.diff(over_clips.interval)
    one = np.zeros(60, int)
    assert kernel_figure(ours, theirs, (one, one), True, SETTINGS).interval is None


def test_large_sets_use_some_of_their_windows() -> None:
    many = [vectors(n, 50) for n in range(MOST_VECTORS // 50 + 4)]
    own = (np.arange(len(many)), np.arange(len(many)))
    settings = EvaluationSettings(distance_resamples=2)
    figure = kernel_figure(many, many[::-1], own, False, settings)
    assert figure.n == MOST_VECTORS
    assert abs(figure.value) < 1
