"""A training recipe: one YAML file into frozen typed settings; each part declares its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, ConfigDict, Field

from ossl_builder.config import override, read_yaml, validated
from ossl_builder.errors import OsslError
from ossl_train.adapter.settings import ModelSettings
from ossl_train.data.codes import CodesSettings, PromptsSettings
from ossl_train.data.features import FeaturesSettings
from ossl_train.data.windows import WindowsSettings
from ossl_train.training.settings import FitSettings

FOLDER = Path(__file__).parent / "recipes"


class TrainRecipe(BaseModel):
    """All settings of a training, one section per part."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(description="names the folder of its results")
    model: ModelSettings = ModelSettings()
    windows: WindowsSettings = WindowsSettings()
    features: FeaturesSettings = FeaturesSettings()
    codes: CodesSettings = CodesSettings()
    prompts: PromptsSettings = PromptsSettings()
    fit: FitSettings = FitSettings()


def names() -> list[str]:
    """Return the names of the recipes that come with the program."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_train_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> TrainRecipe:
    """Read and check a training recipe.

    Args:
        name_or_path: one of `names()`, or a YAML file; a file without `name` is named by itself.
        overrides: texts `section.key=value`, the value in YAML, as given by `--set`.

    Raises:
        OsslError: `recipe_unknown`; `recipe_invalid`, with every error and its key; `set_invalid`.
    """
    path = FOLDER / f"{name_or_path}.yaml" if name_or_path in names() else Path(name_or_path)
    if not path.is_file():
        raise OsslError(
            "recipe_unknown",
            f"There is no recipe {name_or_path!r}.",
            f"Use {', '.join(names())}, or the path of a YAML file.",
        )
    data = {"name": path.stem, **read_yaml(path)}
    for text in overrides:
        override(data, text)
    return validated(TrainRecipe, data, path.name, "`ossl train settings` explains each key.")


def on_device(recipe: TrainRecipe, device: str | None) -> TrainRecipe:
    """Return the recipe with one device for all of its parts; None: unchanged.

    Raises:
        OsslError: `device_unknown`.
    """
    if device is None:
        return recipe
    allowed = get_args(FitSettings.model_fields["device"].annotation)
    if device not in allowed:
        raise OsslError(
            "device_unknown", f"{device!r} is not a device.", f"Use one of {', '.join(allowed)}."
        )
    sections = {
        name: getattr(recipe, name).model_copy(update={"device": device})
        for name in ("features", "codes", "prompts", "fit")
    }
    return recipe.model_copy(update=sections)
