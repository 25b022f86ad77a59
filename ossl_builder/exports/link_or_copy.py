"""Media files of an export: linked or copied, resumable, each checked against its hash.

A file is read once: it is hashed while it is copied.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ossl_builder import files
from ossl_builder.errors import OsslError

CHUNK = 1 << 20
# What must stay free on the disk beside what an export writes.
MARGIN = 50_000_000


@dataclass(frozen=True)
class Checked:
    """A file whose bytes are compared with its hash while they are read.

    Attributes:
        path: where it is.
        sha256: its hash by the tables; None: they name none, so that it cannot be exported.
    """

    path: Path
    sha256: str | None

    def chunks(self) -> Iterator[bytes]:
        """Its bytes; the error comes after the last of them.

        Raises:
            OsslError: `media_missing`, `media_changed`.
        """
        size_of_file(self.path)
        digest = hashlib.sha256()
        with self.path.open("rb") as source:
            while chunk := source.read(CHUNK):
                digest.update(chunk)
                yield chunk
        if digest.hexdigest() != self.sha256:
            raise _changed(self.path)

    def read(self) -> bytes:
        """All its bytes; see `chunks`."""
        size_of_file(self.path)
        data = self.path.read_bytes()
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise _changed(self.path)
        return data


@dataclass(frozen=True)
class Medium:
    """One media file to be placed.

    Attributes:
        source: where it is.
        target: where it goes.
        sha256: its hash by the tables.
        role: `video`, `mix`, `music` or `dialogue`, where it matters.
    """

    source: Path
    target: Path
    sha256: str
    role: str = ""


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
            "Free disk space, or use --link, which needs none on the same disk.",
        )


def place(media: Sequence[Medium], link: bool) -> Iterator[Medium]:
    """Place files one by one; those that are there already are left alone.

    A target exists only when it is whole: copies are written beside it, compared with the hash in
    the table, and renamed. What is linked, or is there already, is compared, too.

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
                with files.replacing(medium.target) as temporary, temporary.open("wb") as target:
                    target.writelines(Checked(medium.source, medium.sha256).chunks())
        yield medium


def _is_there(medium: Medium) -> bool:
    """Whether the target is what the tables name; also one that is the source's own file.

    A clip that was made again may be as large as the one before: a size alone tells nothing.
    """
    size = size_of_file(medium.source)
    try:
        is_candidate = medium.target.stat().st_size == size
    except FileNotFoundError:
        return False
    return is_candidate and files.sha256_file(medium.target) == medium.sha256


def _linked(medium: Medium) -> bool:
    temporary = medium.target.with_name(f".{medium.target.name}{files.TEMPORARY}")
    temporary.unlink(missing_ok=True)
    try:
        os.link(medium.source.resolve(), temporary)
    except OSError:  # another disk, or one that knows no links
        return False
    if files.sha256_file(temporary) != medium.sha256:
        temporary.unlink()
        raise _changed(medium.source)
    if medium.target.exists() and medium.target.samefile(temporary):
        temporary.unlink()  # renaming one name of a file to another leaves both
    else:
        temporary.replace(medium.target)
    return True


def _changed(path: Path) -> OsslError:
    return OsslError(
        "media_changed",
        f"{path} differs from the SHA-256 in the tables.",
        "`ossl verify` lists all such files; `ossl build` or `ossl import` makes them again.",
    )


def size_of_file(path: Path) -> int:
    """Bytes of a file.

    Raises:
        OsslError: `media_missing`.
    """
    try:
        found = path.stat()
    except FileNotFoundError as error:
        raise _missing(path) from error
    if not stat.S_ISREG(found.st_mode):  # a folder, or a pipe that nobody writes into
        raise _missing(path)
    return found.st_size


def _missing(path: Path) -> OsslError:
    return OsslError(
        "media_missing",
        f"There is no file {path}.",
        "Run `ossl build`; for an imported corpus, run `ossl import`.",
    )
