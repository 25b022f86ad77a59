"""Section `splits` of a recipe."""

from __future__ import annotations

from pydantic import Field, model_validator

from ossl_builder.engine.settings import Settings


class SplitsSettings(Settings):
    """How films are assigned; a changed ratio or seed affects only films without a split."""

    train: float = Field(0.8, ge=0, le=1, description="share of the films for training")
    validation: float = Field(0.1, ge=0, le=1, description="share of the films for validation")
    test: float = Field(0.1, ge=0, le=1, description="share of the films for testing")
    seed: int = Field(0, ge=0, description="decides between similar films")
    min_shared: float = Field(
        3.0,
        ge=1,
        description="number of shared hashes from which two clips share material; hashes of "
        "more than two films have less weight",
    )
    common_films: int = Field(
        20,
        ge=2,
        description="hashes of more films than this, such as a studio logo, are ignored",
    )

    @model_validator(mode="after")
    def _whole(self) -> SplitsSettings:
        if abs(self.train + self.validation + self.test - 1) > 1e-6:
            raise ValueError("train, validation and test do not add up to 1")
        return self

    def ratios(self) -> dict[str, float]:
        """Return the share of each split."""
        return {"train": self.train, "validation": self.validation, "test": self.test}
