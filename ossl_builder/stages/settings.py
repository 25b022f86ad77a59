"""What every section of a recipe has in common."""

from pydantic import BaseModel, ConfigDict, PrivateAttr

from ossl_builder.tools.origin import HERE, Origin


class Settings(BaseModel):
    """Settings of one stage: frozen, strict about types, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    # No field: no recipe can set it, and no result depends on it.
    _origin: Origin = PrivateAttr(HERE)

    @property
    def origin(self) -> Origin:
        """Where the recipe comes from."""
        return self._origin

    def coming_from(self, origin: Origin) -> "Settings":
        """The same settings, of a recipe that comes from elsewhere."""
        copy = self.model_copy()
        copy._origin = origin
        return copy
