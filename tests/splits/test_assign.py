"""Split assignment of 200 made-up films with planted duplicates, and of later changes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ossl_builder.errors import OsslError
from ossl_builder.splits.assign import (
    SplitPlan,
    assign_films,
    load_record,
    record_path,
    save_record,
)
from ossl_builder.splits.settings import SplitsSettings
from ossl_builder.tables import SPLITS, Split
from tests.fingerprint_corpus import FilmSpec, write_corpus

SETTINGS = SplitsSettings()


def films(count: int, first: int = 0) -> list[FilmSpec]:
    """Films of all moods and lengths; every tenth shares a clip with the one before it."""
    rng = np.random.default_rng(first)
    made = []
    for number in range(first, first + count):
        shares = {}
        if number % 10 == 9:
            shares = {0: (f"f{number - 1:03d}", 1, "audio" if number % 20 == 9 else "video")}
        made.append(
            FilmSpec(
                f"f{number:03d}",
                tuple(rng.uniform(10, 12, 3) * rng.choice([1, 3, 6])),
                rng.choice(["Q1", "Q2", "Q3", "Q4"], p=[0.4, 0.3, 0.2, 0.1]),
                shares,
            )
        )
    return made


def assigned(corpus: Path, made: list[FilmSpec], settings: SplitsSettings = SETTINGS) -> SplitPlan:
    """Write the corpus, assign splits, keep the record."""
    write_corpus(corpus, made)
    found = assign_films(corpus, settings)
    SPLITS.validate(found.rows)
    save_record(corpus, found.record)
    return found


def splits(found: SplitPlan) -> dict[str, str | None]:
    return {row.film_id: row.split for row in found.rows}


def points_off(rows: tuple[Split, ...], stratum: str) -> float:
    """Largest difference, in percentage points, of a stratum's share in a split and in total."""
    whole = Counter(getattr(row, stratum) for row in rows)
    worst = 0.0
    for split in ("train", "validation", "test"):
        there = [row for row in rows if row.split == split]
        parts = Counter(getattr(row, stratum) for row in there)
        for value, count in whole.items():
            worst = max(worst, abs(parts[value] / len(there) - count / len(rows)))
    return 100 * worst


def test_200_films_are_assigned_without_leaks_in_even_strata(tmp_path: Path) -> None:
    found = assigned(tmp_path, films(200))
    on = splits(found)
    assert len(found.matches) == 20
    assert {match.kind for match in found.matches} == {"audio", "video"}
    for match in found.matches:
        assert on[match.film_a] == on[match.film_b]
    assert not found.leaks
    counts = Counter(on.values())
    assert counts == {"train": 160, "validation": 20, "test": 20}
    assert points_off(found.rows, "quadrant") <= 5
    assert points_off(found.rows, "length") <= 5
    strata = [replace(row, length=f"{row.quadrant} {row.length}") for row in found.rows]
    assert points_off(tuple(strata), "length") <= 5
    assert assign_films(tmp_path, SETTINGS).rows == found.rows  # from the stored record


@pytest.mark.parametrize("seed", range(1, 6))
def test_strata_are_even_for_every_seed(tmp_path: Path, seed: int) -> None:
    found = assigned(tmp_path, films(200), SplitsSettings(seed=seed))
    assert points_off(found.rows, "quadrant") <= 5
    assert points_off(found.rows, "length") <= 5


def test_films_keep_their_split_when_others_are_added_or_removed(tmp_path: Path) -> None:
    before = splits(assigned(tmp_path, films(200)))
    more = films(20, first=200)
    more[3] = replace(more[3], shares={1: ("f007", 2, "video")})
    found = assigned(tmp_path, [*films(200), *more])
    after = splits(found)
    assert {film: after[film] for film in before} == before
    assert set(found.new) == after.keys() - before.keys()
    assert after["f203"] == before["f007"]
    assert "f007 and f203 share video" in next(r.why for r in found.rows if r.film_id == "f203")
    assert not found.leaks
    assert points_off(found.rows, "quadrant") <= 5
    fewer = [*films(200)[:100], *more]
    assert splits(assigned(tmp_path, fewer)) == {
        film.film_id: after[film.film_id] for film in fewer
    }
    assert splits(assigned(tmp_path, [*films(200), *more])) == after


