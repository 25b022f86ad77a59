"""Parse the metadata of an Internet Archive item, and find films that are split into parts."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from ossl_builder.net.http import legible
from ossl_builder.net.retry import USER_AGENT, RetryPolicy

VIDEO_SUFFIXES = (
    *(".asf", ".avi", ".divx", ".dv", ".flv", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov", ".mp4"),
    *(".mpe", ".mpeg", ".mpg", ".mts", ".ogm", ".ogv", ".qt", ".ts", ".vob", ".webm", ".wmv"),
)
SERVER = re.compile(r"[A-Za-z0-9.-]+(?::\d{1,5})?")


@dataclass(frozen=True)
class Site:
    """Addresses of the Internet Archive, or of a mirror.

    Attributes:
        metadata_url: prefix of a metadata address; the item's identifier is appended.
        search_url: address of the advanced search.
        download_url: prefix of a download address; ``<identifier>/<file>`` is appended.
        node_url: template of a storage node's address, with ``{server}`` for its name; empty: do
            not use nodes.
        user_agent: the `User-Agent` header of each request.
        retry_policy: the retry policy of each request.
    """

    metadata_url: str = "https://archive.org/metadata/"
    search_url: str = "https://archive.org/advancedsearch.php"
    download_url: str = "https://archive.org/download/"
    node_url: str = "https://{server}"
    user_agent: str = USER_AGENT
    retry_policy: RetryPolicy = field(default=RetryPolicy())


@dataclass(frozen=True)
class ArchiveFile:
    """A file of an item, as the Archive's metadata describes it.

    Attributes:
        name: the file's path within the item.
        format: the Archive's name of the format, e.g. ``h.264``.
        source: ``original``, ``derivative`` or ``metadata``.
        size_bytes: None: not stated; likewise `sha1` and `md5`.
        length_s: duration in seconds; None: not stated.
        original: name of the file from which a derivative was made.
    """

    name: str
    format: str
    source: str
    size_bytes: int | None
    sha1: str | None
    md5: str | None
    length_s: float | None
    original: str | None = None

    @property
    def is_video(self) -> bool:
        """Whether the file name has the suffix of a known video container."""
        return self.name.lower().endswith(VIDEO_SUFFIXES)


@dataclass(frozen=True)
class ArchiveItem:
    """An item of the Archive.

    Attributes:
        metadata: the descriptive fields, each a text or a list of texts.
        server: (node, folder) of the first copy; None: not stated.
        alternate_locations: (node, folder) of each further copy.
        document: the whole metadata document, as downloaded.
    """

    identifier: str
    metadata: dict[str, Any]
    files: tuple[ArchiveFile, ...]
    server: tuple[str, str] | None
    alternate_locations: tuple[tuple[str, str], ...]
    licence_url: str | None
    rights: str | None
    document: bytes

    def addresses(self, file: ArchiveFile, site: Site) -> tuple[str, ...]:
        """Return the addresses of a file: the redirecting one first, then the storage nodes."""
        path = quote(file.name, errors="replace")
        urls = [f"{site.download_url}{self.identifier}/{path}"]
        if site.node_url:
            locations = [self.server, *self.alternate_locations]
            base = site.node_url
            urls += [
                base.replace("{server}", location[0]) + f"{location[1]}/{path}"
                for location in locations
                if location
            ]
        return tuple(dict.fromkeys(urls))


def read_item(identifier: str, fields: dict[str, Any], document: bytes) -> ArchiveItem:
    """Parse a metadata document; a field of an unexpected type becomes empty.

    Args:
        identifier: the item's identifier.
        fields: the parsed document; it must have the list `files`.
        document: the document's bytes.
    """
    metadata = fields.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    return ArchiveItem(
        identifier=identifier,
        metadata=metadata,
        files=tuple(_files(fields["files"])),
        server=_node(fields.get("server"), fields.get("dir")),
        alternate_locations=tuple(_alternates(fields.get("alternate_locations"))),
        licence_url=text_of(metadata.get("licenseurl")),
        rights=text_of(metadata.get("rights")),
        document=document,
    )


def _files(entries: list[Any]) -> Iterator[ArchiveFile]:
    for entry in entries:
        name = text_of(entry.get("name")) if isinstance(entry, dict) else None
        # Private files cannot be downloaded.
        if name is None or str(entry.get("private")).lower() == "true":
            continue
        yield ArchiveFile(
            name=name,
            format=text_of(entry.get("format")) or "",
            source=text_of(entry.get("source")) or "",
            size_bytes=whole_of(entry.get("size")),
            sha1=_hexadecimal(entry.get("sha1"), 40),
            md5=_hexadecimal(entry.get("md5"), 32),
            length_s=_seconds(entry.get("length")),
            original=text_of(entry.get("original")),
        )


def _alternates(locations: Any) -> Iterator[tuple[str, str]]:
    if isinstance(locations, dict):
        for key in ("workable", "servers"):
            entries = locations.get(key)
            for entry in entries if isinstance(entries, list) else []:
                if isinstance(entry, dict):
                    node = _node(entry.get("server"), entry.get("dir"))
                    if node is not None:
                        yield node


def _node(server: Any, folder: Any) -> tuple[str, str] | None:
    if (
        isinstance(server, str)
        and SERVER.fullmatch(server)
        and isinstance(folder, str)
        and folder.startswith("/")
    ):
        return server, quote(folder.rstrip("/"), errors="replace")
    return None


def text_of(value: Any) -> str | None:
    """Return a metadata field as one printable text; a list becomes `a; b`. None: empty."""
    values = value if isinstance(value, list) else [value]
    return legible("; ".join(str(item) for item in values if item is not None)) or None


def whole_of(value: Any) -> int | None:
    """Return a metadata field as an integer; None: it is not one."""
    text = str(value)
    return int(text) if text.isdecimal() and text.isascii() else None


def _hexadecimal(value: Any, digits: int) -> str | None:
    text = str(value).lower()
    return text if re.fullmatch(f"[0-9a-f]{{{digits}}}", text) else None


def _seconds(value: Any) -> float | None:
    """Return a duration in seconds; the Archive writes ``3600.5``, ``60:00`` or ``1:00:00``."""
    if not re.fullmatch(r"(?:\d{1,6}:){0,2}\d{1,9}(?:\.\d+)?", str(value), re.ASCII):
        return None
    seconds = 0.0
    for part in str(value).split(":"):
        seconds = 60 * seconds + float(part)
    return seconds or None


# Containers whose files can be concatenated byte by byte into one valid file.
JOINABLE = (".m2ts", ".mpe", ".mpeg", ".mpg", ".mts", ".ts", ".vob")

_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x")
_NUMBER = rf"(?P<n>\d{{1,2}}|{'|'.join(_WORDS)}|{'|'.join(sorted(_ROMAN, key=len)[::-1])})"
_GAP = r"[ ._\-#()\[\]]*"
# DVD title set: VTS_01_0 is the menu, VTS_01_1 to VTS_01_9 are the film.
_TITLE_SET = re.compile(r"(?P<base>(?:.*/)?vts_\d\d)_(?P<n>[1-9])(?P<rest>)")
_MENU = re.compile(r"(?:.*/)?(?:video_ts|vts_\d\d_0)\.vob", re.IGNORECASE)
_PART = re.compile(
    rf"(?P<base>(?:.*?[^a-z])??)(?:part|pt|reel|disc|disk|cd|dvd|tape|vol|volume){_GAP}{_NUMBER}"
    rf"(?![a-z0-9])(?:{_GAP}of{_GAP}\d+)?(?P<rest>.*)"
)
_OF = re.compile(rf"(?P<base>.*?)(?<!\d)(?P<n>\d{{1,2}}){_GAP}of{_GAP}\d{{1,2}}(?!\d)(?P<rest>.*)")
_NUMBERED = re.compile(r"(?P<base>.*[^\d]|)(?P<n>\d{1,2})(?P<rest>)")


@dataclass(frozen=True)
class Parts:
    """A film that is split into several files.

    Attributes:
        files: the parts in order.
        is_whole: whether the parts are numbered 1, 2, 3 without a gap and their names contain a
            word for "part". A number alone may be an episode number.
    """

    files: tuple[ArchiveFile, ...]
    is_whole: bool

    @property
    def can_be_joined(self) -> bool:
        """Whether the concatenated files are the whole film."""
        return self.is_whole and all(f.name.lower().endswith(JOINABLE) for f in self.files)


def is_menu(file: ArchiveFile) -> bool:
    """Whether a file is a DVD menu."""
    return _MENU.fullmatch(file.name) is not None


def parts_of(files: Sequence[ArchiveFile]) -> list[Parts]:
    """Return all groups of two or more files whose names differ only in the part number."""
    groups: dict[tuple[str, ...], dict[int, ArchiveFile]] = defaultdict(dict)
    for file in files:
        stem, dot, suffix = file.name.lower().rpartition(".")
        for pattern in (_TITLE_SET, _PART, _OF, _NUMBERED):
            if match := pattern.fullmatch(stem):
                key = (pattern.pattern, match["base"], match["rest"], dot + suffix, file.format)
                groups[key].setdefault(_number(match["n"]), file)
                break
    return [
        Parts(
            tuple(group[n] for n in sorted(group)),
            sorted(group) == list(range(1, len(group) + 1)) and key[0] != _NUMBERED.pattern,
        )
        for key, group in groups.items()
        if len(group) > 1
    ]


def _number(text: str) -> int:
    for words in (_WORDS, _ROMAN):
        if text in words:
            return words.index(text) + 1
    return int(text)
