"""Internet Archive: fetch an item's metadata, choose the film's file, search."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from ossl_builder.errors import OsslError
from ossl_builder.net.archive_item import (
    ArchiveFile,
    ArchiveItem,
    Site,
    is_menu,
    parts_of,
    read_item,
    text_of,
    whole_of,
)
from ossl_builder.net.http import get_json
from ossl_builder.net.retry import TransferError
from ossl_builder.tables.catalogue import checked_source

__all__ = [
    "RULE",
    "ArchiveFile",
    "ArchiveItem",
    "Choice",
    "Found",
    "Site",
    "choose_file",
    "fetch_item",
    "item_of",
    "search",
]

RULE = (
    "the original if it is a video within the size cap, else the h.264 derivative; "
    "the longest if there are several, the parts together if it is in parts"
)
JOIN = " + "  # separates the names of a film's parts
# A file with at least this fraction of the total length of all parts is the whole film.
_WHOLE = 0.9
_EXTRA = re.compile(r"(?<![a-z])(trailer|teaser|preview|promo|sample|bonus|extras?)(?![a-z])")


@dataclass(frozen=True)
class Choice:
    """The chosen files of an item (one file, or the parts in order) and the reason."""

    files: tuple[ArchiveFile, ...]
    why: str

    @property
    def name(self) -> str:
        """Return the file's name, or the parts' names joined with `JOIN`."""
        return JOIN.join(file.name for file in self.files)

    @property
    def size_bytes(self) -> int | None:
        """Return the total size of the files; None: not stated."""
        sizes = [file.size_bytes for file in self.files]
        return None if None in sizes else sum(size or 0 for size in sizes)

    @property
    def length_s(self) -> float | None:
        """Return the total duration of the files in seconds; None: not stated."""
        lengths = [file.length_s for file in self.files]
        return None if None in lengths else sum(length or 0 for length in lengths)


@dataclass(frozen=True)
class Found:
    """A search result; `size_bytes` is the total size of the item's files."""

    identifier: str
    title: str
    year: int | None
    licence_url: str | None
    size_bytes: int | None
    downloads: int | None


def item_of(source: str) -> tuple[str, str | None]:
    """Split a source ``ia:<identifier>[/<file>]`` into identifier and file name (None: no file).

    Raises:
        OsslError: `source_invalid`.
    """
    identifier, _, name = checked_source(source).removeprefix("ia:").partition("/")
    return identifier, name or None


def fetch_item(identifier: str, site: Site) -> ArchiveItem:
    """Download and parse the metadata of an item.

    Raises:
        OsslError: `item_missing`, `archive_unreachable`, `source_invalid`.
    """
    if item_of(f"ia:{identifier}") != (identifier, None):
        raise OsslError(
            "source_invalid",
            f"{identifier!r} is not an identifier of the Internet Archive.",
            "It is the end of an item's address: https://archive.org/details/<identifier>.",
        )
    try:
        fields, document = get_json(
            site.metadata_url + identifier, site.retry_policy, site.user_agent
        )
    except TransferError as error:
        if error.status == 404:
            raise _missing(identifier, "does not exist") from error
        raise _unreachable(f"Metadata of the item {identifier}", error) from error
    if not isinstance(fields, dict) or not isinstance(fields.get("files"), list):
        is_dark = isinstance(fields, dict) and fields.get("is_dark")
        raise _missing(identifier, "was taken down" if is_dark else "does not exist")
    return read_item(identifier, fields, document)


def choose_file(item: ArchiveItem, max_bytes: int, wanted: str | None = None) -> Choice:
    """Choose a film's file by `RULE`, or by name.

    Args:
        item: the item.
        max_bytes: maximum size.
        wanted: a file name, or the names of parts joined with `JOIN`; None: apply `RULE`. A plus
            matches a space, because the Archive's addresses may use it.

    Raises:
        OsslError: `file_missing` (the item has no file of this name), `no_film` (no video is an
            original or an h.264 derivative), `too_large` (all candidates are larger than
            `max_bytes`), `film_in_parts` (the film has parts that cannot be joined).
    """
    videos = [file for file in item.files if file.is_video]
    if wanted is not None:
        return _named(item, videos, wanted, max_bytes)
    # A failed upload leaves an empty file.
    films = [file for file in videos if file.size_bytes != 0 and not is_menu(file)]
    originals = [file for file in films if file.source == "original"]
    derived = [
        file
        for file in films
        if file.source == "derivative" and file.format.lower().startswith("h.264")
    ]
    for files, kind in ((originals, "original video"), (derived, "h.264 derivative")):
        fitting = [file for file in files if (file.size_bytes or 0) <= max_bytes]
        if fitting:
            chosen, rank = _largest(item, fitting)
            if len(chosen) > 1:
                why = f"the {len(chosen)} parts of the film, joined"
            else:
                why = f"the {kind}" if len(files) == 1 else f"the {rank} of {len(files)} {kind}s"
            if files is derived:
                why += f"; {_why_no_original(videos, max_bytes)}"
            elif len(chosen) == 1 and len(fitting) < len(files):
                why += f" that are no larger than {max_bytes / 1e9:g} GB"
            choice = Choice(chosen, why)
            if (choice.size_bytes or 0) > max_bytes:
                raise _too_large(item, list(chosen), max_bytes)
            return choice
    if originals or derived:
        raise _too_large(item, originals + derived, max_bytes)
    raise OsslError(
        "no_film",
        f"No original and no h.264 derivative of the item {item.identifier} is a film.",
        f"Choose a file: ia:{item.identifier}/<file>. Its videos are: {_listed(videos) or 'none'}.",
    )


