"""Section `labels` of a recipe."""

from typing import Literal

from pydantic import Field

from ossl_builder.engine.settings import Settings


class LabelsSettings(Settings):
    """How labels follow from annotations, and how agreement is told."""

    rule: Literal["majority", "dawid_skene"] = Field(
        "dawid_skene", description="what decides a clip's quadrant"
    )
    min_annotators: int = Field(
        1, ge=1, le=100, description="a clip that fewer people gave a quadrant has none"
    )
    smoothing: float = Field(
        10.0, ge=0, le=1000,
        description="Dawid-Skene: how many answers per quadrant the belief is worth that a "
        "labeller is right 7 times in 10; 0: none, the plain algorithm",
    )  # fmt: skip
    resamples: int = Field(
        1000, ge=0, le=100_000, description="bootstrap resamples for intervals of agreement"
    )
    seed: int = Field(0, ge=0, description="seed of the bootstrap")
    carry_overlap: float = Field(
        0.9, gt=0.5, le=1,
        description="`label carry`: intersection over union in film time from which a new clip "
        "counts as the earlier one",
    )  # fmt: skip
