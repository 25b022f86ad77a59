"""The cache of the project: decide by content what is up to date, not by path, time or host.

Each stage writes one record per item (`engine.records`); `why_stale` compares the record with the
current inputs. `MadeFiles` caches files that are made from many items (tables, shards, report
pages). `cached_value` caches values that are slow to compute (loudness curves, measurements of
imported clips), `ArrayCache` arrays (embeddings of audio).
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic.config import JsonDict

from ossl_builder import parse
from ossl_builder.engine.records import Record
from ossl_builder.engine.stage import Stage
from ossl_builder.files import (
    UNSAFE_PATH,
    json_bytes,
    read_json,
    sha256_file,
    sha256_json,
    sha256_remembered,
    write_bytes,
)
from ossl_builder.tables.schema import Table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[np.float64]]

Value = TypeVar("Value")

# `Field(..., json_schema_extra=UNSHAPING)`: the setting changes how the work is done (a batch
# size), not the result. A change of it makes nothing stale.
UNSHAPING: JsonDict = {"shapes_result": False}


def only_where(**values: tuple[str, ...]) -> JsonDict:
    """Return a `json_schema_extra` for a setting that applies only for some values of others.

    While it does not apply, a change of the setting makes nothing stale.

    Args:
        values: for each other setting, by name, the values with which this one applies.
    """
    return {"only_where": {name: list(allowed) for name, allowed in values.items()}}


# A file with fewer bytes is small: its size is not compared. A thousand films have nearly a million
# thumbnails, and a `stat` of each would take longer than the rest of the check.
SMALL = 65_536


@dataclass(frozen=True)
class Decision:
    """Whether a stage must run on an item, and why.

    Attributes:
        stage, item_id: the stage and the item.
        action: `run`; `fresh` (it ran before and nothing has changed); `blocked` (the rows that it
            reads do not exist); `refused` (the item must not be built now).
        why: the reason, in words; empty if `action` is `fresh`.
    """

    stage: str
    item_id: str
    action: Literal["run", "fresh", "blocked", "refused"]
    why: str


def shaping_of(stage: Stage, config: Any) -> dict[str, str]:
    """Return the inputs that the results of all items depend on, by name.

    These are the stage's version, its settings, its tools' versions and its models' hashes.

    Args:
        stage: the stage.
        config: its settings.
    """
    shaping = {f"{stage.name} version": str(stage.version)}
    shaping |= {f"{stage.name}.{key}": value for key, value in _setting_texts(config).items()}
    shaping |= {f"tool {name}": version for name, version in stage.tools(config).items()}
    return shaping


def inputs_of(
    stage: Stage, shaping: Mapping[str, str], upstream: Mapping[str, str]
) -> dict[str, str]:
    """Return everything that the result of one item depends on, by name.

    Args:
        stage: the stage.
        shaping: the result of `shaping_of`, computed once for all items.
        upstream: for each table that the stage reads, the hash of the item's rows.
    """
    return {**shaping, **{f"rows of {table}": upstream[table] for table in stage.reads}}


def _setting_texts(config: Any) -> dict[str, str]:
    """Return the settings that the result depends on, as text.

    Settings marked `UNSHAPING`, and those that do not apply (`only_where`), are left out.
    """
    values = config.model_dump(mode="json")
    extras = {name: field.json_schema_extra for name, field in type(config).model_fields.items()}
    return {
        key: repr(value)
        for key, value in values.items()
        if extras[key] != UNSHAPING and _applies(extras[key], values)
    }


def _applies(extra: Any, values: Mapping[str, Any]) -> bool:
    conditions = extra.get("only_where", {}) if isinstance(extra, dict) else {}
    return all(values[name] in allowed for name, allowed in conditions.items())


def hash_rows(table: Table, rows: tuple[Any, ...]) -> str:
    """Return the hash of rows that no stage made, such as a film's recorded source."""
    return sha256_json([table.to_json(row) for row in rows])


def why_stale(corpus: Path, record: Record | None, inputs: Mapping[str, str]) -> str:
    """Return the reason why an item must run; empty if its record is up to date."""
    if record is None:
        return "not done yet"
    if record.state == "failed":
        return f"failed before ({record.code})"
    changed = [
        _change_text(name, record.inputs.get(name), inputs.get(name))
        for name in sorted({*record.inputs, *inputs})
        if record.inputs.get(name) != inputs.get(name)
    ]
    if changed:
        return "; ".join(changed)
    return missing_file(corpus, record)


def _change_text(name: str, before: str | None, now: str | None) -> str:
    if name.startswith("rows of "):
        return f"{name} changed"
    texts = [
        "unset" if value is None else value if len(value) < 40 else value[:12] + "…"
        for value in (before, now)
    ]
    return f"{name} was {texts[0]}, is {texts[1]}"


