"""The one cache: decide by content what is up to date, never by a path, a time or a host.

Stages keep a record per item (`engine.records`); `why_stale` compares it with the present inputs.
Files that are made from many items (tables, shards, report pages) are remembered by `MadeFiles`,
values that are costly to compute (loudness curves, measured clips) by `cached_value`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic.config import JsonDict

from ossl_builder.engine.records import Record
from ossl_builder.engine.stage import Stage
from ossl_builder.files import (
    UNSAFE_PATH,
    json_bytes,
    read_json,
    sha256_file,
    sha256_json,
    write_bytes,
)
from ossl_builder.tables.schema import Table

Value = TypeVar("Value")

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


class MadeFiles:
    """Files of a folder, with the digest of what each was made from, remembered in a JSON file."""

    def __init__(self, folder: Path, memory: Path) -> None:
        self.folder = folder
        self._memory = memory
        remembered = read_json(memory)
        self._entries: dict[str, dict[str, Any]] = (
            {
                name: entry
                for name, entry in remembered.items()
                if isinstance(entry, dict) and not UNSAFE_PATH.search(name)
            }
            if isinstance(remembered, dict)
            else {}
        )

    def names(self) -> set[str]:
        """Names of the remembered files, relative to the folder."""
        return set(self._entries)

    def facts(self, name: str) -> dict[str, Any]:
        """What `add` was given for a file; empty if it is not remembered."""
        facts: dict[str, Any] = self._entries.get(name, {}).get("facts", {})
        return facts

    def sha256(self, name: str) -> str:
        """SHA-256 of a remembered file."""
        return str(self._entries[name]["sha256"])

    def is_fresh(self, name: str, digest: str, *, check_bytes: bool = False) -> bool:
        """Decide whether a file is there and was made from this.

        Args:
            name: of the file, relative to the folder.
            digest: hash of everything that it is made from.
            check_bytes: hash the file too; else only its size is compared.
        """
        entry = self._entries.get(name)
        if entry is None or entry.get("digest") != digest:
            return False
        path = self.folder / name
        try:
            if path.stat().st_size != entry.get("size_bytes"):
                return False
        except FileNotFoundError:
            return False
        return not check_bytes or sha256_file(path) == entry.get("sha256")

    def add(self, name: str, digest: str, **facts: Any) -> None:
        """Remember a file that was written just now.

        Args:
            facts: plain values to keep with it.
        """
        path = self.folder / name
        self._entries[name] = {
            "digest": digest,
            "size_bytes": path.stat().st_size,
            "sha256": sha256_file(path),
            **({"facts": facts} if facts else {}),
        }

    def forget(self, names: Iterable[str]) -> None:
        """Forget files; they are not deleted."""
        for name in names:
            self._entries.pop(name, None)

    def save(self) -> None:
        """Write the memory."""
        write_bytes(self._memory, json_bytes(self._entries))

    def checksums(self) -> dict[str, str]:
        """SHA-256 of each remembered file, sorted by name."""
        return {name: self._entries[name]["sha256"] for name in sorted(self._entries)}


def cached_value(
    path: Path, key: str, compute: Callable[[], Any], read: Callable[[Any], Value]
) -> Value:
    """Return the value that a file keeps for this key; compute and write it if there is none.

    Args:
        path: a JSON file that keeps one value.
        key: hash of everything that the value depends on.
        compute: gives the value as plain types.
        read: makes the value of plain types. Where it raises `ValueError`, `TypeError` or
            `KeyError`, the kept value is computed again.
    """
    kept = read_json(path)
    if isinstance(kept, dict) and kept.get("key") == key:
        try:
            return read(kept["value"])
        except (ValueError, TypeError, KeyError):  # somebody changed the file
            pass
    plain = compute()
    write_bytes(path, json_bytes({"key": key, "value": plain}))
    return read(plain)
