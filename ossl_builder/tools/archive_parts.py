"""Files of an item that are one film in parts: reels, discs, the title set of a DVD."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ossl_builder.tools.archive_item import ArchiveFile

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
