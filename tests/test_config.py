"""The recipe: defaults in one place, unknown keys refused, all errors at once."""

import os
from pathlib import Path

import pytest

from ossl_builder.config import FullRecipe, Recipe, all_settings, load_recipe
from ossl_builder.errors import OsslError


def recipe(folder: Path, text: str, *overrides: str) -> Recipe:
    path = folder / "ossl.yaml"
    path.write_text(text)
    return load_recipe(path, overrides)


def test_an_empty_recipe_has_the_defaults(tmp_path: Path) -> None:
    assert recipe(tmp_path, "") == FullRecipe()


def test_settings_come_from_the_file_and_then_from_set(tmp_path: Path) -> None:
    found = recipe(tmp_path, "clips: {min_s: 12}\nstems:\n  model: bundled\n", "clips.min_s=15")
    assert (found.clips.min_s, found.stems.model) == (15.0, "bundled")


def test_all_errors_are_reported_at_once_with_their_keys(tmp_path: Path) -> None:
    text = "scenes: {treshold: 3}\nclips: {min_s: long}\nsteams: {}\n"
    with pytest.raises(OsslError) as caught:
        recipe(tmp_path, text)
    assert caught.value.code == "recipe_invalid"
    message = caught.value.message
    assert "ossl.yaml has 3 errors" in message
    assert "scenes.treshold: unknown key (did you mean scenes.threshold?)" in message
    assert "clips.min_s: input should be a valid number, not 'long'" in message
    assert "steams: unknown key (did you mean stems?)" in message


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: [", "recipe_invalid"),
        ("- 1\n", "recipe_invalid"),
        ("version: 7\n", "corpus_version"),
        ("version: one\n", "recipe_invalid"),
    ],
)
def test_a_recipe_of_another_version_is_refused(tmp_path: Path, text: str, code: str) -> None:
    with pytest.raises(OsslError) as caught:
        recipe(tmp_path, text)
    assert caught.value.code == code


def test_a_section_that_is_only_comments_has_its_defaults(tmp_path: Path) -> None:
    text = "stems:\n  # model: bundled\nclips:\n  min_s: 12\nlabels:\n"
    found = recipe(tmp_path, text)
    assert (found.stems, found.labels) == (FullRecipe().stems, FullRecipe().labels)
    assert found.clips.min_s == 12


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("clips:\n  min_s: 3\nclips:\n  max_s: 100\n", "clips"),
        ("clips:\n  min_s: 3\n  min_s: 4\n", "min_s"),
        ("version: 1\nstems: &s\n  roles: *s\n", "contains itself"),
        ("clips: {min_s: " + "9" * 100_000 + "}", "digits"),
        ("clips: {min_s: " + "x" * 100_000 + "}", "min_s"),
        ("? " + "k" * 100_000 + "\n: 1", "kkk"),
        ("\n".join(f"k{at}: 1" for at in range(10_000)), "10000 errors"),
        ("2026-01-01: 1", "no text"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [" + "*b, " * 400 + "]", "aliases"),
    ],
)
def test_malicious_recipes_are_refused_with_a_short_message(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(OsslError) as caught:
        recipe(tmp_path, text)
    assert caught.value.code == "recipe_invalid"
    assert told in caught.value.message
    assert len(caught.value.message) < 4_000


def test_a_recipe_that_is_not_a_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ossl.yaml")
    with pytest.raises(OsslError) as caught:
        load_recipe(tmp_path / "ossl.yaml")
    assert caught.value.code == "recipe_invalid"


@pytest.mark.parametrize(
    "override", ["clips", "clips.min_s", "=3", ".x=3", "clips.=3", "a.b=[", "a.b=&x [*x]"]
)
def test_an_invalid_set_option_is_refused(tmp_path: Path, override: str) -> None:
    with pytest.raises(OsslError) as caught:
        recipe(tmp_path, "", override)
    assert caught.value.code == "set_invalid"


def test_every_setting_is_described() -> None:
    entries = all_settings()
    assert {entry["key"].split(".")[0] for entry in entries} == {
        "fetch", "scenes", "stems", "cues", "clips", "fingerprints", "labels", "splits"
    }  # fmt: skip
    assert [entry["key"] for entry in entries if not entry["description"]] == []
