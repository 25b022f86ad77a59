"""Alpha and Dawid-Skene against other implementations; degenerate cases are not defined."""

from __future__ import annotations

import krippendorff
import numpy as np
import pandas
import pytest

from ossl_builder.annotations import label_schema
from ossl_builder.annotations.agreement import agreement, most_disagreed, reliability
from ossl_builder.annotations.alpha import coincidences, krippendorff_alpha
from ossl_builder.annotations.consensus import fit_dawid_skene
from ossl_builder.annotations.settings import LabelsSettings
from tests.annotations.people import annotation

MOODS = label_schema.bundled()
SETTINGS = LabelsSettings()
NUMBERS = np.arange(1.0, 10.0)


def ratings(n_people: int, n_clips: int, seed: int = 0) -> np.ndarray:
    """Simulated ratings 1 to 9 as (people, clips) around a true value; 40 % are missing."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(1, 10, n_clips)
    given = np.clip(truth + generator.integers(-3, 4, (n_people, n_clips)), 1, 9).astype(float)
    given[generator.random(given.shape) < 0.4] = np.nan
    return given


def coincidences_of(given: np.ndarray) -> np.ndarray:
    people, clips = np.nonzero(~np.isnan(given))
    return coincidences(clips, given[people, clips].astype(int) - 1, given.shape[1], 9)


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
@pytest.mark.parametrize(("n_people", "n_clips"), [(2, 12), (5, 300)])
def test_alpha_equals_the_krippendorff_package(level: str, n_people: int, n_clips: int) -> None:
    given = ratings(n_people, n_clips)
    ours = krippendorff_alpha(coincidences_of(given), level, NUMBERS, 400, 0)
    theirs = krippendorff.alpha(reliability_data=given, level_of_measurement=level)
    assert ours.alpha == pytest.approx(theirs, abs=1e-12)
    assert ours.low is not None
    assert ours.high is not None
    assert ours.low < ours.alpha < ours.high
    assert ours == krippendorff_alpha(coincidences_of(given), level, NUMBERS, 400, 0)


def test_coverage_of_the_confidence_interval() -> None:
    truth = krippendorff_alpha(coincidences_of(ratings(3, 20_000)), "interval", NUMBERS, 0, 0).alpha
    covered = 0
    for seed in range(1, 101):
        one = krippendorff_alpha(
            coincidences_of(ratings(3, 80, seed)), "interval", NUMBERS, 300, seed
        )
        assert one.low is not None
        assert one.high is not None
        covered += one.low <= truth <= one.high
    assert 85 <= covered <= 100


@pytest.mark.parametrize(
    ("people", "why"),
    [
        ([], "no clip has answers by two annotators"),
        ([annotation(n, "a01") for n in range(5)], "no clip has answers by two annotators"),
        ([annotation(n, who) for n in range(5) for who in ("a01", "a02")], "all answers are equal"),
        (
            [annotation(0, "a01"), annotation(0, "a02", state="skipped"),
             annotation(0, "a03", state="withdrawn"), annotation(0, "a04", schema="mood-0")],
            "no clip has answers by two annotators",
        ),
    ],
)  # fmt: skip
def test_undefined_agreement_has_no_number(people: list, why: str) -> None:
    found = agreement(people, MOODS, SETTINGS)
    assert {one.question for one in found} >= {"quadrant", "valence", "music_audible"}
    assert all(one.alpha is None and one.low is None and one.high is None for one in found)
    assert next(one for one in found if one.question == "quadrant").why == why
    for one in reliability(people, MOODS, SETTINGS):
        assert one.alpha_without is None
        assert one.why


def test_one_clip_has_an_alpha_without_an_interval() -> None:
    people = [annotation(0, "a01"), annotation(0, "a02", quadrant="Q2"), annotation(0, "a03")]
    found = next(one for one in agreement(people, MOODS, SETTINGS) if one.question == "quadrant")
    assert found.alpha == pytest.approx(0.0)
    assert (found.low, found.why) == (None, "no interval: only one clip")


def test_agreement_per_film_and_the_unreliable_labeller() -> None:
    generator = np.random.default_rng(3)
    people = []
    for film in ("f", "g"):
        for number in range(40):
            truth = int(generator.integers(1, 5))
            people += [
                annotation(number, who, film, quadrant=f"Q{truth}") for who in ("a01", "a02")
            ]
            guess = f"Q{generator.integers(1, 5)}" if film == "g" else f"Q{truth}"
            people.append(annotation(number, "a03", film, quadrant=guess, mood_words=("epic",)))
    found = {(one.film_id, one.question): one for one in agreement(people, MOODS, SETTINGS)}
    assert found["f", "quadrant"].alpha == pytest.approx(1.0)
    assert 0.2 < (found["g", "quadrant"].alpha or 0) < 0.7
    assert found[None, "quadrant"].n_clips == 80
    assert found["f", "mood_words"].why == "no clip has answers by two annotators"
    a01, a02, a03 = reliability(people, MOODS, SETTINGS)
    assert a03.alpha_without == pytest.approx(1.0)
    assert (a03.agrees_share or 0) < 0.75
    assert (a01.agrees_share or 0) > (a03.agrees_share or 0)
    assert a02.n_shared == 80


def test_clips_people_disagree_on_come_first() -> None:
    people = [
        annotation(0, "a01"), annotation(0, "a02"),
        annotation(1, "a01"), annotation(1, "a02", quadrant="Q3", valence=1),
        annotation(2, "a01"), annotation(2, "a02", valence=6),
        annotation(3, "a01"),
    ]  # fmt: skip
    found = most_disagreed(people, MOODS)
    assert [one.clip_id for one in found] == ["f_2000-4000", "f_4000-6000", "f_0-2000"]
    assert found[-1].score == 0
    assert most_disagreed(people, MOODS, 1) == found[:1]


def simulated(n_clips: int, reliabilities: tuple[float, ...], per_clip: int, seed: int):
    """True labels, and (clip, labeller, choice) of labellers with the given accuracies."""
    generator = np.random.default_rng(seed)
    truth = generator.choice(4, n_clips, p=(0.2, 0.45, 0.25, 0.1))
    who = [generator.permutation(len(reliabilities))[:per_clip] for _ in range(n_clips)]
    labellers = np.concatenate(who)
    clips = np.repeat(np.arange(n_clips), [len(one) for one in who])
    is_right = generator.random(len(clips)) < np.array(reliabilities)[labellers]
    wrong = (truth[clips] + generator.integers(1, 4, len(clips))) % 4
    return truth, clips, labellers, np.where(is_right, truth[clips], wrong)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:The (inplace|copy)")
def test_plain_dawid_skene_equals_crowdkit() -> None:
    from crowdkit.aggregation import DawidSkene

    _, clips, labellers, choices = simulated(300, (0.9, 0.8, 0.7, 0.5), 3, 1)
    fitted = fit_dawid_skene(clips, labellers, choices, 4, smoothing=0, max_iterations=6)
    ours = fitted.probabilities
    data = pandas.DataFrame({"task": clips, "worker": labellers, "label": choices})
    theirs = DawidSkene(n_iter=6, tol=0).fit_predict_proba(data).sort_index()[[0, 1, 2, 3]]
    np.testing.assert_allclose(ours, theirs.to_numpy(), atol=1e-6)


def test_dawid_skene_beats_the_majority_where_labellers_differ() -> None:
    right = np.zeros(2)
    for seed in range(5):
        truth, clips, labellers, choices = simulated(300, (0.9, 0.85, 0.8, 0.6, 0.4), 3, seed)
        votes = np.bincount(clips * 4 + choices, minlength=1200).reshape(300, 4)
        top = votes == votes.max(axis=1, keepdims=True)
        # In a tie of n choices, the right one counts as 1/n.
        right[0] += (top / top.sum(axis=1, keepdims=True))[np.arange(300), truth].mean()
        fitted = fit_dawid_skene(clips, labellers, choices, 4).probabilities
        right[1] += (fitted.argmax(axis=1) == truth).mean()
    assert right[1] / 5 > right[0] / 5 + 0.02


def test_dawid_skene_probabilities_with_few_answers() -> None:
    one_labeller = np.arange(50)
    choices = np.random.default_rng(0).choice(4, 50, p=(0.7, 0.1, 0.1, 0.1))
    alone = fit_dawid_skene(one_labeller, np.zeros(50, dtype=np.int64), choices, 4)
    assert (alone.probabilities.argmax(axis=1) == choices).all()
    assert alone.probabilities.max() == pytest.approx(0.7)
    # Two annotators disagree on their only clip: equal probabilities.
    tied = fit_dawid_skene(np.array([0, 0]), np.array([0, 1]), np.array([0, 1]), 4)
    assert tied.probabilities[0, 0] == pytest.approx(tied.probabilities[0, 1])
    with pytest.raises(ValueError):
        fit_dawid_skene(np.array([], dtype=np.int64), np.array([]), np.array([]), 4)
