"""Paths that come from tables, records, releases: none leads out of the folder it belongs to.

A corpus can come from anybody. So a path in it is relative, has no `..`, and goes through no link
that leads out. `inside` is the one way from such a path to a file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ossl_builder.errors import OsslError
from ossl_builder.tables.schema import UNSAFE_PATH


def inside(root: Path, name: str) -> Path:
    """The file that a path means, whether it exists or not.

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
    """As `inside`; None if there is no such file, or the path leads out."""
    if name is None or UNSAFE_PATH.search(name):
        return None
    path = root / name
    return path if path.is_file() and leads_inside(root, path) else None


def leads_inside(root: Path, path: Path) -> bool:
    """Whether what a path means lies below a folder, with all links followed."""
    base = os.path.realpath(root)
    return os.path.realpath(path).startswith(f"{base.rstrip('/')}/")


def check_folders(root: Path, names: Iterable[str], deep: Iterable[str]) -> None:
    """See that entries of a folder are no links that lead out of it.

    Args:
        root: the folder.
        names: entries to look at; they need not exist.
        deep: those of them whose own entries are looked at, too.

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
    """The error for a path that leads out of its folder."""
    return OsslError(
        "path_outside",
        f"The path {name!r} leads out of {root}.",
        "Nothing outside is read or written. If you did not make this folder yourself, somebody "
        "has forged it; if you did, put the file itself in the place of the link.",
    )
