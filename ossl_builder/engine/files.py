"""Writing so that a kill at any instant leaves the old file or the new one, never half of one."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from ossl_builder.engine import parse
from ossl_builder.errors import OsslError

TEMPORARY = ".partial"


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_remembered(path: Path) -> str:
    """SHA-256 of a large file that seldom changes: hashed once per process and time of change."""
    return _sha256_at(path.resolve(), path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _sha256_at(path: Path, mtime_ns: int) -> str:
    return sha256_file(path)


def sha256_json(value: Any) -> str:
    """SHA-256 of plain values, by their JSON text with sorted keys."""
    return hashlib.sha256(json_bytes(value)).hexdigest()


def json_bytes(value: Any) -> bytes:
    """Plain values as compact JSON with sorted keys; equal values give equal bytes."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return text.encode()


def read_json(path: Path) -> Any:
    """What a file of our own remembers; None if it is missing or was damaged."""
    try:
        return parse.json_value(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file: temporary file in the same folder, flush to disk, rename."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success flush it and rename it to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}{TEMPORARY}")
    # It may be a link that somebody put there: writing would follow it.
    temporary.unlink(missing_ok=True)
    try:
        yield temporary
        flush(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def flush(path: Path) -> None:
    """Make a file's bytes durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def swap_folder(new: Path, final: Path) -> None:
    """Put folder `new` in the place of `final`; remove what stood there."""
    for path in new.rglob("*"):
        if path.is_file():
            flush(path)
    old = final.with_name(f".{final.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        final.rename(old)
    new.rename(final)
    shutil.rmtree(old, ignore_errors=True)


def disk_full(error: OSError, folder: Path) -> OsslError | None:
    """The error to show if `error` means that the disk is full, else None."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return None
    free = shutil.disk_usage(folder).free
    return OsslError(
        "disk_full",
        f"The disk that holds {folder} is full ({free / 1e6:.0f} MB free).",
        "Everything finished is kept: make room and run the same command again.",
    )
