"""Parse YAML and JSON from untrusted input into plain values, with limits and clear errors."""

from __future__ import annotations

import json
import reprlib
import stat
from collections import Counter
from collections.abc import Hashable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError

MAX_YAML_BYTES = 1 << 18  # PyYAML needs a few seconds for this size
MAX_YAML_DEPTH = 30
# Ten aliases in nested lists multiply the size of their anchors by 36 at most.
MAX_ALIASES = 10
MAX_JSON_DEPTH = 60
SHOWN_LENGTH = 80
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
MERGE = "tag:yaml.org,2002:merge"

_shown = reprlib.Repr()
_shown.maxstring = _shown.maxother = _shown.maxlong = SHOWN_LENGTH
_shown.maxlevel = 2


def shown(value: Any) -> str:
    """Return a value from a file as text for an error message, shortened."""
    return cut(_shown.repr(value))


def cut(text: str, length: int = SHOWN_LENGTH) -> str:
    """Return a text on one line, with `length` characters at most."""
    text = " ".join(text[: 4 * length].split())
    return text if len(text) <= length else f"{text[: length - 1]}…"


def regular_bytes(path: Path, max_bytes: int | None = None) -> bytes:
    """Return the bytes of a regular file; do not open a pipe, socket or device.

    Args:
        path: the file.
        max_bytes: maximum size; None: no limit.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a regular file, or it is too large.
    """
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(21, "is a folder", str(path))
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is no regular file")
    if max_bytes is not None and status.st_size > max_bytes:
        raise ValueError(f"it has {status.st_size} bytes, more than {max_bytes}")
    return path.read_bytes()


def json_value(text: str | bytes, is_strict: bool = False) -> Any:
    """Return the value of a JSON document.

    Args:
        text: the document.
        is_strict: raise if a key occurs twice in one object; else the last one counts.

    Raises:
        ValueError: it is not JSON, or it is nested more than `MAX_JSON_DEPTH` deep.
    """
    too_deep = f"it is nested more than {MAX_JSON_DEPTH} deep"
    try:
        value = json.loads(text, object_pairs_hook=_unique_keys if is_strict else None)
    except RecursionError:
        raise ValueError(too_deep) from None
    level = [value]
    for _ in range(MAX_JSON_DEPTH):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
        if not level:
            return value
    raise ValueError(too_deep)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        raise ValueError(f"the key {cut(twice)} is given twice")
    return values


def moment(value: str | datetime) -> datetime:
    """Convert a time from an input file to UTC; a time without a zone is UTC.

    Raises:
        ValueError: it is not ISO 8601, is before 1970, or is more than a day in the future.
    """
    time = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    try:
        utc = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{cut(str(value))} is no time in UTC") from error
    if not EARLIEST <= utc <= datetime.now(UTC) + timedelta(days=1):
        raise ValueError(f"{cut(str(value))} is before 1970 or in the future")
    return utc


def yaml_file(path: Path) -> Any:
    """Return the value of a YAML file.

    Raises:
        OSError: the file cannot be read.
        ValueError: see `yaml_value`.
    """
    return yaml_value(regular_bytes(path, MAX_YAML_BYTES).decode("utf-8-sig"))


def yaml_value(text: str) -> Any:
    """Return the value of a YAML document: None, str, int, float, bool, date, list or dict.

    Raises:
        ValueError: it is not YAML, or it exceeds the limits of this module.
    """
    if len(text) > MAX_YAML_BYTES:
        raise ValueError(f"it has {len(text)} characters, more than {MAX_YAML_BYTES}")
    try:
        _check_events(text)
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = "" if mark is None else f"line {mark.line + 1}: "
        raise ValueError(f"{where}{cut(error.problem or str(error))}") from error
    except yaml.YAMLError as error:
        raise ValueError(cut(str(error))) from error


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which also rejects duplicate keys and keys that are not scalars."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys: set[Hashable] = set()
        for key_node, _ in node.value:
            if key_node.tag == MERGE:
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str | int | float | None):
                raise ConstructorError(None, None, "a key is no text", key_node.start_mark)
            if key in keys:
                raise ConstructorError(
                    None, None, f"the key {cut(str(key))} is given twice", key_node.start_mark
                )
            keys.add(key)
        return super().construct_mapping(node, deep)


def _check_events(text: str) -> None:
    """Raise for aliases that expand, deep nesting and tags, before PyYAML builds any value.

    PyYAML's parser, which yields the events, does not recurse; its composer and constructor do.
    """
    aliases = 0
    # The anchors of the collections that are open; None: the collection has no anchor.
    open_anchors: list[str | None] = []
    # The key of the current value, for messages.
    key = ""
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        where = f"line {event.start_mark.line + 1}" if event.start_mark else "somewhere"
        if isinstance(event, yaml.AliasEvent):
            aliases += 1
            if event.anchor in open_anchors:
                raise ValueError(f"{where}: {key}*{cut(str(event.anchor))} contains itself")
            if aliases > MAX_ALIASES:
                raise ValueError(f"{where}: it has more than {MAX_ALIASES} aliases (*name)")
        elif isinstance(event, yaml.CollectionEndEvent):
            open_anchors.pop()
        elif isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            if event.tag is not None:
                raise ValueError(f"{where}: the tag {cut(event.tag)} is not allowed")
            if isinstance(event, yaml.CollectionStartEvent):
                open_anchors.append(event.anchor)
                if len(open_anchors) > MAX_YAML_DEPTH:
                    raise ValueError(f"{where}: it is nested more than {MAX_YAML_DEPTH} deep")
        key = f"{cut(event.value)}: " if isinstance(event, yaml.ScalarEvent) else ""
