"""Escape CSV cells on writing, so that no spreadsheet runs one as a formula, and restore them."""

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
