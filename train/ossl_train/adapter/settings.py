"""Section `model` of a training recipe."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ossl_builder.engine.settings import Settings


class ModelSettings(Settings):
    """Section `model` of a training recipe: the frozen MusicGen, and the adapter on it."""

    source: str = Field(
        "facebook/musicgen-small",
        description="name on the hub, `small`, `medium`, `large`, a local folder, or `tiny`",
    )
    backbone: Literal["audiocraft", "transformers"] = Field(
        "transformers", description="the package that runs it; one adapter file fits both"
    )
    alpha_init: float = Field(0.0, description="gate of each layer at the start; 0: the base model")
    positions: Literal["none", "time"] = Field(
        "time",
        description="time: add the position of its time to each video token; none: as in the paper",
    )
    rank: int = Field(
        0,
        ge=0,
        le=4096,
        description="rank of the attention's four projections, for a smaller adapter; 0: full rank",
    )
    null_tokens: int = Field(
        8,
        ge=1,
        le=1024,
        description="learned tokens for `no video`, used if fit.video_dropout is above 0",
    )
    dialogue: bool = Field(
        False, description="modulate video tokens by the dialogue's loudness and energy (OSSL v2)"
    )
    events: bool = Field(
        False,
        description="modulate video tokens by curves of cuts, motion and the dialogue's loudness; "
        "needs features.events",
    )
    reference_positions: bool = Field(
        False, description="imitate the position error of the paper's code, to load its adapters"
    )
