"""Section `splits` of a recipe."""

from __future__ import annotations

from pydantic import Field, model_validator

from ossl_builder.engine.settings import Settings


class SplitsSettings(Settings):
    """How films are divided; changed ratios and seeds hold for films not assigned yet."""

    train: float = Field(0.8, ge=0, le=1, description="part of the films for training")
    validation: float = Field(0.1, ge=0, le=1, description="part of the films for validation")
    test: float = Field(0.1, ge=0, le=1, description="part of the films for testing")
    seed: int = Field(0, ge=0, description="decides between films that are alike")
    min_shared: float = Field(
        3.0,
        ge=1,
        description="from so many shared hashes on two clips share material; those of more than "
        "two films weigh less",
    )
    common_films: int = Field(
        20,
        ge=2,
        description="what more films than these share (a studio's emblem) is no shared material",
    )

    @model_validator(mode="after")
    def _whole(self) -> SplitsSettings:
        if abs(self.train + self.validation + self.test - 1) > 1e-6:
            raise ValueError("train, validation and test do not add up to 1")
        return self

    def ratios(self) -> dict[str, float]:
        """The part of each split."""
        return {"train": self.train, "validation": self.validation, "test": self.test}
