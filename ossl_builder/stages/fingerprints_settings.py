"""Section `fingerprints` of a recipe."""

from pydantic import Field

from ossl_builder.stages.settings import Settings


class FingerprintsSettings(Settings):
    """How many hashes describe a clip: more find shorter shared stretches, and take more room."""

    audio_per_s: float = Field(
        2.0, ge=0, le=20, description="hashes of its music kept for each second of a clip"
    )
    picture_per_s: float = Field(
        1.5, ge=0, le=20, description="hashes of its pictures kept for each second of a clip"
    )
    fewest: int = Field(
        32, ge=1, le=1000, description="hashes of each kind kept of the shortest clip, if it has so"
    )