def test_a_film_that_matches_two_splits_is_left_out(tmp_path: Path) -> None:
    before = splits(assigned(tmp_path, films(50)))
    train = next(film for film, split in before.items() if split == "train")
    test = next(film for film, split in before.items() if split == "test")
    torn = FilmSpec("torn", shares={0: (train, 0, "audio"), 1: (test, 1, "video")})
    friend = FilmSpec("friend", shares={0: ("torn", 1, "audio")})
    bridge = [
        FilmSpec("left", shares={0: (train, 2, "audio"), 1: ("right", 1, "audio")}),
        FilmSpec("right", shares={0: (test, 2, "audio")}),
    ]
    found = assigned(tmp_path, [*films(50), torn, friend, *bridge])
    after = splits(found)
    assert after["torn"] is None
    assert after["left"] is None  # each matches one split only, but they match each other
    assert after["right"] is None
    assert after["friend"] is not None  # what it shares is in no split
    why = next(row.why for row in found.rows if row.film_id == "torn")
    assert train in why
    assert test in why
    assert not found.leaks
    assert "torn" not in load_record(tmp_path).films
    # Without the film that it matches in one split, it can be in the other one.
    rest = [film for film in films(50) if film.film_id != train]
    torn = replace(torn, shares={1: (test, 1, "video")})
    assert splits(assigned(tmp_path, [*rest, torn]))["torn"] == "test"


def test_changed_ratios_and_seed_apply_to_new_films_only(tmp_path: Path) -> None:
    before = splits(assigned(tmp_path, films(40)))
    changed = SplitsSettings(train=0.5, validation=0.0, test=0.5, seed=7)
    found = assigned(tmp_path, films(80), changed)
    after = splits(found)
    assert {film: after[film] for film in before} == before
    assert Counter(before.values())["test"] == 4
    assert Counter(after.values())["test"] >= 34  # 40 would be half
    assert [note.split(" ")[1] for note in found.notes] == ["ratios", "seed"]
    assert not assigned(tmp_path, films(80), changed).notes


@pytest.mark.parametrize("at_once", [True, False])
def test_three_films_are_enough_for_three_splits(tmp_path: Path, at_once: bool) -> None:
    made = [FilmSpec("a"), FilmSpec("b"), FilmSpec("c")]
    for count in (3,) if at_once else (1, 2, 3):
        found = assigned(tmp_path, made[:count])
    assert sorted(filter(None, splits(found).values())) == ["test", "train", "validation"]


def test_a_later_match_of_assigned_films_is_a_leak_until_one_is_forgotten(
    tmp_path: Path,
) -> None:
    made = films(30)
    before = splits(assigned(tmp_path, made))
    train = next(film for film, split in before.items() if split == "train")
    number = next(i for i, film in enumerate(made) if before[film.film_id] == "test")
    test = made[number].film_id
    made[number] = replace(made[number], shares={2: (train, 0, "audio")})
    found = assigned(tmp_path, made)
    assert splits(found) == before
    ((leak),) = found.leaks
    assert {leak.film_a, leak.film_b} == {train, test}
    mended = assign_films(tmp_path, SETTINGS, forget={test})
    assert not mended.leaks
    assert splits(mended)[test] == "train"


def test_a_film_without_fingerprints_is_reported_and_assigned(tmp_path: Path) -> None:
    write_corpus(tmp_path, films(5))
    (tmp_path / "manifests/fingerprints.parquet").unlink()
    found = assign_films(tmp_path, SETTINGS)
    assert "5 films have no fingerprints" in found.notes[0]
    assert None not in splits(found).values()


def test_a_damaged_record_is_an_error(tmp_path: Path) -> None:
    assigned(tmp_path, films(3))
    record_path(tmp_path).write_text('{"version": 2, "films": {"f000": {"split": "dev"}}}')
    with pytest.raises(OsslError) as caught:
        assign_films(tmp_path, SETTINGS)
    assert caught.value.code == "splits_record_damaged"


def test_ratios_must_add_up() -> None:
    with pytest.raises(ValueError, match="add up to 1"):
        SplitsSettings(train=0.9)
