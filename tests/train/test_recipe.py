"""Training recipes: all load, every key is explained, all errors are reported at once."""

import json
from pathlib import Path

import pytest
import yaml
from ossl_train.recipe import FOLDER, TrainRecipe, load_train_recipe, names, on_device
from typer.testing import CliRunner

from ossl_builder.cli.main import app
from ossl_builder.config import all_settings
from ossl_builder.errors import OsslError


def test_the_three_recipes_exist() -> None:
    assert names() == ["paper_medium", "small", "tiny_cpu"]


@pytest.mark.parametrize("name", names())
def test_a_recipe_loads_and_survives_being_saved(name: str, tmp_path: Path) -> None:
    recipe = load_train_recipe(name)
    assert recipe.name == name
    saved = tmp_path / "resolved.yaml"
    saved.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    assert load_train_recipe(str(saved)) == recipe


def test_differences_of_our_recipe_from_that_of_the_paper() -> None:
    paper, ours = load_train_recipe("paper_medium"), load_train_recipe("small")
    assert (paper.model.positions, paper.features.pooling) == ("none", "all")
    assert (ours.model.positions, ours.features.pooling) == ("time", "time_slots")
    assert paper.fit.video_dropout == paper.fit.text_dropout == 0


def test_a_recipe_names_only_what_differs() -> None:
    defaults = {row["key"]: row["default"] for row in all_settings(TrainRecipe)}
    for name in names():
        sections = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
        for section, keys in sections.items():
            for key, value in keys.items() if isinstance(keys, dict) else ():
                assert value != defaults[f"{section}.{key}"], f"{section}.{key} in {name}"


def test_every_key_is_listed_with_its_value_and_its_meaning() -> None:
    command = ["train", "settings", "--recipe", "paper_medium", "--set", "fit.seed=7", "--json"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0
    rows = {row["key"]: row for row in json.loads(done.stdout)}
    assert set(rows) == {row["key"] for row in all_settings(TrainRecipe)}
    assert all(row["description"] for row in rows.values())
    assert rows["fit.seed"]["value"] == 7
    assert (rows["features.pooling"]["value"], rows["features.pooling"]["default"]) == (
        "all",
        "time_slots",
    )


def test_all_errors_are_reported_at_once() -> None:
    with pytest.raises(OsslError) as caught:
        load_train_recipe(
            "small", ["features.poolin=all", "windows.length_s=99", "fit.steps=x", "modle.source=a"]
        )
    assert caught.value.code == "recipe_invalid"
    for part in ("4 errors", "features.pooling?", "windows.length_s", "fit.steps", "modle"):
        assert part in caught.value.message


@pytest.mark.parametrize(
    ("name", "overrides", "code"),
    [
        ("smal", [], "recipe_unknown"),
        ("small", ["features=all"], "set_invalid"),
        ("small", ["name.x=1"], "recipe_invalid"),
    ],
)
def test_invalid_names_and_overrides_are_refused(
    name: str, overrides: list[str], code: str
) -> None:
    with pytest.raises(OsslError) as caught:
        load_train_recipe(name, overrides)
    assert caught.value.code == code


def test_one_device_for_all_sections() -> None:
    recipe = on_device(load_train_recipe("small"), "cuda")
    sections = (recipe.features, recipe.codes, recipe.prompts, recipe.fit)
    assert {section.device for section in sections} == {"cuda"}
    with pytest.raises(OsslError):
        on_device(recipe, "tpu")


@pytest.mark.parametrize(
    "text",
    [
        "fit: {steps: 1}\nfit: {steps: 2}\n",
        "fit: &f\n  steps: *f\n",
        "a: &a [x, x]\n" + "".join(f"b{at}: &a [*a, *a]\n" for at in range(24)),
    ],
)
def test_recipes_beyond_the_limits_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(OsslError) as caught:
        load_train_recipe(str(path))
    assert caught.value.code == "recipe_invalid"


def test_a_section_that_is_only_comments_has_its_defaults(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("fit:\n  # steps: 5\nmodel:\n")
    assert load_train_recipe(str(tmp_path / "mine.yaml")) == TrainRecipe(name="mine")
