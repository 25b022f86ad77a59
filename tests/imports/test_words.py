"""Valid ids from the names in a release, and quadrants from its mood words."""

from __future__ import annotations

import pytest

from ossl_builder.imports.release_format import CLIP, FILM, valid_ids
from ossl_builder.imports.rows import quadrant_of, words_of_quadrants
from ossl_builder.tables import checked_film_id


def test_ids_are_valid_and_unique() -> None:
    names = ["AA", "his_girl", "his-girl", "his girl", "a" * 70, "...", "Ünder", "tt0001"]
    found = valid_ids({name: name for name in names}, FILM)
    assert [found[name] for name in ("AA", "tt0001", "his-girl")] == ["AA", "tt0001", "his-girl"]
    assert len({*found.values()}) == len(names)
    assert all(checked_film_id(film_id) for film_id in found.values())
    assert found == valid_ids({name: name for name in reversed(names)}, FILM)
    # Clip names of two films may become equal when the film name is put in front.
    clips = valid_ids({("a", "b_c"): "a_b_c", ("a_b", "c"): "a_b_c"}, CLIP)
    assert clips[("a", "b_c")] == "a_b_c"
    assert len({*clips.values()}) == 2


@pytest.mark.parametrize(
    ("mood", "quadrant"),
    [
        ("Q3", "Q3"), ("happy, excited", "Q1"), ("Relaxed/tender", "Q4"), ("sad & gloomy", "Q3"),
        ("at ease", "Q4"), ("happy, sad", None), ("bittersweet", None), ("happy, epic", None),
        ("aroused", None), (",", None),
    ],
)  # fmt: skip
def test_a_quadrant_needs_all_words_to_agree(mood: str, quadrant: str | None) -> None:
    assert quadrant_of(mood, words_of_quadrants()) == quadrant
