"""The folder of a run: what it was begun with, so that nothing else goes on with it."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ossl_builder.engine import files, parse
from ossl_builder.engine.freshness import UNSHAPING
from ossl_builder.errors import OsslError
from ossl_train.fit import checkpoint
from ossl_train.recipe import TrainRecipe

LAST, BEST = "last", "best"
RECIPE, DATA = "recipe.yaml", "data.json"
MADE = (LAST, BEST, "tensorboard", "metrics.jsonl", RECIPE, DATA)


@contextlib.contextmanager
def held(out: Path) -> Iterator[None]:
    """Hold a run's folder for writing; the system frees it when the process ends, however.

    Raises:
        OsslError: `run_in_use`.
    """
    import filelock

    out.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(out / ".lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise OsslError(
            "run_in_use", f"Another process is fitting into {out}.", "Wait for it, or stop it."
        ) from error
    try:
        yield
    finally:
        lock.release()


def clear(out: Path) -> None:
    """Remove what a run left in its folder."""
    for name in MADE:
        for path in (out / name, out / f".{name}.old", out / f".{name}.new"):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def mend(out: Path) -> None:
    """Put right what a kill left behind."""
    for name in (LAST, BEST):
        checkpoint.mend(out / name)


def steps_done(out: Path) -> int:
    """Steps of the last checkpoint; 0 where there is none.

    Raises:
        OsslError: `checkpoint_damaged`.
    """
    standing = checkpoint.read_standing(out / LAST)
    return 0 if standing is None else standing.step


def describe(out: Path, recipe: TrainRecipe, data: Mapping[str, Any]) -> None:
    """Write down what a run is made with, or see that it is the run that stands there.

    Args:
        out: the run's folder.
        recipe: resolved, with what `--set` changed.
        data: checksums of tables, numbers of windows, digests of models.

    Raises:
        OsslError: `run_differs`, which names what does; `run_unreadable`.
    """
    import yaml

    here = shaping(recipe)
    if (out / DATA).exists() and (out / RECIPE).exists():
        there, before = _described(out)
        differing = [*_differing(shaping(there), here), *_differing(_flat(before), _flat(data))]
        if differing:
            raise OsslError(
                "run_differs",
                f"{out} holds a run made otherwise: {'; '.join(differing[:4])}.",
                "Give the new run its own --out, or throw the old one away with --restart.",
            )
        return
    text = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    files.write_bytes(out / RECIPE, text.encode())
    files.write_bytes(out / DATA, json.dumps(data, indent=1, sort_keys=True).encode() + b"\n")


def _described(out: Path) -> tuple[TrainRecipe, dict[str, Any]]:
    try:
        text = json.dumps(parse.yaml_file(out / RECIPE))
        return TrainRecipe.model_validate_json(text), parse.json_value((out / DATA).read_bytes())
    except (TypeError, ValueError) as error:  # pydantic's errors are ValueErrors
        raise OsslError(
            "run_unreadable",
            f"{out / RECIPE} or {DATA} beside it is damaged, or of another version.",
            "Give the new run its own --out, or throw the old one away with --restart.",
        ) from error


def shaping(recipe: TrainRecipe) -> dict[str, Any]:
    """A recipe's settings that shape the result, by `section.key`."""
    return {
        f"{section}.{key}": getattr(settings, key)
        for section in TrainRecipe.model_fields
        if isinstance(settings := getattr(recipe, section), BaseModel)
        for key, field in type(settings).model_fields.items()
        if field.json_schema_extra != UNSHAPING
    }


def _flat(data: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{above}{key} ")
        else:
            found[above + key] = value
    return found


def _differing(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    return [
        f"{key} was {_short(there.get(key))}, is {_short(here.get(key))}"
        for key in sorted(there.keys() | here.keys())
        if there.get(key) != here.get(key)
    ]


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:8]}…"
