"""Get a film's file: from the corpus, a folder, a local path, the Internet Archive or a website."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from ossl_builder.engine.stage import Item
from ossl_builder.errors import OsslError
from ossl_builder.files import content_changed, sha256_file
from ossl_builder.net.http import legible
from ossl_builder.net.semaphore import hold_slot
from ossl_builder.tables import Film, Source

if TYPE_CHECKING:
    from ossl_builder.net.downloader import DownloadRequest

METADATA = "metadata.json"
BLOCK = 8 << 20


@dataclass(frozen=True)
class SourceFile:
    """A film's file in the item's folder, not yet measured, with the metadata of its source.

    Attributes:
        path: the file.
        sha256: its SHA-256.
        chosen_file: its name at the source.
        chosen_why: why this file was chosen.
        original_sha1: SHA-1 from the source, verified; None: the source has none.
        licence_url: address of a licence that the source names.
        rights_statement: the source's statement on rights.
        length_s: duration that the source states, in seconds; None: it states none.
        metadata: the source's metadata of the film, unchanged, as JSON.
    """

    path: Path
    sha256: str
    chosen_file: str
    chosen_why: str
    original_sha1: str | None = None
    licence_url: str | None = None
    rights_statement: str | None = None
    length_s: float | None = None
    metadata: bytes | None = None


def local_path(source: str) -> Path | None:
    """Return the local path that a source names; None if the source is remote."""
    if source.startswith("file:"):
        return Path(unquote(urlsplit(source).path))
    return None if source.startswith("ia:") or "://" in source else Path(source)


def download_source(item: Item, source: Source, before: Film | None) -> SourceFile:
    """Write a film's file into `item.folder`.

    Args:
        item: the film.
        source: its recorded source.
        before: the film's row from the last fetch, if it came from the same source.

    Raises:
        OsslError: see `fetch_film`.
    """
    pin = source.sha256 or (before.sha256 if before else None)
    if before is not None and before.sha256 != pin:
        before = None  # the user has pinned another file than the last one
    if before is not None and (unchanged := _unchanged_file(item, before)):
        return unchanged
    local = local_path(source.source)
    if item.config.from_dir is not None:
        match = _find_in_folder(Path(item.config.from_dir), source, before, pin)
        if match is not None:
            path, why = match
            return _copy_file(item, path, why, pin)
        if local is None or not local.is_file():
            raise OsslError(
                "not_in_folder",
                f"{item.config.from_dir} has no file for {source.film_id} ({source.source}).",
                f"Name it {source.film_id} with any extension, or as its source does, and put it "
                "there.",
            )
    if local is not None:
        return _copy_file(item, local, "the file named as the source", source.sha256)
    if source.source.startswith("ia:"):
        return _from_archive(item, source, before, pin)
    return _from_site(item, source, pin)


def _unchanged_file(item: Item, before: Film) -> SourceFile | None:
    """Link the film's existing file, if its SHA-256 matches the last row; else None."""
    existing, sha256 = item.file(before.file().path), before.sha256
    if sha256 is None or not existing.is_file() or sha256_file(existing) != sha256:
        return None
    path = item.folder / existing.name
    path.unlink(missing_ok=True)
    os.link(existing, path)
    metadata = existing.with_name(METADATA)
    return SourceFile(
        path=path,
        sha256=sha256,
        chosen_file=before.chosen_file,
        chosen_why=before.chosen_why,
        original_sha1=before.original_sha1,
        licence_url=before.licence_url,
        rights_statement=before.rights_statement,
        metadata=metadata.read_bytes() if metadata.is_file() else None,
    )


def _find_in_folder(
    folder: Path, source: Source, before: Film | None, pin: str | None
) -> tuple[Path, str] | None:
    """Find a film's file in a folder by checksum, if it is pinned, else by name.

    Returns:
        The file and how it was identified; None: there is no such file.
    """
    from ossl_builder.media.file_type import UNKNOWN, extension

    if not folder.is_dir():
        raise OsslError(
            "folder_missing", f"There is no folder {folder}.", "Mount the disk that has it."
        )
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    films = [path for path in paths if extension(path) != UNKNOWN]
    names = set(_names(source, before))
    named = [path for path in films if names & {path.name, path.stem}]
    if pin is not None:
        size = before.size_bytes if before else None
        candidates = named + [path for path in films if path not in named]
        for path in candidates:
            if size in (None, path.stat().st_size) and sha256_file(path) == pin:
                return path, f"its checksum, in a folder: {legible(path.name)}"
        if named:
            raise content_changed(source.film_id, pin, sha256_file(named[0]))
        return None
    if len(named) > 1:
        raise OsslError(
            "several_files",
            f"Several files in {folder} could be {source.film_id}: "
            f"{', '.join(str(path.relative_to(folder)) for path in named)}.",
            "Remove all but one, or record the film with --sha256.",
        )
    return (named[0], f"its name, in a folder: {legible(named[0].name)}") if named else None


def _names(source: Source, before: Film | None) -> Iterator[str]:
    """Yield the file names, with or without extension, that identify a film."""
    yield source.film_id
    if before is not None:
        yield before.chosen_file
    if source.source.startswith("ia:"):
        identifier, slash, name = source.source.removeprefix("ia:").partition("/")
        yield name.rpartition("/")[2] if slash else identifier
    else:
        yield unquote(urlsplit(source.source).path).rpartition("/")[2]


