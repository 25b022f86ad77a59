"""Read the recipe, one YAML file per corpus, into frozen typed settings with all defaults."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from ossl_builder import parse
from ossl_builder.annotations.settings import LabelsSettings
from ossl_builder.engine.settings import Origin, Settings
from ossl_builder.errors import OsslError
from ossl_builder.files import bundled_folder
from ossl_builder.splits.settings import SplitsSettings
from ossl_builder.stages.registry import STAGES

if TYPE_CHECKING:
    from ossl_builder.stages.fetch.stage import FetchSettings

CORPUS_VERSION = 1
SHOWN_FAULTS = 30
Sections = TypeVar("Sections", bound=BaseModel)


class Recipe(BaseModel):
    """All settings of a corpus: one section for each stage, and `labels` and `splits`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: int = Field(CORPUS_VERSION, description="layout of the corpus")
    if TYPE_CHECKING:
        fetch: FetchSettings
        labels: LabelsSettings
        splits: SplitsSettings

    def of(self, section: str) -> Any:
        """Return the settings of one section: a stage's name, `labels` or `splits`."""
        return getattr(self, section)


# Each stage declares its own section.
SECTIONS: dict[str, type[Settings]] = {
    **{stage.name: stage.config for stage in STAGES},
    "labels": LabelsSettings,
    "splits": SplitsSettings,
}
FullRecipe: type[Recipe] = create_model(  # type: ignore[call-overload]
    "FullRecipe",
    __base__=Recipe,
    __module__=__name__,  # so that it can be pickled for the processes that build films
    **{name: (kind, kind()) for name, kind in SECTIONS.items()},
)


def load_recipe(path: Path, overrides: Sequence[str] = (), trusts_models: bool = False) -> Recipe:
    """Read a recipe.

    Args:
        path: the YAML file; relative paths of models in it start at its folder.
        overrides: texts `section.key=value` from `--set`; the value is YAML.
        trusts_models: allow models whose files can run code. Only the user can set this, not the
            recipe.

    Raises:
        OsslError: `recipe_invalid`, with every error and its key; `corpus_version`.
    """
    data = read_yaml(path)
    version = data.get("version", CORPUS_VERSION)
    if type(version) is int and version != CORPUS_VERSION:
        raise OsslError(
            "corpus_version",
            f"{path.parent} has corpus layout {version}; this program reads {CORPUS_VERSION}.",
            "Use the version of ossl-builder that made it.",
        )
    for text in overrides:
        override(data, text)
    hint = "`ossl settings` lists every key with its default."
    recipe = validated(FullRecipe, data, path.name, hint)
    origin = Origin(path.absolute().parent, trusts_models)
    return recipe.model_copy(
        update={name: recipe.of(name).coming_from(origin) for name in SECTIONS}
    )


def recipe_named(name: str) -> Path:
    """Return the path of a recipe.

    Args:
        name: name of a bundled recipe, or path of a YAML file.

    Raises:
        OsslError: `recipe_unknown`.
    """
    folder = bundled_folder("manifests") / "recipes"
    shipped = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    path = shipped.get(name, Path(name))
    if not path.is_file():
        raise OsslError(
            "recipe_unknown",
            f"There is no recipe {name!r}.",
            f"Give one of {', '.join(shipped)}, or the path of a YAML file.",
        )
    return path


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the sections of a YAML file.

    Raises:
        OsslError: `recipe_invalid`.
    """
    try:
        data = parse.yaml_file(path) or {}
    except (OSError, ValueError) as error:
        why = parse.cut(str(error), 200)
        raise OsslError(
            "recipe_invalid", f"{path} cannot be read: {why}.", "Correct it."
        ) from error
    if not isinstance(data, dict):
        raise OsslError(
            "recipe_invalid",
            f"{path} has no sections.",
            "Start with a section, for example `scenes:`.",
        )
    return data


def validated(kind: type[Sections], data: dict[str, Any], name: str, hint: str) -> Sections:
    """Convert sections to settings; report all errors at once.

    Args:
        kind: the model of all sections.
        data: the sections.
        name: name of the data, for the error.
        hint: how to list the known keys, for the error.

    Raises:
        OsslError: `recipe_invalid`, with every error and its key.
    """
    # YAML reads a section that has only comments as None; its defaults apply.
    data = {
        name: entry
        for name, entry in data.items()
        if entry is not None or not _is_section(kind, name)
    }
    try:
        # Validate as JSON: there, strict mode still converts a list to a tuple.
        return kind.model_validate_json(json.dumps(data, default=str))
    except ValidationError as error:
        errors = error.errors(include_url=False)
        problems = [_error_line(problem, kind) for problem in errors[:SHOWN_FAULTS]]
        if len(errors) > SHOWN_FAULTS:
            problems.append(f"and {len(errors) - SHOWN_FAULTS} more")
        count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
        raise OsslError(
            "recipe_invalid",
            f"{name} has {count}:\n" + "\n".join(f"  {line}" for line in problems) + "\n",
            f"Correct them. {hint}",
        ) from error


def all_settings(kind: type[BaseModel] = FullRecipe) -> list[dict[str, Any]]:
    """Return key, default and description of every setting of a recipe."""
    rows = []
    for section, field in kind.model_fields.items():
        if isinstance(field.default, BaseModel):
            schema = type(field.default).model_json_schema()["properties"]
            defaults = field.default.model_dump(mode="json")
            rows += [
                {
                    "key": f"{section}.{name}",
                    "default": defaults[name],
                    "description": entry.get("description", ""),
                }
                for name, entry in schema.items()
            ]
    return rows


def override(data: dict[str, Any], text: str) -> None:
    """Set one `section.key=value`, the argument of `--set`, in the sections.

    Args:
        data: the sections; changed in place.
        text: the argument.

    Raises:
        OsslError: `set_invalid`, `recipe_invalid`.
    """
    key, equals, value = text.partition("=")
    section, dot, name = key.strip().partition(".")
    if not (equals and dot and section and name):
        raise OsslError(
            "set_invalid",
            f"--set {text!r} cannot be understood.",
            "Write it as section.key=value, for example --set scenes.threshold=3.",
        )
    entry = data.setdefault(section, {})
    if entry is None:
        entry = data[section] = {}
    if not isinstance(entry, dict):
        raise OsslError("recipe_invalid", f"The section {section} has no keys.", "Correct it.")
    try:
        entry[name] = parse.yaml_value(value)
    except ValueError as error:
        raise OsslError(
            "set_invalid", f"--set {parse.shown(text)}: {error}.", "Put the value in quotes."
        ) from error


def _is_section(kind: type[BaseModel], name: str) -> bool:
    field = kind.model_fields.get(name)
    return field is not None and isinstance(field.default, BaseModel)


def _error_line(error: Any, kind: type[BaseModel]) -> str:
    key = parse.cut(".".join(str(part) for part in error["loc"]))
    if error["type"] != "extra_forbidden":
        message = parse.cut(error["msg"], 200)
        return f"{key}: {message[:1].lower()}{message[1:]}, not {parse.shown(error['input'])}"
    known_keys = [entry["key"] for entry in all_settings(kind)] + list(kind.model_fields)
    near = difflib.get_close_matches(key, known_keys, 1)
    return f"{key}: unknown key" + (f" (did you mean {near[0]}?)" if near else "")
