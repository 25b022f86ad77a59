"""Decide by content whether a result is up to date; never by a path, a time or a host."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic.config import JsonDict

from ossl_builder.engine.records import Record
from ossl_builder.engine.stage import Stage
from ossl_builder.files import sha256_json
from ossl_builder.tables.schema import Table

# `Field(..., json_schema_extra=UNSHAPING)`: the setting says how the work is done, not what comes
# out; changing it makes nothing stale.
UNSHAPING: JsonDict = {"shapes_result": False}


def only_where(**values: tuple[str, ...]) -> JsonDict:
    """Mark a setting, by `json_schema_extra`, that counts only where another has one of the values.

    Changing it elsewhere makes nothing stale.
    """
    return {"only_where": {name: list(wanted) for name, wanted in values.items()}}


# Bytes under which a file is small: a thousand films have near a million thumbnails, and to ask
# each for its size would take longer than all the rest.
SMALL = 65_536


@dataclass(frozen=True)
class Decision:
    """Whether an item would run in a stage, and why.

    `action` is `run`, `fresh` (ended before, nothing has changed), `blocked` (an earlier stage
    has given it nothing to work on), or `refused` (whoever asked will not have it now).
    """

    stage: str
    item_id: str
    action: Literal["run", "fresh", "blocked", "refused"]
    why: str


def shaping_of(stage: Stage, config: Any) -> dict[str, str]:
    """What shapes the results of all items alike.

    Args:
        stage: the stage; its version, its tools' versions and its models' hashes count.
        config: its configuration, each setting by itself.
    """
    shaping = {f"{stage.name} version": str(stage.version)}
    shaping |= {f"{stage.name}.{key}": value for key, value in _settings(config).items()}
    shaping |= {f"tool {name}": version for name, version in stage.tools(config).items()}
    return shaping


def inputs_of(
    stage: Stage, shaping: Mapping[str, str], upstream: Mapping[str, str]
) -> dict[str, str]:
    """Everything that shapes the result of one item.

    Args:
        stage: the stage.
        shaping: from `shaping_of`, which a caller with many items asks once.
        upstream: for each table it reads, the hash of the item's rows.
    """
    return {**shaping, **{f"rows of {table}": upstream[table] for table in stage.reads}}


def _settings(config: Any) -> dict[str, str]:
    """Settings that shape the result.

    One marked `UNSHAPING` (a batch size) is left out, and one that does not apply (`only_where`).
    """
    values = config.model_dump(mode="json")
    marks = {name: field.json_schema_extra for name, field in type(config).model_fields.items()}
    return {
        key: repr(value)
        for key, value in values.items()
        if marks[key] != UNSHAPING and _applies(marks[key], values)
    }


def _applies(mark: Any, values: Mapping[str, Any]) -> bool:
    conditions = mark.get("only_where", {}) if isinstance(mark, dict) else {}
    return all(values[name] in wanted for name, wanted in conditions.items())


def hash_rows(table: Table, rows: tuple[Any, ...]) -> str:
    """Hash of rows that no stage made (what a person recorded)."""
    return sha256_json([table.to_json(row) for row in rows])


def why_stale(corpus: Path, record: Record | None, inputs: Mapping[str, str]) -> str:
    """Why an item must run; empty if it need not."""
    if record is None:
        return "not done yet"
    if record.state == "failed":
        return f"failed before ({record.code})"
    changed = [
        _changed(name, record.inputs.get(name), inputs.get(name))
        for name in sorted({*record.inputs, *inputs})
        if record.inputs.get(name) != inputs.get(name)
    ]
    if changed:
        return "; ".join(changed)
    return missing_file(corpus, record)


def _changed(name: str, before: str | None, now: str | None) -> str:
    if name.startswith("rows of "):
        return f"{name} changed"
    shown = [
        "unset" if value is None else value if len(value) < 40 else value[:12] + "…"
        for value in (before, now)
    ]
    return f"{name} was {shown[0]}, is {shown[1]}"


def missing_file(corpus: Path, record: Record) -> str:
    """Say which file of a record is gone or has another size; empty if all is well.

    Of small files only the names are looked at. The content is looked at by `ossl verify` only.
    Paths are put together as text: this runs over all files of a corpus at each build.
    """
    expected: dict[str, dict[str, int]] = {}
    for entry in record.files:
        folder, _, name = entry.path.rpartition("/")
        expected.setdefault(folder, {})[name] = entry.size_bytes
    for folder, sizes in expected.items():
        try:
            there = set(os.listdir(f"{corpus}/{folder}"))  # noqa: PTH208
        except FileNotFoundError:
            return f"the folder {folder} is gone"
        for name in sizes.keys() - there:
            return f"the file {folder}/{name} is gone"
        for name, size in sizes.items():
            if size >= SMALL and os.stat(f"{corpus}/{folder}/{name}").st_size != size:  # noqa: PTH116
                return f"the file {folder}/{name} has another size"
    return ""