def _named(item: ArchiveItem, videos: list[ArchiveFile], wanted: str, max_bytes: int) -> Choice:
    exact = {file.name: file for file in item.files}
    spaced = {file.name.replace("+", " "): file for file in item.files}
    names = [wanted] if wanted in exact else wanted.split(JOIN)
    matches = [exact.get(name) or spaced.get(name.replace("+", " ")) for name in names]
    files = tuple(file for file in matches if file is not None)
    if len(files) < len(matches):
        raise OsslError(
            "file_missing",
            f"The item {item.identifier} has no file {wanted!r}.",
            f"Its films are: {_listed(videos) or 'none'}.",
        )
    choice = Choice(files, "the file named in the source")
    if (choice.size_bytes or 0) > max_bytes:
        raise _too_large(item, list(files), max_bytes)
    return choice


def _largest(item: ArchiveItem, files: list[ArchiveFile]) -> tuple[tuple[ArchiveFile, ...], str]:
    """Return the film's file or its parts in order, and `longest` or `largest` as the reason.

    Compare durations if every file, or a derivative of it, states one; otherwise compare sizes.
    (A trailer with a known duration must not win over a film without one.) Ignore trailers and
    extras unless there is nothing else.
    """
    files = [file for file in files if not _EXTRA.search(file.name.lower())] or files
    lengths = {file.name: _length_s(item, file) for file in files}
    by_length = all(lengths.values())

    def measure(file: ArchiveFile) -> float:
        return (lengths[file.name] if by_length else file.size_bytes) or 0

    best = min(files, key=lambda f: (-measure(f), -(f.size_bytes or 0), f.name))
    groups = parts_of(files)
    if groups:
        parts = max(groups, key=lambda group: sum(map(measure, group.files)))
        if measure(best) < _WHOLE * sum(map(measure, parts.files)):
            if not parts.can_be_joined:
                raise _in_parts(item, parts.files)
            return parts.files, ""
    return (best,), "longest" if by_length else "largest"


def _length_s(item: ArchiveItem, file: ArchiveFile) -> float | None:
    derived = [other.length_s for other in item.files if other.original == file.name]
    return file.length_s or max((length for length in derived if length), default=None)


def search(text: str, site: Site, rows: int) -> list[Found]:
    """Search films with the Archive's advanced search; sort by number of downloads, descending.

    Raises:
        OsslError: `search_failed`, `archive_unreachable`.
    """
    fields = ("identifier", "title", "year", "licenseurl", "item_size", "downloads")
    query = [("q", f"({text}) AND mediatype:movies")]
    query += [("fl[]", name) for name in fields]
    query += [("sort[]", "downloads desc"), ("rows", str(rows)), ("output", "json")]
    try:
        answer, _ = get_json(
            f"{site.search_url}?{urlencode(query)}", site.retry_policy, site.user_agent
        )
    except TransferError as error:
        raise _unreachable("The search", error) from error
    try:
        return [
            Found(
                identifier=str(entry["identifier"]),
                title=text_of(entry.get("title")) or "",
                year=whole_of(entry.get("year")),
                licence_url=text_of(entry.get("licenseurl")),
                size_bytes=whole_of(entry.get("item_size")),
                downloads=whole_of(entry.get("downloads")),
            )
            for entry in answer["response"]["docs"]
        ]
    except (KeyError, TypeError, AttributeError) as error:
        why = text_of(answer.get("error")) if isinstance(answer, dict) else None
        raise OsslError(
            "search_failed",
            f"The Internet Archive rejected the search for {text!r}{f' ({why})' if why else ''}.",
            "Use plain words, or its query syntax: title:(...) AND year:1930.",
        ) from error


def _listed(files: Sequence[ArchiveFile]) -> str:
    sizes = [
        f"{file.name} ({file.format}, {(file.size_bytes or 0) / 1e9:.2f} GB)" for file in files
    ]
    return ", ".join(sizes[:8]) + (f" and {len(sizes) - 8} more" if len(sizes) > 8 else "")


def _why_no_original(videos: list[ArchiveFile], max_bytes: int) -> str:
    originals = [file for file in videos if file.source == "original" and not is_menu(file)]
    if not originals:
        return "no original is a video"
    if all(file.size_bytes == 0 for file in originals):
        return f"the original is empty ({_listed(originals)})"
    return f"the original is larger than {max_bytes / 1e9:g} GB ({_listed(originals)})"


def _in_parts(item: ArchiveItem, files: Sequence[ArchiveFile]) -> OsslError:
    names = ", ".join(file.name for file in files)
    return OsslError(
        "film_in_parts",
        f"The item {item.identifier} has {len(files)} files that may be parts of one film: "
        f"{names}.",
        f"Choose a file that is a whole film: ia:{item.identifier}/<file>. Or download them, join "
        "them, and add the file.",
    )


def _too_large(item: ArchiveItem, files: list[ArchiveFile], max_bytes: int) -> OsslError:
    return OsslError(
        "too_large",
        f"The film in {item.identifier} is larger than {max_bytes / 1e9:g} GB: {_listed(files)}.",
        "Raise fetch.max_gb in the recipe, or choose another source.",
    )


def _missing(identifier: str, state: str) -> OsslError:
    return OsslError(
        "item_missing",
        f"The item {identifier} of the Internet Archive {state}.",
        "Look for the film elsewhere: `ossl films search` asks the Archive for candidates.",
    )


def _unreachable(subject: str, error: TransferError) -> OsslError:
    wait = (
        f" It asks to be left alone for {error.asked_wait_s:.0f} s." if error.asked_wait_s else ""
    )
    return OsslError(
        "archive_unreachable",
        f"{subject} could not be downloaded: the Internet Archive {error.predicate}.{wait}",
        "Run the same command again later to resume, or set fetch.archive_url to a mirror.",
    )
