"""What every section of a recipe has in common."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Settings of one stage: frozen, strict about types, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
