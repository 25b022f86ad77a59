"""The recipes that come with the program: they load, and each setting has its source."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ossl_builder import corpus
from ossl_builder.config import load_recipe, recipe_named
from ossl_builder.demo import corpus as demo_corpus
from ossl_builder.errors import OsslError
from ossl_builder.imports import import_release
from tests.e2e.corpora import Ossl


@pytest.mark.parametrize("name", ["ossl-v1", "ossl-v2"])
def test_a_recipe_loads_and_every_setting_has_its_source(name: str) -> None:
    path = recipe_named(name)
    load_recipe(path)
    source = ""
    for line in path.read_text().splitlines():
        stripped = line.strip()
        if not stripped:
            source = ""
        elif stripped.startswith("#"):
            source += stripped
        elif line.startswith("  "):
            assert "aper" in source or "ot known" in source, f"{line!r} does not say why"


TEXTS = {
    "init": corpus.FIRST_RECIPE,
    "import": import_release.FIRST_RECIPE,
    "demo": demo_corpus.RECIPE_TEXT,
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_recipe_file_loads_with_and_without_its_examples(tmp_path: Path, name: str) -> None:
    """Also with all its examples uncommented."""
    path = tmp_path / "ossl.yaml"
    path.write_text(TEXTS[name])
    load_recipe(path)
    example = re.sub(r"^# ( *\w+:( .*)?)$", r"\1", TEXTS[name], flags=re.MULTILINE)
    path.write_text(example)
    load_recipe(path)
    if name != "demo":
        assert example != TEXTS[name]
    sections = re.findall(r"\b(?:Sections|sections)\b[^:]*: ([\w, ]+)\.", TEXTS[name])
    assert not sections, "sections are named where nothing checks that there are such"


def test_the_recipes_of_the_published_corpora() -> None:
    first, second = (load_recipe(recipe_named(name)) for name in ("ossl-v1", "ossl-v2"))
    assert (first.cues.rule, first.labels.rule) == ("soundtrack", "majority")
    assert second.cues.rule == "tagger"
    assert (second.cues.min_s, second.clips.min_s, second.cues.tagger_max_other) == (10, 10, 0.05)
    assert (second.splits.train, second.splits.test, second.clips.snap_s) == (0.9, 0.1, 0)


def test_init_writes_a_recipe(ossl: Ossl, tmp_path: Path) -> None:
    ossl("init", tmp_path / "named", "--recipe", "ossl-v2")
    text = (tmp_path / "named/ossl.yaml").read_text()
    assert text == recipe_named("ossl-v2").read_text()
    (tmp_path / "own.yaml").write_text("clips: {min_s: 12}\n")
    ossl("init", tmp_path / "own", "--recipe", tmp_path / "own.yaml")
    assert load_recipe(tmp_path / "own/ossl.yaml").clips.min_s == 12
    (tmp_path / "wrong.yaml").write_text("clips: {minimum: 12}\n")
    errors = ossl("init", tmp_path / "wrong", "--recipe", tmp_path / "wrong.yaml", code=1).stderr
    assert "clips.minimum: unknown key" in errors
    assert not (tmp_path / "wrong").exists()
    assert "ossl-v1, ossl-v2" in ossl("init", tmp_path / "x", "--recipe", "v3", code=1).stderr


def test_an_unknown_recipe_is_refused() -> None:
    with pytest.raises(OsslError) as caught:
        recipe_named("ossl-v3")
    assert caught.value.code == "recipe_unknown"
