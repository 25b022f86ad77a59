"""An item of the Internet Archive: its files, and which of them are one film in parts."""

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
    """Where the Archive is, or what stands in for it.

    Attributes:
        metadata_url: an item's identifier is put behind it.
        search_url: the advanced search.
        download_url: ``<identifier>/<file>`` is put behind it.
        node_url: a node's address, with ``{server}`` for its name; empty: nodes are not asked.
    """

    metadata_url: str = "https://archive.org/metadata/"
    search_url: str = "https://archive.org/advancedsearch.php"
    download_url: str = "https://archive.org/download/"
    node_url: str = "https://{server}"
    user_agent: str = USER_AGENT
    patience: RetryPolicy = field(default=RetryPolicy())


@dataclass(frozen=True)
class ArchiveFile:
    """A file of an item, as the Archive describes it.

    Attributes:
        format: the Archive's word, e.g. ``h.264``.
        source: ``original``, ``derivative`` or ``metadata``.
        length_s: how long it plays, in seconds; None: not stated.
        original: name of the file that a derivative was made from.
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
        """Whether its name says that it is a film in a container we know."""
        return self.name.lower().endswith(VIDEO_SUFFIXES)


@dataclass(frozen=True)
class ArchiveItem:
    """An item of the Archive.

    Attributes:
        metadata: its descriptive fields, each a text or a list of texts.
        server: node and folder of the first copy; None: not stated.
        alternate_locations: nodes and folders of further copies.
        document: the whole metadata document, as it came.
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
        """Where a file is to be had: the Archive's own choice of node first, then the nodes."""
        path = quote(file.name, errors="replace")
        found = [f"{site.download_url}{self.identifier}/{path}"]
        if site.node_url:
            nodes = [self.server, *self.alternate_locations]
            base = site.node_url
            found += [
                base.replace("{server}", node[0]) + f"{node[1]}/{path}" for node in nodes if node
            ]
        return tuple(dict.fromkeys(found))


def read_item(identifier: str, found: dict[str, Any], document: bytes) -> ArchiveItem:
    """The item that a metadata document describes; fields in another form than known are empty.

    Args:
        found: the document, which has the list `files`.
        document: its bytes.
    """
    metadata = found.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    return ArchiveItem(
        identifier=identifier,
        metadata=metadata,
        files=tuple(_files(found["files"])),
        server=_node(found.get("server"), found.get("dir")),
        alternate_locations=tuple(_alternates(found.get("alternate_locations"))),
        licence_url=text_of(metadata.get("licenseurl")),
        rights=text_of(metadata.get("rights")),
        document=document,
    )


def _files(entries: list[Any]) -> Iterator[ArchiveFile]:
    for entry in entries:
        name = text_of(entry.get("name")) if isinstance(entry, dict) else None
        # What is private cannot be downloaded.
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
    """A field as one printable text; the Archive gives lists where there are several values."""
    values = value if isinstance(value, list) else [value]
    return legible("; ".join(str(one) for one in values if one is not None)) or None


def whole_of(value: Any) -> int | None:
    """A field as a whole number, if it is one."""
    text = str(value)
    return int(text) if text.isdecimal() and text.isascii() else None


def _hexadecimal(value: Any, digits: int) -> str | None:
    text = str(value).lower()
    return text if re.fullmatch(f"[0-9a-f]{{{digits}}}", text) else None


def _seconds(value: Any) -> float | None:
    """A length as the Archive writes it: ``3600.5``, ``60:00`` or ``1:00:00``."""
    if not re.fullmatch(r"(?:\d{1,6}:){0,2}\d{1,9}(?:\.\d+)?", str(value), re.ASCII):
        return None
    seconds = 0.0
    for part in str(value).split(":"):
        seconds = 60 * seconds + float(part)
    return seconds or None


# Containers whose parts, put one behind the other, are one file of the same kind.
JOINABLE = (".m2ts", ".mpe", ".mpeg", ".mpg", ".mts", ".ts", ".vob")

_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x")
_NUMBER = rf"(?P<n>\d{{1,2}}|{'|'.join(_WORDS)}|{'|'.join(sorted(_ROMAN, key=len)[::-1])})"
_GAP = r"[ ._\-#()\[\]]*"
# A title set: VTS_01_0 is its menu, VTS_01_1 to VTS_01_9 are the film.
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
    """A film in parts.

    Attributes:
        files: in order.
        is_whole: whether they are numbered 1, 2, 3 without a gap, and named as parts: a number
            alone may also be that of an episode.
    """

    files: tuple[ArchiveFile, ...]
    is_whole: bool

    @property
    def can_be_joined(self) -> bool:
        """Whether the files, one behind the other, are the film."""
        return self.is_whole and all(f.name.lower().endswith(JOINABLE) for f in self.files)


def is_menu(file: ArchiveFile) -> bool:
    """Whether a file is the menu of a DVD."""
    return _MENU.fullmatch(file.name) is not None


def parts_of(files: Sequence[ArchiveFile]) -> list[Parts]:
    """All groups of two files and more that differ in the number of the part only."""
    groups: dict[tuple[str, ...], dict[int, ArchiveFile]] = defaultdict(dict)
    for file in files:
        stem, dot, suffix = file.name.lower().rpartition(".")
        for pattern in (_TITLE_SET, _PART, _OF, _NUMBERED):
            if found := pattern.fullmatch(stem):
                key = (pattern.pattern, found["base"], found["rest"], dot + suffix, file.format)
                groups[key].setdefault(_number(found["n"]), file)
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
