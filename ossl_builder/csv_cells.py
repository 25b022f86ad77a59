"""Escape CSV cells, so that no spreadsheet runs one as a formula, and unescape them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from typing import Any, Protocol

FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
ESCAPED = re.compile(r"'+[=+\-@\t\r\n]")


def escaped(value: Any) -> Any:
    """Return a cell as it is written; only strings are escaped, not numbers."""
    return f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value


def plain(cell: str) -> str:
    """Return the text of a cell that was read; the inverse of `escaped`."""
    return cell[1:] if ESCAPED.match(cell) else cell


class Writes(Protocol):
    """A stream that text can be written to."""

    def write(self, text: str, /) -> object:
        """Write a text."""


class Rows:
    """A writer of CSV rows; strings are escaped, rows end with a line feed."""

    def __init__(self, stream: Writes) -> None:
        self._stream = stream
        # `csv` quotes a cell with a carriage return only if rows end with one.
        self._writer = csv.writer(self, lineterminator="\r\n")

    def add(self, cells: Iterable[Any]) -> None:
        """Write a row."""
        self._writer.writerow(map(escaped, cells))

    def write(self, text: str) -> None:
        """Write a row that the `csv` module has formatted, with a line feed at its end."""
        self._stream.write(text.removesuffix("\r\n") + "\n")
