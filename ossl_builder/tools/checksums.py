"""Checksums of a film's file, and what is said when it is not the file it was."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ossl_builder.errors import OsslError

BLOCK = 1 << 20


def checksums(path: Path) -> dict[str, str]:
    """`sha256`, `sha1` and `md5` of a file's bytes, in hexadecimal, in one reading."""
    hashes = {name: hashlib.new(name, usedforsecurity=False) for name in ("sha256", "sha1", "md5")}
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            for one in hashes.values():
                one.update(block)
    return {name: one.hexdigest() for name, one in hashes.items()}


def content_changed(name: str, pinned: str, found: str, kind: str = "SHA-256") -> OsslError:
    """The error for a file that is not the one it was, or that the user pinned.

    Args:
        kind: of both checksums.
    """
    way = f"record the film again with --sha256 {found}, or " if kind == "SHA-256" else ""
    return OsslError(
        "content_changed",
        f"{name} is another file: its {kind} is {found}, and the one pinned is {pinned}.",
        "It was not taken, and what was here stays. If it is wanted all the same, "
        f"{way}remove the film, run `ossl clean`, and add it again.",
    )
