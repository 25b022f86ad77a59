"""The base class of all settings, and the origin of a recipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, PrivateAttr

from ossl_builder.errors import OsslError


@dataclass(frozen=True)
class Origin:
    """Facts about a recipe that the recipe itself cannot set.

    Two origins are always equal, because results do not depend on them.

    Attributes:
        folder: the recipe's folder, which is the corpus; relative paths start there. None: the
            current folder of the process, for settings made in a program.
        trusts_models: allow models whose files can run code (`--trust-model`).
    """

    folder: Path | None = field(default=None, compare=False)
    trusts_models: bool = field(default=False, compare=False)

    def path(self, key: str, name: str) -> Path:
        """Return the path that a setting names.

        Args:
            key: the setting's key, for the error.
            name: the setting's value.

        Raises:
            OsslError: `path_outside`: the path is relative and leads out of the corpus.
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
    """Decide whether the name of a model is a path; else it is a name on a hub."""
    return name.startswith((".", "~")) or Path(name).is_absolute()


class Settings(BaseModel):
    """Base class of the settings of one section: frozen, strict types, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    # A private attribute is not a field: no recipe can set it, and no cache key contains it.
    _origin: Origin = PrivateAttr(HERE)

    @property
    def origin(self) -> Origin:
        """The origin of the recipe."""
        return self._origin

    def coming_from(self, origin: Origin) -> Settings:
        """Return a copy of the settings with another origin."""
        copy = self.model_copy()
        copy._origin = origin
        return copy
