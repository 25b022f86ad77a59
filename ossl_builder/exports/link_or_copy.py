"""Link or copy the media files of an export, and compare each with its hash.

A file is read once: it is hashed while it is copied. An interrupted run resumes.
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
# Bytes that must stay free on the disk in addition to the export.
MARGIN = 50_000_000


@dataclass(frozen=True)
class Checked:
    """A file whose bytes are compared with its hash while they are read.

    Attributes:
        path: the file.
        sha256: its hash in the tables; None: the tables have no hash, so reading it fails.
    """

    path: Path
    sha256: str | None

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes in chunks; a wrong hash raises an error after the last chunk.

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
        """Return all bytes; see `chunks`."""
        size_of_file(self.path)
        data = self.path.read_bytes()
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise _changed(self.path)
        return data


@dataclass(frozen=True)
class Medium:
    """One media file to link or copy.

    Attributes:
        source: the existing file.
        target: the file to create.
        sha256: its hash in the tables.
        role: `video`, `mix`, `music` or `dialogue`; empty: not needed.
    """

    source: Path
    target: Path
    sha256: str
    role: str = ""


def size_of(media: Iterable[Medium]) -> int:
    """Return the total size of the source files in bytes.

    Raises:
        OsslError: `media_missing`.
    """
    return sum(size_of_file(medium.source) for medium in media)


def check_room(folder: Path, needed: int) -> None:
    """Check that an export fits on the disk before it starts.

    Args:
        folder: the export's folder, made if it does not exist.
        needed: bytes that the export writes.

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
    """Link or copy files one by one; skip those that are already in place.

    A target exists only when it is complete: a copy is written to a temporary file, compared with
    the hash in the table, and renamed. Links and existing targets are compared as well.

    Args:
        media: the files.
        link: make a hard link instead of a copy; copy where a link is impossible.

    Yields:
        Each medium when it is in place.

    Raises:
        OsslError: `media_missing`, `media_changed`.
    """
    for medium in media:
        if not _is_in_place(medium):
            medium.target.parent.mkdir(parents=True, exist_ok=True)
            if not (link and _link(medium)):
                with files.replacing(medium.target) as temporary, temporary.open("wb") as target:
                    target.writelines(Checked(medium.source, medium.sha256).chunks())
        yield medium


def _is_in_place(medium: Medium) -> bool:
    """Return whether the target has the expected bytes; it may be a link to the source.

    The hash is compared too, because a clip that was made again can have the same size.
    """
    size = size_of_file(medium.source)
    try:
        is_candidate = medium.target.stat().st_size == size
    except FileNotFoundError:
        return False
    return is_candidate and files.sha256_file(medium.target) == medium.sha256


def _link(medium: Medium) -> bool:
    temporary = medium.target.with_name(f".{medium.target.name}{files.TEMPORARY}")
    temporary.unlink(missing_ok=True)
    try:
        os.link(medium.source.resolve(), temporary)
    except OSError:  # another disk, or a file system without hard links
        return False
    if files.sha256_file(temporary) != medium.sha256:
        temporary.unlink()
        raise _changed(medium.source)
    if medium.target.exists() and medium.target.samefile(temporary):
        temporary.unlink()  # renaming a link over another link to the same file does nothing
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
    """Return the size of a file in bytes.

    Raises:
        OsslError: `media_missing`.
    """
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise _missing(path) from error
    if not stat.S_ISREG(status.st_mode):  # a folder, or a pipe, on which reading would block
        raise _missing(path)
    return status.st_size


def _missing(path: Path) -> OsslError:
    return OsslError(
        "media_missing",
        f"There is no file {path}.",
        "Run `ossl build`; for an imported corpus, run `ossl import`.",
    )
