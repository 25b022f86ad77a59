"""Section `scenes` of a recipe."""

from pydantic import Field

from ossl_builder.stages.settings import Settings


class ScenesSettings(Settings):
    """How scenes are found."""

    threshold: float = Field(
        default=3.0,
        ge=1,
        le=100,
        description="AdaptiveDetector's adaptive threshold: by how much a cut changes the picture "
        "more than what surrounds it does; lower finds more cuts",
    )
    min_scene_s: float = Field(
        default=0.3,
        ge=0.1,
        le=10,
        description="shortest scene, in seconds; what changes the picture for less is a flash",
    )
    dissolve_tolerance: float = Field(
        default=0.285,
        ge=0,
        le=1,
        description="how far from a linear blend a dissolve may be; higher finds more dissolves, "
        "and takes more movement for one; 0 finds none",
    )
    black_level: float = Field(
        default=32.0,
        ge=1,
        le=128,
        description="brightness (0 to 255) that a black picture nowhere reaches",
    )
    thumbnail_width: int = Field(
        default=320, ge=32, le=1920, description="width of the thumbnails, in pixels"
    )
