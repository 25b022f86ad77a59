"""Write files atomically, hash them, and check that paths do not lead out of their folder."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from ossl_builder import parse
from ossl_builder.errors import OsslError

# A path in a table is relative, uses forward slashes, and has no part `..`. An id that is part of
# file names has no slash. Both patterns match bad values, also in Arrow's regular expressions.
UNSAFE_PATH = re.compile(r"[\\\x00-\x1f\x7f]|(?:^|/)\.{0,2}(?:/|$)")
UNSAFE_NAME = re.compile(r"[/\\\x00-\x1f\x7f]|^\.{0,2}$")
TEMPORARY = ".partial"


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_remembered(path: Path) -> str:
    """Return the SHA-256 of a file; a process hashes it again if its size or time changes."""
    status = path.stat()
    return _sha256_at(path.resolve(), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=65_536)
def _sha256_at(path: Path, size: int, mtime_ns: int) -> str:
    return sha256_file(path)


def sha256_json(value: Any) -> str:
    """Return the SHA-256 of plain values, from their JSON text with sorted keys."""
    return hashlib.sha256(json_bytes(value)).hexdigest()


def json_bytes(value: Any) -> bytes:
    """Return plain values as compact JSON with sorted keys; equal values give equal bytes."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return text.encode()


def read_json(path: Path) -> Any:
    """Return the value of a JSON file that this program wrote; None if missing or damaged."""
    try:
        return parse.json_value(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically: temporary file in the same folder, flush to disk, rename."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success flush it and rename it to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}{TEMPORARY}")
    # It may be a symbolic link from an attacker: writing would follow it.
    temporary.unlink(missing_ok=True)
    try:
        yield temporary
        flush(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def flush(path: Path) -> None:
    """Flush a file's bytes to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def swap_folder(new_folder: Path, final: Path) -> None:
    """Replace the folder `final` by `new_folder`."""
    for path in new_folder.rglob("*"):
        if path.is_file():
            flush(path)
    old_folder = final.with_name(f".{final.name}.old")
    shutil.rmtree(old_folder, ignore_errors=True)
    if final.exists():
        final.rename(old_folder)
    new_folder.rename(final)
    shutil.rmtree(old_folder, ignore_errors=True)


def disk_full(error: OSError, folder: Path) -> OsslError | None:
    """Return the error to raise if `error` means that the disk is full, else None."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return None
    free = shutil.disk_usage(folder).free
    return OsslError(
        "disk_full",
        f"The disk that holds {folder} is full ({free / 1e6:.0f} MB free).",
        "Finished results are kept. Free disk space and run the same command again.",
    )


@contextlib.contextmanager
def explained_full_disk(folder: Path) -> Iterator[None]:
    """Raise `disk_full` in place of an `OSError` that means it.

    Raises:
        OsslError: `disk_full`.
    """
    try:
        yield
    except OSError as error:
        full = disk_full(error, folder)
        if full is None:
            raise
        raise full from error


def bundled_folder(name: str) -> Path:
    """Return the path of a folder that is shipped with the program.

    In a wheel it is in `ossl_builder/bundled/`; in a checkout it is in the repository's root.

    Args:
        name: `manifests` or `annotations`.
    """
    package = Path(__file__).parent
    in_wheel = package / "bundled" / name
    return in_wheel if in_wheel.exists() else package.parent / name


def inside(root: Path, name: str) -> Path:
    """Return the full path of a relative path; the file need not exist.

    Args:
        root: the folder that the path is relative to.
        name: the path.

    Raises:
        OsslError: `path_outside`.
    """
    if UNSAFE_PATH.search(name):
        raise outside(root, name)
    path = root / name
    if not leads_inside(root, path):
        raise outside(root, name)
    return path


def existing(root: Path, name: str | None) -> Path | None:
    """Return the full path of a relative path; None if no such file exists or it leads out."""
    if name is None or UNSAFE_PATH.search(name):
        return None
    path = root / name
    return path if path.is_file() and leads_inside(root, path) else None


def leads_inside(root: Path, path: Path) -> bool:
    """Decide whether a path is below a folder after all symbolic links are resolved."""
    base = os.path.realpath(root)
    return os.path.realpath(path).startswith(f"{base.rstrip('/')}/")


def check_folders(root: Path, names: Iterable[str], deep: Iterable[str]) -> None:
    """Check that entries of a folder are not symbolic links that lead out of it.

    Args:
        root: the folder.
        names: entries to check; they need not exist.
        deep: those of them whose own entries are checked, too.

    Raises:
        OsslError: `path_outside`.
    """
    below = {*deep}
    for name in names:
        _check_link(root, root / name)
        if name in below and (root / name).is_dir():
            with os.scandir(root / name) as entries:
                for entry in entries:
                    if entry.is_symlink():
                        _check_link(root, Path(entry.path))


def _check_link(root: Path, path: Path) -> None:
    if path.is_symlink() and not leads_inside(root, path):
        raise outside(root, path.relative_to(root).as_posix())


def outside(root: Path, name: str) -> OsslError:
    """Return the error for a path that leads out of its folder."""
    return OsslError(
        "path_outside",
        f"The path {name!r} leads out of {root}.",
        "Nothing outside is read or written. If you did not create this folder, somebody "
        "has forged it; if you did, put the file itself in the place of the link.",
    )


BLOCK = 1 << 20


def checksums(path: Path) -> dict[str, str]:
    """Return `sha256`, `sha1` and `md5` of a file, in hexadecimal; read the file once."""
    hashes = {name: hashlib.new(name, usedforsecurity=False) for name in ("sha256", "sha1", "md5")}
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            for digest in hashes.values():
                digest.update(block)
    return {name: digest.hexdigest() for name, digest in hashes.items()}


def content_changed(name: str, pinned: str, actual: str, kind: str = "SHA-256") -> OsslError:
    """Return the error for a file that differs from the recorded or pinned one.

    Args:
        name: name of the file.
        pinned: the expected checksum.
        actual: the file's checksum.
        kind: algorithm of both checksums.
    """
    way = f"record the film again with --sha256 {actual}, or " if kind == "SHA-256" else ""
    return OsslError(
        "content_changed",
        f"{name} is a different file: its {kind} is {actual}, but {pinned} was recorded.",
        "It was not used; the present file is kept. To use it anyway, "
        f"{way}remove the film, run `ossl clean`, and add it again.",
    )
