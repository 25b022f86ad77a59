"""Statistics of the listening test with simulated raters: only planted preferences are found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ossl_train.listening_test.design import (
    ADAPTER,
    BASE,
    CONTROL,
    FILM,
    KeyEntry,
    TestKey,
    order_stimuli,
)
from ossl_train.listening_test.intervals import estimate, variance
from ossl_train.listening_test.results import Results, compute_results

from ossl_builder.annotations import label_schema as taxonomies
from ossl_builder.annotations.records import Annotation
from tests.train.simulated_raters import QUESTIONS, TAXONOMY, rate

SYSTEMS = (FILM, BASE, ADAPTER, CONTROL)


def key_of(n_clips: int, seed: int = 0) -> TestKey:
    names = [f"clip{number}" for number in range(n_clips)]
    stimuli = order_stimuli(names, SYSTEMS, seed)
    return TestKey(
        {"systems": list(SYSTEMS)},
        tuple(
            KeyEntry(one.clip_id, one.name, f"film of {one.name}", one.system, -20.0, 0.0, "")
            for one in stimuli
        ),
    )


def rated(
    key: TestKey, n_raters: int, liking: dict[str, float], seed: int, only: int | None = None
) -> list[Annotation]:
    """Ratings with planted preferences; `only`: number of stimuli that the last rater rates."""
    found = []
    for rater in range(n_raters):
        mine = key.stimuli[:only] if rater == n_raters - 1 else key.stimuli
        for one in mine:
            answers = rate(one.name, one.system, rater, liking, seed)
            found.append(
                Annotation("listening", one.clip_id, f"a{rater + 1:02d}", TAXONOMY.version,
                           "answered", answers, "label-studio", "2026-01-01T00:00:00Z")
            )  # fmt: skip
    return found


def found_in(given: Results) -> set[tuple[str, str, str]]:
    return {(one.question, one.system, one.other) for one in given.differences if one.found}


def test_questions_are_a_taxonomy_whose_scales_share_no_keys() -> None:
    assert [one.name for one in TAXONOMY.questions] == list(QUESTIONS)
    assert all(one.answers == (1, 2, 3, 4, 5) for one in TAXONOMY.questions)
    assert TAXONOMY.version != taxonomies.bundled().version


def test_orders_are_balanced_and_random() -> None:
    stimuli = order_stimuli([f"clip{n}" for n in range(8)], SYSTEMS, 1)
    assert [one.clip_id for one in stimuli] == [f"{n:03d}" for n in range(1, 33)]
    rows = [stimuli[at : at + 4] for at in range(0, 32, 4)]
    assert all(len({one.name for one in row}) == 1 for row in rows)
    for place in range(4):
        heard = [row[place].system for row in rows]
        assert {system: heard.count(system) for system in SYSTEMS} == dict.fromkeys(SYSTEMS, 2)
    follows = [(row[at].system, row[at + 1].system) for row in rows for at in range(3)]
    assert {follows.count(pair) for pair in set(follows)} == {2}
    assert len(set(follows)) == 12
    assert order_stimuli([f"clip{n}" for n in range(8)], SYSTEMS, 1) == stimuli
    assert order_stimuli([f"clip{n}" for n in range(8)], SYSTEMS, 2) != stimuli


def test_a_planted_preference_is_found_and_nothing_else() -> None:
    liking = {FILM: 0.0, BASE: 0.0, ADAPTER: 1.3, CONTROL: 0.0}
    hits = np.zeros(2)
    for seed in range(12):
        key = key_of(16, seed)
        answers = rated(key, 3, liking, seed)
        seen = found_in(compute_results(key, answers, TAXONOMY, resamples=1000))
        wanted = {(q, ADAPTER, other) for q in QUESTIONS for other in (BASE, CONTROL, FILM)}
        hits += len(seen & wanted) / len(wanted), len(seen - wanted)
    power, false = hits / 12
    assert power > 0.9
    assert false < 0.2


def test_nothing_is_found_where_nothing_was_planted() -> None:
    """All 24 differences of a test together: at most 5 of 100 tests find one by chance."""
    wrong = 0
    for seed in range(40):
        key = key_of(12, seed)
        wrong += bool(
            found_in(compute_results(key, rated(key, 3, {}, seed), TAXONOMY, resamples=500))
        )
    assert wrong <= 2


@pytest.mark.parametrize(("n_clips", "n_raters"), [(10, 3), (20, 3), (20, 8)])
@pytest.mark.parametrize("of_clips", [0.0, 0.5])
def test_an_interval_misses_the_truth_in_at_most_about_5_of_100(
    n_clips: int, n_raters: int, of_clips: float
) -> None:
    """Also where some clips suit one system and others the other."""
    rng = np.random.default_rng(7)
    misses, n = 0, 400
    for _ in range(n):
        scores = rng.normal(0, of_clips, (n_clips, 1)) + rng.normal(0, 1.2, (n_clips, n_raters))
        found = estimate(scores, 500, rng)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        misses += not found.low <= 0 <= found.high
    assert 0.01 < misses / n < 0.07


@pytest.mark.parametrize(("n_films", "n_clips"), [(5, 6), (10, 4)])
def test_clips_of_one_film_are_not_counted_as_independent(n_films: int, n_clips: int) -> None:
    rng = np.random.default_rng(8)
    films = np.repeat(np.arange(n_films), n_clips)
    misses, narrow, n = 0, 0, 300
    for _ in range(n):
        scores = rng.normal(0, 0.7, n_films)[films][:, None] + rng.normal(0, 1, (len(films), 5))
        found = estimate(scores, 400, rng, films=films)
        over_clips = estimate(scores, 400, rng)
        misses += not found.low <= 0 <= found.high
        narrow += not over_clips.low <= 0 <= over_clips.high
        assert (found.n_films, found.n_clips) == (n_films, n_films * n_clips)
    assert 0.01 < misses / n < 0.09
    assert narrow / n > 0.2


def test_the_films_of_a_test_are_told_and_one_film_has_no_interval() -> None:
    key = key_of(8)
    of_two = TestKey(key.made_from, tuple(
        replace(entry, film_id=f"film {int(entry.name[4:]) % 2}") for entry in key.stimuli
    ))  # fmt: skip
    results = compute_results(of_two, rated(key, 3, {}, 1), TAXONOMY, resamples=200)
    assert any("of 2 films" in sentence for sentence in results.warnings)
    assert all(mean.estimate.n_films == 2 for mean in results.means)
    of_one = TestKey(key.made_from, tuple(replace(e, film_id="x") for e in key.stimuli))
    results = compute_results(of_one, rated(key, 3, {ADAPTER: 2.0}, 1), TAXONOMY, resamples=200)
    assert all(mean.estimate.low is None for mean in results.means)
    assert not any(difference.found for difference in results.differences)


def test_the_variance_is_that_of_repeated_tests() -> None:
    rng = np.random.default_rng(3)
    means, expected = [], []
    for _ in range(3000):
        scores = (
            rng.normal(0, 0.6, (15, 1)) + rng.normal(0, 0.4, (1, 6)) + rng.normal(0, 1, (15, 6))
        )
        means.append(scores.mean())
        expected.append(variance(scores))
    assert np.mean(expected) == pytest.approx(np.var(means), rel=0.1)


def test_raters_who_have_not_finished_and_answers_that_do_not_count() -> None:
    key = key_of(8)
    answers = rated(key, 3, {ADAPTER: 1.0}, 5, only=10)
    whole = compute_results(key, rated(key, 3, {ADAPTER: 1.0}, 5), TAXONOMY, resamples=500)
    part = compute_results(key, answers, TAXONOMY, resamples=500)
    assert part.facts["n_ratings"] == 2 * 32 + 10
    assert any("a03 has not finished: 10 of 32" in one for one in part.warnings)
    assert any("clips are few" in one for one in part.warnings)
    assert not any("finished" in one for one in whole.warnings)
    pairs = {(d.system, d.other): d.estimate.n for d in part.differences}
    assert all(16 <= n <= 19 for n in pairs.values())
    # Skipped, withdrawn, of another schema, or of a clip that is not in the test.
    more = [
        Annotation("listening", one.clip_id, "a09", schema, state, dict(one.answers), "x", "")
        for one in answers[:5]
        for state, schema in (("skipped", TAXONOMY.version), ("answered", "mood-1"))
    ]
    other = Annotation("listening", "999", "a08", TAXONOMY.version, "answered", {}, "x", "")
    again = compute_results(key, [*answers, *more, other], TAXONOMY, resamples=500)
    assert (again.means, again.differences) == (part.means, part.differences)
    assert [one.rater for one in again.raters] == ["a01", "a02", "a03", "a09"]
    nobody = compute_results(key, [], TAXONOMY)
    assert (nobody.means, nobody.differences) == ((), ())
    assert "there are no ratings yet." in nobody.warnings


def test_one_rater_and_one_clip() -> None:
    rng = np.random.default_rng(0)
    one_clip = estimate(np.array([[1.0, 2.0]]), 100, rng)
    assert one_clip is not None
    assert (one_clip.value, one_clip.low) == (1.5, None)
    one_rater = estimate(np.array([[1.0], [2.0], [4.0]]), 1000, rng)
    assert one_rater is not None
    assert one_rater.low is not None
    assert one_rater.low < 7 / 3
    equal = estimate(np.full((4, 3), 2.0), 100, rng)
    assert equal is not None
    assert (equal.low, equal.high) == (2.0, 2.0)
    assert estimate(np.full((2, 2), np.nan), 100, rng) is None
