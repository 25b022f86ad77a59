"""Print: messages to standard error, data to standard output."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import typer

Counted = TypeVar("Counted")
Result = TypeVar("Result")

# Characters that a terminal interprets instead of printing: control characters except tab and line
# feed, marks that change the text direction, and surrogates, which represent undecodable bytes.
UNSHOWN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069"
    "\ud800-\udfff]"
)


def harmless(text: str) -> str:
    """Replace the characters that a terminal would interpret by their code points."""
    return UNSHOWN.sub(lambda match: _number(match.group()), text)


def _number(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def say(text: str = "") -> None:
    """Print a message: one line on standard error."""
    typer.echo(harmless(text), err=True)


def line(text: str = "") -> None:
    """Print one line of readable text on standard output."""
    typer.echo(harmless(text))


def as_json(value: Any) -> None:
    """Print one JSON value on standard output, for scripts."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    typer.echo(UNSHOWN.sub(lambda match: f"\\u{ord(match.group()):04x}", text))


def emit(result: Result, as_json_text: bool, show: Callable[[Result], Any]) -> None:
    """Print a command's result: as JSON, or with `show` as readable text.

    Args:
        result: plain values.
        as_json_text: whether to print JSON (`--json`).
        show: prints the result as readable text.
    """
    if as_json_text:
        as_json(result)
    else:
        show(result)


def lines(texts: Iterable[str]) -> None:
    """Print one text per line."""
    for text in texts:
        line(text)


def rows(entries: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print the given columns of the entries as a table; lists are joined with blanks."""
    table(columns, [[_plain(entry[name]) for name in columns] for entry in entries])


def _plain(value: Any) -> Any:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else value


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table; numeric columns are aligned right, and no cell is truncated."""
    cells_by_row = [["" if cell is None else _cell(str(cell)) for cell in row] for row in rows]
    header = [_cell(name) for name in header]
    widths = [max(map(len, column)) for column in zip(header, *cells_by_row, strict=True)]
    numeric = [
        bool(cells_by_row) and all(_is_number(row[index]) for row in cells_by_row)
        for index in range(len(header))
    ]
    for row in [list(header), *cells_by_row]:
        cells = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ]
        typer.echo("  ".join(cells).rstrip())


def _cell(text: str) -> str:
    return harmless(re.sub(r"[\t\n]", " ", text))


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).replace("-", "", 1).isdigit() or not text


def counted(items: Sequence[Counted], description: str) -> Iterator[Counted]:
    """Yield the items; show a progress bar on a terminal."""
    import sys

    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(items, description=description, console=Console(stderr=True), transient=True)


@contextmanager
def bar(total: int, description: str) -> Iterator[Callable[[], None]]:
    """Yield a function to call after each of `total` steps; it advances a bar on a terminal."""
    import sys

    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(description, total=total)
        yield lambda: progress.advance(task)
