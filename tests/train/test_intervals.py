"""Intervals over films hold the true value as often as they say; clips of a film are alike."""

from __future__ import annotations

import numpy as np
import pytest
from ossl_train.evaluation.audio_figures import kl_figure_from, similarity_figure
from ossl_train.evaluation.distance_figures import distance_figures
from ossl_train.evaluation.eval_set import EvalSet
from ossl_train.evaluation.settings import EvaluationSettings, without_progress
from ossl_train.evaluation.warnings import warnings_of
from ossl_train.metrics import intervals
from ossl_train.metrics.embeddings import divergence_by_chance, divergences, softmax
from ossl_train.metrics.video_sync import Timed, alignment, following

TESTS = 400


def films_of(n_films: int, n_clips: int) -> np.ndarray:
    return np.repeat(np.arange(n_films), n_clips)


@pytest.mark.parametrize(
    ("n_films", "n_clips", "spread"),
    [(4, 25, 0.5), (8, 25, 0.5), (8, 25, 1.0), (20, 10, 0.5), (60, 12, 1.0), (8, 1, 0.0)],
)
def test_95_of_100_intervals_of_means_and_ratios_hold_the_truth(
    n_films: int, n_clips: int, spread: float
) -> None:
    source = np.random.default_rng(n_films + n_clips)
    films = films_of(n_films, n_clips)
    means = ratios = over_clips = 0
    for _ in range(TESTS):
        values = source.normal(0, spread, n_films)[films] + source.normal(size=len(films))
        low, high = intervals.of_mean(values, 300, source, films) or (0, 0)
        means += low <= 0 <= high
        low, high = intervals.of_mean(values, 300, source) or (0, 0)
        over_clips += low <= 0 <= high
        weights = source.uniform(1, 5, len(films))
        low, high = intervals.of_ratio(values * weights, weights, 300, source, films) or (0, 0)
        ratios += low <= 0 <= high
    assert 0.91 <= means / TESTS <= 0.985, means / TESTS
    assert 0.90 <= ratios / TESTS <= 0.985, ratios / TESTS
    if spread and n_clips >= 25:
        assert over_clips / TESTS < 0.8, "intervals over clips are too narrow here"


@pytest.mark.parametrize(("n_films", "n_clips"), [(4, 20), (8, 10), (30, 5)])
def test_95_of_100_intervals_of_differences_hold_the_truth(n_films: int, n_clips: int) -> None:
    source = np.random.default_rng(n_films)
    films = films_of(n_films, n_clips)
    ones = np.ones(len(films))
    held = wide = narrow = 0.0
    for _ in range(TESTS):
        # What is hard for one system is hard for the other; films differ in what suits each.
        hard = source.normal(0, 2, n_films)[films] + source.normal(0, 1, len(films))
        first = hard + source.normal(0, 0.3, n_films)[films] + source.normal(0, 0.5, len(films))
        second = hard + 0.4 + source.normal(0, 0.3, n_films)[films]
        low, high = intervals.of_ratio_difference(
            (first, ones), (second, ones), 300, source, films
        ) or (0, 0)
        held += low <= 0.4 <= high
        narrow += high - low
        low, high = intervals.of_mean(second, 300, source, films) or (0, 0)
        wide += high - low
    assert 0.91 <= held / TESTS <= 0.985, held / TESTS
    assert narrow < 0.4 * wide, "the interval is not that of pairs"


def test_intervals_of_distances_are_those_of_films() -> None:
    source = np.random.default_rng(3)
    of_films = films_of(10, 8)

    def clips() -> list[np.ndarray]:
        centres = source.normal(size=(10, 4))
        return [centres[film] + 0.3 * source.normal(size=(3, 4)) for film in of_films]

    ours, theirs = clips(), clips()
    settings = EvaluationSettings(distance_resamples=60)

    def width(films: np.ndarray) -> float:
        figure = distance_figures(ours, theirs, (films, films), False, settings, without_progress)[
            0
        ]
        assert figure.interval is not None
        return figure.interval[1] - figure.interval[0]

    assert width(of_films) > 1.6 * width(np.arange(len(of_films)))


def test_chance_is_that_of_other_films() -> None:
    # A model that knows the style of a film and nothing of its clips.
    source = np.random.default_rng(0)
    films = films_of(10, 10)
    styles = source.normal(0, 2, (10, 527))[films]
    real = softmax(styles + source.normal(0, 0.5, styles.shape))
    generated = softmax(styles + source.normal(0, 1.2, styles.shape))
    names = [str(k) for k in range(100)]
    figure = kl_figure_from(names, generated, real, films, EvaluationSettings())
    expected = np.mean(
        [
            divergences(real[[other]], generated[[clip]])[0]
            for clip in range(100) for other in range(100)
            if films[clip] != films[other]
        ]
    )  # fmt: skip
    assert figure.chance == pytest.approx(expected, rel=1e-9)
    assert figure.chance > 3 * figure.value
    # As before, with each clip against the next, mostly of the same film.
    assert divergences(np.roll(real, 1, axis=0), generated).mean() < 0.5 * figure.chance
    assert divergence_by_chance(real, generated, np.zeros(100, int)) is None
    cosine = similarity_figure("similarity", "", "generated", names, styles, styles, films,
                               EvaluationSettings())  # fmt: skip
    assert abs(cosine.chance) < 0.05
    assert cosine.value == pytest.approx(1)


def test_the_control_of_motion_is_the_video_of_other_films() -> None:
    source = np.random.default_rng(2)
    films = films_of(4, 3)
    # All clips of a film move alike, and its music follows that motion.
    motion = [np.convolve(source.normal(size=439), np.ones(40) / 40, "valid") for _ in range(4)]
    of_clips = [motion[film] + 0.01 * source.normal(size=400) for film in films]
    found = following(of_clips, of_clips, np.random.default_rng(0), films=films)
    assert abs(found.control) < 0.3
    over_clips = following(of_clips, of_clips, np.random.default_rng(0))
    assert over_clips.control > found.control + 0.1
    timed = [Timed(np.array([1.0]), np.array([1.0 + film % 2]), 10.0) for film in films]
    over_films = alignment(timed, np.random.default_rng(0), films=films).interval
    per_clip = alignment(timed, np.random.default_rng(0)).interval
    assert over_films is not None
    assert per_clip is not None
    assert over_films[1] - over_films[0] > 1.5 * (per_clip[1] - per_clip[0])


def test_few_films_and_unknown_films_are_told(tmp_path) -> None:
    names = {f"clip-{n}": tmp_path / f"{n}.wav" for n in range(40)}
    for path in names.values():
        path.write_bytes(path.name.encode())
    few = EvalSet(names, names, films={name: f"film-{n % 3}" for n, name in enumerate(names)})
    assert few.n_films == 3
    assert list(few.film_indices(list(names))[:4]) == [0, 1, 2, 0]
    told = " ".join(warnings_of([], few, None, 5))
    assert "Intervals are over 3 films" in told
    unknown = EvalSet(names, names)
    told = " ".join(warnings_of([], unknown, None, 5))
    assert "not known which files are of one film" in told
    assert "only a hint" not in told
