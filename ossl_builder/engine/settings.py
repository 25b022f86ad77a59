"""The base class of all settings, and where a recipe comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, PrivateAttr

from ossl_builder.errors import OsslError


@dataclass(frozen=True)
class Origin:
    """The circumstances of a recipe; nothing that a recipe itself could set.

    Two are always equal: results do not depend on them, only whether there are any.

    Attributes:
        folder: the recipe's folder, the corpus; relative paths are below it. None: the process'
            folder, for settings made in a program.
        trusts_models: models may be loaded that can run code (`--trust-model`).
    """

    folder: Path | None = field(default=None, compare=False)
    trusts_models: bool = field(default=False, compare=False)

    def path(self, key: str, name: str) -> Path:
        """The path that a setting names.

        Raises:
            OsslError: `path_outside`: it is relative, and leads out of the corpus.
        """
        path = Path(name).expanduser()
        if path.is_absolute() or self.folder is None:
            return path
        inside = self.folder / path
        if not inside.resolve().is_relative_to(self.folder.resolve()):
            raise OsslError(
                "path_outside",
                f"{key} is {name!r}, which leads out of the corpus {self.folder}.",
                "Copy the model into the corpus, or give an absolute path.",
            )
        return inside


HERE = Origin()


def is_path(name: str) -> bool:
    """Whether the name of a model means a path rather than a name on a hub."""
    return name.startswith((".", "~")) or Path(name).is_absolute()


class Settings(BaseModel):
    """Settings of one stage: frozen, strict about types, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    # No field: no recipe can set it, and no result depends on it.
    _origin: Origin = PrivateAttr(HERE)

    @property
    def origin(self) -> Origin:
        """Where the recipe comes from."""
        return self._origin

    def coming_from(self, origin: Origin) -> Settings:
        """The same settings, of a recipe that comes from elsewhere."""
        copy = self.model_copy()
        copy._origin = origin
        return copy