def missing_file(corpus: Path, record: Record) -> str:
    """Return which file of a record is missing or has another size; empty if none.

    For small files only the existence is checked. Only `ossl verify` reads the content.
    Paths are joined as text, for speed: each build checks all files of a corpus.
    """
    expected: dict[str, dict[str, int]] = {}
    for entry in record.files:
        folder, _, name = entry.path.rpartition("/")
        expected.setdefault(folder, {})[name] = entry.size_bytes
    for folder, sizes in expected.items():
        try:
            present = set(os.listdir(f"{corpus}/{folder}"))  # noqa: PTH208
        except FileNotFoundError:
            return f"the folder {folder} is gone"
        for name in sizes.keys() - present:
            return f"the file {folder}/{name} is gone"
        for name, size in sizes.items():
            if size >= SMALL and os.stat(f"{corpus}/{folder}/{name}").st_size != size:  # noqa: PTH116
                return f"the file {folder}/{name} has another size"
    return ""


class MadeFiles:
    """Index of the files in a folder, with the digest of what each was made from; a JSON file."""

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
        """Return the names of the indexed files, relative to the folder."""
        return set(self._entries)

    def facts(self, name: str) -> dict[str, Any]:
        """Return the facts that `add` stored for a file; empty if it is not in the index."""
        facts: dict[str, Any] = self._entries.get(name, {}).get("facts", {})
        return facts

    def sha256(self, name: str) -> str:
        """Return the SHA-256 of an indexed file."""
        return str(self._entries[name]["sha256"])

    def is_fresh(self, name: str, digest: str, *, check_bytes: bool = False) -> bool:
        """Decide whether a file exists and was made from the inputs with this digest.

        Args:
            name: the file's name, relative to the folder.
            digest: hash of everything that the file is made from.
            check_bytes: also compare the file's SHA-256; else compare only its size.
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
        """Add a file to the index, right after it was written.

        Args:
            name: the file's name, relative to the folder.
            digest: hash of everything that the file is made from.
            facts: plain values to store with it.
        """
        path = self.folder / name
        self._entries[name] = {
            "digest": digest,
            "size_bytes": path.stat().st_size,
            "sha256": sha256_file(path),
            **({"facts": facts} if facts else {}),
        }

    def forget(self, names: Iterable[str]) -> None:
        """Remove files from the index; the files themselves are not deleted."""
        for name in names:
            self._entries.pop(name, None)

    def save(self) -> None:
        """Write the index to its JSON file."""
        write_bytes(self._memory, json_bytes(self._entries))

    def checksums(self) -> dict[str, str]:
        """Return the SHA-256 of each indexed file, sorted by name."""
        return {name: self._entries[name]["sha256"] for name in sorted(self._entries)}


def changed_inputs(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the names of the inputs that differ, sorted.

    Args:
        before: inputs that were read from JSON.
        now: current inputs; compared as JSON, where a tuple equals a list.
    """
    current = parse.json_value(json_bytes(dict(now)))
    return sorted(name for name in {*before, *current} if before.get(name) != current.get(name))


def read_value(path: Path, key: str) -> Any:
    """Return the value that a JSON file stores for this key; None if it stores none."""
    stored = read_json(path)
    if isinstance(stored, dict) and stored.get("key") == key:
        return stored.get("value")
    return None


def write_value(path: Path, key: str, value: Any) -> None:
    """Store one value, of plain JSON types, in a JSON file.

    Args:
        path: the file.
        key: hash of everything that the value depends on.
        value: the value; not None.
    """
    write_bytes(path, json_bytes({"key": key, "value": value}))


def cached_value(
    path: Path, key: str, compute: Callable[[], Any], read: Callable[[Any], Value]
) -> Value:
    """Return the value that a file stores for this key; compute and write it if there is none.

    Args:
        path: a JSON file that stores one value.
        key: hash of everything that the value depends on.
        compute: returns the value as plain JSON types.
        read: converts plain JSON types to the value. If it raises `ValueError`, `TypeError` or
            `KeyError`, the value is computed again.
    """
    stored = read_value(path, key)
    if stored is not None:
        try:
            return read(stored)
        except (ValueError, TypeError, KeyError):  # the file was changed by hand
            pass
    plain = compute()
    write_value(path, key, plain)
    return read(plain)


@dataclass(frozen=True)
class ArrayCache:
    """A folder of arrays that were measured from single files, by the content of the files.

    Attributes:
        folder: created with the first measurement.
    """

    folder: Path

    def has(self, path: Path, how: Mapping[str, Any]) -> bool:
        """Return whether the measurement of a file is in the cache."""
        return self._path(path, how).exists()

    def of(self, path: Path, how: Mapping[str, Any], measure: Callable[[Path], Arrays]) -> Arrays:
        """Return the measurement of a file, from the cache or measured now.

        Args:
            path: the file; its bytes are part of the key.
            how: everything else that the result depends on: model, window, version.
            measure: returns arrays by name.
        """
        cached = self._path(path, how)
        arrays = _read_arrays(cached)
        if arrays is None:
            arrays = measure(path)
            write_bytes(cached, _npz_bytes(arrays))
        return arrays

    def _path(self, path: Path, how: Mapping[str, Any]) -> Path:
        key = sha256_json({"file": sha256_remembered(path), "how": dict(how)})
        return self.folder / key[:2] / f"{key}.npz"


def _npz_bytes(arrays: Arrays) -> bytes:
    import numpy as np

    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _read_arrays(path: Path) -> Arrays | None:
    """Return None if there is no file, or a damaged one."""
    import zipfile

    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (FileNotFoundError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None