def _copy_file(item: Item, path: Path, why: str, pin: str | None) -> SourceFile:
    if not path.is_file():
        raise OsslError(
            "source_missing",
            f"There is no file {path}.",
            "Mount its disk, or record its new place with `ossl films add`.",
        )
    size = path.stat().st_size
    target = item.folder / f"{item.item_id}.copy"
    done = 0
    with path.open("rb") as reader, target.open("wb") as writer:
        while block := reader.read(BLOCK):
            writer.write(block)
            done += len(block)
            item.progress(0.5 * done / max(size, 1))
    shutil.copymode(path, target)
    sha256 = sha256_file(target)
    if pin is not None and sha256 != pin:
        target.unlink()
        raise content_changed(str(path), pin, sha256)
    return SourceFile(target, sha256, legible(path.name), why)


def _from_archive(item: Item, source: Source, before: Film | None, pin: str | None) -> SourceFile:
    from ossl_builder.net.archive_org import choose_file, fetch_item, item_of
    from ossl_builder.net.downloader import DownloadRequest

    site = item.config.site()
    identifier, named = item_of(source.source)
    archive_item = fetch_item(identifier, site)
    choice = choose_file(
        archive_item, item.config.max_bytes, named or (before.chosen_file if before else None)
    )
    sha1 = choice.files[0].sha1 if len(choice.files) == 1 else None
    name = f"{identifier}/{choice.name}"
    if before and before.original_sha1 and sha1 and before.original_sha1 != sha1:
        raise content_changed(name, before.original_sha1, sha1, "SHA-1")
    several = len(choice.files) > 1
    transferred = []
    for number, file in enumerate(choice.files):
        wanted = DownloadRequest(
            name=f"{identifier}/{file.name}",
            addresses=archive_item.addresses(file, site),
            size_bytes=file.size_bytes,
            sha1=file.sha1,
            md5=file.md5,
            sha256=None if several else pin,
            headers={"User-Agent": site.user_agent},
        )
        transferred.append(_download(item, wanted, f".{number}" if several else ""))
    path, sha256 = (
        _join_parts(item, [path for path, _ in transferred], name, pin)
        if several
        else transferred[0]
    )
    return SourceFile(
        path=path,
        sha256=sha256,
        chosen_file=choice.name,
        chosen_why=before.chosen_why if before else choice.why,
        original_sha1=sha1,
        licence_url=archive_item.licence_url,
        rights_statement=archive_item.rights,
        length_s=choice.length_s,
        metadata=archive_item.document,
    )


def _join_parts(item: Item, parts: list[Path], name: str, pin: str | None) -> tuple[Path, str]:
    """Concatenate the parts of a film; return the file and its SHA-256."""
    target = item.folder / f"{item.item_id}.joined"
    with target.open("wb") as writer:
        for part in parts:
            with part.open("rb") as reader:
                shutil.copyfileobj(reader, writer, BLOCK)
            part.unlink()
    sha256 = sha256_file(target)
    if pin is not None and sha256 != pin:
        target.unlink()
        raise content_changed(name, pin, sha256)
    return target, sha256


def _from_site(item: Item, source: Source, pin: str | None) -> SourceFile:
    from ossl_builder.net.downloader import DownloadRequest, transfer_fragments
    from ossl_builder.net.ytdlp import resolve

    config = item.config
    media = resolve(source.source, config.retry_policy(), config.extractors)
    if media.is_plain:
        wanted = DownloadRequest(
            name=source.source,
            addresses=(media.address,),
            form=media.format,
            size_bytes=media.size_bytes,
            sha256=pin,
            headers=media.headers,
        )
        path, sha256 = _download(item, wanted)
    else:
        path = item.folder / f"{item.item_id}.download"
        with hold_slot("download", config.downloads):
            sha256 = transfer_fragments(
                media, source.source, pin, path, config.limits(), _download_progress(item)
            )["sha256"]
    licence = legible(str(media.about.get("license") or "")) or None
    is_address = licence is not None and licence.startswith(("http://", "https://"))
    return SourceFile(
        path=path,
        sha256=sha256,
        chosen_file=media.format,
        chosen_why="the best form that has video and audio in one file",
        licence_url=licence if is_address else None,
        rights_statement=None if is_address else licence,
        length_s=media.duration_s,
        metadata=json.dumps(media.about, indent=1, sort_keys=True).encode(),
    )


def _download(item: Item, wanted: DownloadRequest, part: str = "") -> tuple[Path, str]:
    from ossl_builder.net.downloader import transfer

    config = item.config
    path = item.folder / f"{item.item_id}{part}.download"
    with hold_slot("download", config.downloads):
        sums = transfer(
            wanted, path, config.limits(), config.retry_policy(), _download_progress(item)
        )
    return path, sums["sha256"]


def _download_progress(item: Item) -> Callable[[float], None]:
    """Return the progress function of the download, the first half of a fetch."""
    return lambda part: item.progress(0.5 * part)
