"""The recipe: one YAML file per corpus, into frozen typed settings; defaults stand only there."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ossl_builder.errors import OsslError
from ossl_builder.stages.clip_selection import ClipsSettings
from ossl_builder.stages.cues_settings import CuesSettings
from ossl_builder.stages.fetch import FetchSettings
from ossl_builder.stages.scenes_settings import ScenesSettings
from ossl_builder.stages.stems import StemsSettings

CORPUS_VERSION = 1


class Recipe(BaseModel):
    """Everything that can be set about a corpus, by stage."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: int = Field(CORPUS_VERSION, description="layout of the corpus")
    fetch: FetchSettings = FetchSettings()
    scenes: ScenesSettings = ScenesSettings()
    stems: StemsSettings = StemsSettings()
    cues: CuesSettings = CuesSettings()
    clips: ClipsSettings = ClipsSettings()

    def of(self, stage: str) -> Any:
        """The settings of one stage."""
        return getattr(self, stage)


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Args:
        path: the YAML file.
        overrides: texts `section.key=value`, the value in YAML, as given by `--set`.

    Raises:
        OsslError: `recipe_invalid`, with every error and its key; `corpus_version`.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        said = " ".join(str(error).split())
        raise OsslError("recipe_invalid", f"{path} is not YAML: {said}.", "Mend it.") from error
    if not isinstance(data, dict):
        raise OsslError("recipe_invalid", f"{path} holds no sections.", "Begin with `scenes:`.")
    version = data.get("version", CORPUS_VERSION)
    if type(version) is int and version != CORPUS_VERSION:
        raise OsslError(
            "corpus_version",
            f"{path.parent} is a corpus of layout {version}; this program knows {CORPUS_VERSION}.",
            "Use the version of ossl-builder that made it.",
        )
    for text in overrides:
        _override(data, text)
    try:
        # By way of JSON: strict there still means that a list may become a tuple.
        return Recipe.model_validate_json(json.dumps(data, default=str))
    except ValidationError as error:
        problems = [_problem(one) for one in error.errors()]
        count = "1 error" if len(problems) == 1 else f"{len(problems)} errors"
        raise OsslError(
            "recipe_invalid",
            f"{path.name} has {count}:\n" + "\n".join(f"  {line}" for line in problems) + "\n",
            "Mend them; `ossl settings` lists every key with its default.",
        ) from error


def all_settings() -> list[dict[str, Any]]:
    """Every key of a recipe: key, type, default, description."""
    found = []
    for section, field in Recipe.model_fields.items():
        if isinstance(field.default, BaseModel):
            schema = type(field.default).model_json_schema()["properties"]
            defaults = field.default.model_dump(mode="json")
            found += [
                {
                    "key": f"{section}.{name}",
                    "default": defaults[name],
                    "description": entry.get("description", ""),
                }
                for name, entry in schema.items()
            ]
    return found


def _override(data: dict[str, Any], text: str) -> None:
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
        raise OsslError("recipe_invalid", f"The section {section} holds no keys.", "Mend it.")
    try:
        entry[name] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise OsslError(
            "set_invalid", f"--set {text!r} has no YAML value.", "Put the value in quotes."
        ) from error


def _problem(error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] != "extra_forbidden":
        return f"{key}: {error['msg'][:1].lower()}{error['msg'][1:]}, not {error['input']!r}"
    known = [entry["key"] for entry in all_settings()] + list(Recipe.model_fields)
    near = difflib.get_close_matches(key, known, 1)
    return f"{key}: unknown key" + (f" (did you mean {near[0]}?)" if near else "")
