"""A training recipe: one YAML file into frozen typed settings; defaults stand only there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from ossl_builder.config import override, read_yaml, validated
from ossl_builder.engine.cache import UNSHAPING
from ossl_builder.engine.settings import Settings
from ossl_builder.errors import OsslError
from ossl_train.training.settings import FitSettings

FOLDER = Path(__file__).parent / "recipes"
TINY = "tiny"
"""As a model's or an encoder's name: the tiny random one of `tiny.py`, made where it is needed."""

Device = Literal["auto", "cpu", "cuda"]


class ModelSettings(Settings):
    """The frozen MusicGen, and the adapter beside it."""

    source: str = Field(
        "facebook/musicgen-small",
        description="name on the hub, `small`, `medium`, `large`, a local folder, or `tiny`",
    )
    backbone: Literal["audiocraft", "transformers"] = Field(
        "audiocraft", description="the program that runs it; one adapter file fits both"
    )
    alpha_init: float = Field(0.0, description="gate of each layer at the start; 0: the base model")
    positions: Literal["none", "time"] = Field(
        "time", description="time: video tokens know when they are; none: as in the paper"
    )
    dialogue: bool = Field(
        False, description="modulate video tokens by the dialogue's loudness and energy (OSSL v2)"
    )
    reference_positions: bool = Field(
        False, description="imitate the position fault of the paper's code, to load its adapters"
    )


class WindowsSettings(Settings):
    """How clips are cut into the windows that are learned from."""

    length_s: float = Field(30.0, gt=0, le=30, description="length of a window, s")
    shortest_s: float = Field(
        2.0, gt=0, le=30, description="a clip, or the rest of one, shorter than this is left out, s"
    )


class FeaturesSettings(Settings):
    """What the adapter sees of the video."""

    encoder: str = Field(
        "google/vivit-b-16x2-kinetics400",
        description="ViViT by its name on the hub, a local folder, or `tiny`",
    )
    revision: str = Field("main", description="revision on the hub")
    pooling: Literal["all", "time_slots"] = Field(
        "time_slots",
        description="all: every token; time_slots: the class token and each slot's mean",
    )
    precision: Literal["fp32", "bf16"] = Field("fp32", description="of the encoder's arithmetic")
    batch_size: int = Field(
        4, ge=1, le=256, description="windows encoded at a time", json_schema_extra=UNSHAPING
    )
    workers: int = Field(
        2, ge=1, le=256, description="clips decoded at a time", json_schema_extra=UNSHAPING
    )
    device: Device = Field(
        "auto", description="where the encoder runs", json_schema_extra=UNSHAPING
    )


class CodesSettings(Settings):
    """What the model is to learn: EnCodec codes of the music, its loudness kept."""

    silent_dbfs: float = Field(
        -72.0, ge=-200, le=0,
        description="a window whose music nowhere peaks above this is silent and left out, dBFS",
    )  # fmt: skip
    device: Device = Field("auto", description="where EnCodec runs", json_schema_extra=UNSHAPING)


class PromptsSettings(Settings):
    """What the model is told in words."""

    use_labels: bool = Field(
        True, description="take mood and caption from the labels table; false: one prompt for all"
    )
    use_captions: bool = Field(True, description="captions, where there are any, follow the mood")
    unlabelled: Literal["keep", "leave_out"] = Field(
        "keep", description="clips without a mood: keep them with a prompt that names none"
    )
    device: Device = Field("auto", description="where T5 runs", json_schema_extra=UNSHAPING)


class TrainRecipe(BaseModel):
    """Everything that can be set about a training."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(description="names the folder of its results")
    model: ModelSettings = ModelSettings()
    windows: WindowsSettings = WindowsSettings()
    features: FeaturesSettings = FeaturesSettings()
    codes: CodesSettings = CodesSettings()
    prompts: PromptsSettings = PromptsSettings()
    fit: FitSettings = FitSettings()


def names() -> list[str]:
    """The recipes that come with the program."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_train_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> TrainRecipe:
    """Read a training recipe.

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
    hint = f"{FOLDER / 'small.yaml'} says what each key means."
    return validated(TrainRecipe, data, path.name, hint)


def on_device(recipe: TrainRecipe, device: str | None) -> TrainRecipe:
    """The recipe with every part of it on one device; None: as it is.

    Raises:
        OsslError: `device_unknown`.
    """
    if device is None:
        return recipe
    if device not in get_args(Device):
        known = ", ".join(get_args(Device))
        raise OsslError("device_unknown", f"{device!r} is no device.", f"Use one of {known}.")
    sections = {
        name: getattr(recipe, name).model_copy(update={"device": device})
        for name in ("features", "codes", "prompts", "fit")
    }
    return recipe.model_copy(update=sections)
