"""Section `cues` of a recipe."""

from typing import Literal

from pydantic import Field

from ossl_builder.stages.settings import Settings


class CuesSettings(Settings):
    """What counts as music, and where it begins and ends."""

    rule: Literal["loudness"] = Field("loudness", description="how cues are found")
    on_lu: float = Field(
        20.0, ge=0, le=60, description="music is sure down to this far below the film's music, LU"
    )
    off_lu: float = Field(
        32.0, ge=0, le=60, description="around sure music, it goes on down to this far below, LU"
    )
    gate_lufs: float = Field(
        -60.0, ge=-110, le=0, description="nothing quieter is music, LUFS momentary"
    )
    noise_lu: float = Field(
        4.0, ge=0, le=40, description="sure music is this far above steady noise, LU; half at edges"
    )
    on_share: float = Field(
        0.08, ge=0, le=1, description="least share of sure music in the energy of all stems"
    )
    off_share: float = Field(0.03, ge=0, le=1, description="least share of music around sure music")
    sure_s: float = Field(
        1.0, ge=0, le=60, description="least sure music, in all, that makes a cue, s"
    )
    bridge_s: float = Field(
        3.0, ge=0, le=60, description="shorter gaps in music do not end a cue, s"
    )
    min_s: float = Field(3.0, ge=0.1, le=600, description="shorter music is no cue, s")
    dialogue_lu: float = Field(
        15.0, ge=0, le=60,
        description="dialogue is heard down to this far below the film's dialogue, and below the "
        "music, LU",
    )  # fmt: skip
