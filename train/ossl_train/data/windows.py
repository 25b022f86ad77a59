"""Windows: the segments of a clip that the model learns from, and the settings that shape them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from ossl_builder.engine.cache import UNSHAPING
from ossl_builder.engine.settings import Settings
from ossl_builder.errors import OsslError
from ossl_builder.tables import Clip
from ossl_train.recipe import Device, TrainRecipe, WindowsSettings


@dataclass(frozen=True)
class Window:
    """A stretch of a clip.

    Attributes:
        film_id, clip_id: of which clip.
        split: `train`, `validation` or `test`.
        index: its number within the clip, from 0.
        start_s: where it begins, in seconds after the clip's first video.
        duration_s: its length in seconds without padding.
    """

    film_id: str
    clip_id: str
    split: str
    index: int
    start_s: float
    duration_s: float


@dataclass(frozen=True)
class WindowSpan:
    """Where a window lies in its clip; times in seconds after the clip's first video."""

    index: int
    start_s: float
    duration_s: float

    @property
    def end_s(self) -> float:
        """Where it ends."""
        return self.start_s + self.duration_s


def window_spans(clip: Clip, settings: WindowsSettings) -> tuple[WindowSpan, ...]:
    """A clip's windows, one after the other.

    The last one is as long as what remains, and left out where that is shorter than `shortest_s`;
    so is the whole of a clip that is.

    Raises:
        OsslError: `windows_invalid`, if the shortest window is longer than the window.
    """
    if settings.shortest_s > settings.length_s:
        raise OsslError(
            "windows_invalid",
            f"windows.shortest_s ({settings.shortest_s}) is more than windows.length_s "
            f"({settings.length_s}).",
            "Set windows.shortest_s to less.",
        )
    found: list[WindowSpan] = []
    while True:
        start_s = len(found) * settings.length_s
        duration_s = min(settings.length_s, clip.duration_s - start_s)
        # Half a sample: a clip of 60 s may say 59.99999.
        if duration_s < settings.shortest_s - 0.5 / clip.sample_rate:
            return tuple(found)
        found.append(WindowSpan(len(found), start_s, duration_s))


def total_s(clips: Sequence[Clip], settings: WindowsSettings) -> float:
    """Length of all windows of some clips together, in seconds."""
    return sum(one.duration_s for clip in clips for one in window_spans(clip, settings))


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
