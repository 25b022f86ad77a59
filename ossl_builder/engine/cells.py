"""Text cells of CSV that leaves: none is a formula to a spreadsheet, and nothing of it is lost.

A spreadsheet takes a cell that begins with one of `=`, `+`, `-`, `@`, tab or a line break for a
formula, and formulas can run programs. Such a text gets an apostrophe in front, which
spreadsheets take for "this is text". A text that looks as if it had got one gets one more, so that
taking one away gives back each text.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from typing import Any, Protocol

FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
ESCAPED = re.compile(r"'+[=+\-@\t\r\n]")


def escaped(value: Any) -> Any:
    """A cell as it is written; only texts are changed, numbers are not."""
    return f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value


def plain(cell: str) -> str:
    """The text of a cell that was read; the inverse of `escaped`."""
    return cell[1:] if ESCAPED.match(cell) else cell


class Writes(Protocol):
    """What text can be written to."""

    def write(self, text: str, /) -> object:
        """Write it."""


class Rows:
    """Writes rows of CSV, their texts escaped, each ended by a line feed."""

    def __init__(self, stream: Writes) -> None:
        self._stream = stream
        # `csv` quotes a cell with a carriage return only where rows end with one.
        self._writer = csv.writer(self, lineterminator="\r\n")

    def add(self, cells: Iterable[Any]) -> None:
        """Write a row."""
        self._writer.writerow(map(escaped, cells))

    def write(self, text: str) -> None:
        """Take a row from the module `csv`."""
        self._stream.write(text.removesuffix("\r\n") + "\n")
