"""Media files of an export: linked or copied, resumable, each checked against its hash."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ossl_builder.engine import files
from ossl_builder.errors import OsslError

CHUNK = 1 << 20
# What must stay free on the disk beside what an export writes.
MARGIN = 50_000_000


@dataclass(frozen=True)
class Medium:
    """One media file to be placed.

    Attributes:
        source: where it is.
        target: where it goes.
        sha256: its hash by the tables.
    """

    source: Path
    target: Path
    sha256: str


def size_of(media: Iterable[Medium]) -> int:
    """Bytes of all files together.

    Raises:
        OsslError: `media_missing`.
    """
    return sum(size_of_file(medium.source) for medium in media)


def check_room(folder: Path, needed: int) -> None:
    """See that an export fits on the disk before it begins.

    Raises:
        OsslError: `disk_small`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if needed + MARGIN > free:
        raise OsslError(
            "disk_small",
            f"The export needs {needed / 1e9:.2f} GB and {folder} has {free / 1e9:.2f} GB free.",
            "Make room, or use --link, which needs none on the same disk.",
        )


def place(media: Sequence[Medium], link: bool) -> Iterator[Medium]:
    """Place files one by one; those that are there already are left alone.

    A target exists only when it is whole: copies are written beside it, compared with the hash in
    the table, and renamed.

    Args:
        link: share the file (a hard link) instead of copying it; copies where that is impossible.

    Yields:
        Each medium when it is in place.

    Raises:
        OsslError: `media_missing`, `media_changed`.
    """
    for medium in media:
        if not _is_there(medium):
            medium.target.parent.mkdir(parents=True, exist_ok=True)
            if not (link and _linked(medium)):
                _copy(medium)
        yield medium


def _is_there(medium: Medium) -> bool:
    """Whether the target is the source's file, or a copy of what the tables name.

    A clip that was made again may be as large as the one before: a size alone tells nothing.
    """
    size = size_of_file(medium.source)
    if not medium.target.exists():
        return False
    if medium.target.samefile(medium.source):
        return True
    return medium.target.stat().st_size == size and (
        files.sha256_file(medium.target) == medium.sha256
    )


def _linked(medium: Medium) -> bool:
    temporary = medium.target.with_name(f".{medium.target.name}{files.TEMPORARY}")
    temporary.unlink(missing_ok=True)
    try:
        os.link(medium.source.resolve(), temporary)
    except OSError:  # another disk, or one that knows no links
        return False
    temporary.replace(medium.target)
    return True


def _copy(medium: Medium) -> None:
    digest = hashlib.sha256()
    with files.replacing(medium.target) as temporary:
        with medium.source.open("rb") as source, temporary.open("wb") as target:
            while chunk := source.read(CHUNK):
                digest.update(chunk)
                target.write(chunk)
        if digest.hexdigest() != medium.sha256:
            raise OsslError(
                "media_changed",
                f"The bytes of {medium.source} are not those the tables name.",
                "`ossl verify` lists all such files; `ossl build` or `ossl import` mends them.",
            )


def size_of_file(path: Path) -> int:
    """Bytes of a file.

    Raises:
        OsslError: `media_missing`.
    """
    try:
        return path.stat().st_size
    except FileNotFoundError as error:
        raise OsslError(
            "media_missing",
            f"The file {path} is gone.",
            "`ossl build` makes it again; in an imported corpus `ossl import` brings it.",
        ) from error
