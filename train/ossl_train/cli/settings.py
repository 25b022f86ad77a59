"""`ossl train settings`: every key of a training recipe."""

from __future__ import annotations

import typer

from ossl_builder.cli import output
from ossl_train.cli import options

EXAMPLE = "Example: ossl train settings --recipe paper_medium"


def settings(
    context: typer.Context,
    recipe: options.RecipeName = "small",
    overrides: options.Set = None,
    json: options.AsJson = False,
) -> None:
    """List every key of a training recipe with its value, its default and its meaning."""
    from ossl_builder.config import all_settings
    from ossl_train.recipe import TrainRecipe, load_train_recipe

    resolved = load_train_recipe(recipe, overrides or ()).model_dump(mode="json")
    rows = []
    for entry in all_settings(TrainRecipe):
        section, key = entry["key"].split(".")
        rows.append({"key": entry["key"], "value": resolved[section][key]} | entry)
    output.emit(
        rows, json, lambda rows: output.rows(rows, ("key", "value", "default", "description"))
    )
