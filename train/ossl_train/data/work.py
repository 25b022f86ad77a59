"""What each stage of the stores is told: parts of the recipe that shape its result, and others.

A model is told by where it lies, which shapes nothing; that it is the same one is seen by the
fingerprint that the stage's `tools` give.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ossl_builder.engine.freshness import UNSHAPING
from ossl_builder.stages.settings import Settings
from ossl_train.recipe import Device, TrainRecipe, WindowsSettings


class _Windowed(Settings):
    length_s: float = Field(30.0, description="length of a window, s")
    shortest_s: float = Field(2.0, description="shortest window, s")

    @property
    def windows(self) -> WindowsSettings:
        """How clips are cut."""
        return WindowsSettings(length_s=self.length_s, shortest_s=self.shortest_s)


class FeaturesWork(_Windowed):
    """What the stage is told: the recipe's `features` and `windows`."""

    encoder: str = Field("", description="ViViT", json_schema_extra=UNSHAPING)
    revision: str = Field("main", description="on the hub", json_schema_extra=UNSHAPING)
    pooling: Literal["all", "time_slots"] = Field("time_slots", description="which tokens")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="of the encoder")
    batch_size: int = Field(4, description="windows at a time", json_schema_extra=UNSHAPING)
    workers: int = Field(2, description="clips at a time", json_schema_extra=UNSHAPING)
    device: Device = Field("auto", description="of the encoder", json_schema_extra=UNSHAPING)


class CodesWork(_Windowed):
    """The recipe's `codes` and `windows`, and whose EnCodec."""

    source: str = Field("", description="MusicGen", json_schema_extra=UNSHAPING)
    backbone: str = Field("audiocraft", description="of MusicGen", json_schema_extra=UNSHAPING)
    silent_dbfs: float = Field(-72.0, description="windows below are silent, dBFS")
    device: Device = Field("auto", description="of EnCodec", json_schema_extra=UNSHAPING)


class TextWork(Settings):
    """The recipe's `prompts`, and whose T5."""

    source: str = Field("", description="MusicGen", json_schema_extra=UNSHAPING)
    backbone: str = Field("audiocraft", description="of MusicGen", json_schema_extra=UNSHAPING)
    device: Device = Field("auto", description="of T5", json_schema_extra=UNSHAPING)


def features_work(recipe: TrainRecipe) -> FeaturesWork:
    """What the stage is told by a recipe."""
    return FeaturesWork(**recipe.features.model_dump(), **recipe.windows.model_dump())


def codes_work(recipe: TrainRecipe) -> CodesWork:
    """What the stage is told by a recipe."""
    return CodesWork(
        source=recipe.model.source,
        backbone=recipe.model.backbone,
        **recipe.codes.model_dump(),
        **recipe.windows.model_dump(),
    )


def text_work(recipe: TrainRecipe) -> TextWork:
    """What the stage is told by a recipe; prompts are in what it reads."""
    return TextWork(
        source=recipe.model.source,
        backbone=recipe.model.backbone,
        device=recipe.prompts.device,
    )
