"""Section `labels` of a recipe."""

from typing import Literal

from pydantic import Field

from ossl_builder.engine.settings import Settings


class LabelsSettings(Settings):
    """How labels are derived from annotations, and how agreement is computed."""

    rule: Literal["majority", "dawid_skene"] = Field(
        "dawid_skene", description="rule that decides a clip's quadrant"
    )
    min_annotators: int = Field(
        1, ge=1, le=100, description="a clip with fewer answers for the quadrant gets none"
    )
    smoothing: float = Field(
        10.0, ge=0, le=1000,
        description="Dawid-Skene: weight of the prior that an annotator is right 7 times in 10, "
        "in answers per quadrant; 0: no prior, the plain algorithm",
    )  # fmt: skip
    resamples: int = Field(
        1000, ge=0, le=100_000, description="bootstrap resamples for intervals of agreement"
    )
    seed: int = Field(0, ge=0, description="seed of the bootstrap")
    transfer_overlap: float = Field(
        0.9, gt=0.5, le=1,
        description="`label transfer`: intersection over union in film time from which a new clip "
        "counts as the deleted one",
    )  # fmt: skip
