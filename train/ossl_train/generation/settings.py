"""How music is to be generated."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ossl_builder.engine.freshness import UNSHAPING
from ossl_builder.stages.settings import Settings

LONGEST_S = 30.0
"""MusicGen was trained on 30 s; beyond that it has not learned to go on."""


class GenerateSettings(Settings):
    """What shapes generated music besides models, picture and prompt."""

    alpha: float = Field(
        1.0, ge=0, le=100, description="multiplies the adapter's gates; 0: the base model alone"
    )
    text_guidance: float = Field(3.0, ge=0, le=100, description="weight of the text")
    video_guidance: float = Field(1.0, ge=0, le=100, description="weight of the video")
    temperature: float = Field(1.0, ge=0, le=10, description="0: the most probable token")
    top_k: int = Field(250, ge=0, description="draw among so many tokens; 0: among all")
    window_s: float = Field(LONGEST_S, gt=0, le=LONGEST_S, description="length of a window, s")
    overlap_s: float = Field(
        10.0, ge=0, lt=LONGEST_S, description="of a window with the one before it, s"
    )
    precision: Literal["fp32", "bf16"] = Field("fp32", description="of the language model")
    batch_size: int = Field(
        1, ge=1, le=1024, description="samples drawn at a time", json_schema_extra=UNSHAPING
    )
