"""Print: messages to standard error, data to standard output."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from ossl_builder.engine.records import Record
from ossl_builder.engine.schedule import Event, Finished, Progressed, Started

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

Counted = TypeVar("Counted")
Result = TypeVar("Result")

# What a terminal obeys instead of showing it: control characters but tab and line feed, marks that
# turn the direction of text, and the surrogates by which Python represents undecodable bytes.
UNSHOWN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069"
    "\ud800-\udfff]"
)


def harmless(text: str) -> str:
    """Replace the characters that a terminal would obey by their numbers."""
    return UNSHOWN.sub(lambda found: _number(found.group()), text)


def _number(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def say(text: str = "") -> None:
    """Print a message: one line on standard error."""
    typer.echo(harmless(text), err=True)


def line(text: str = "") -> None:
    """Print data for people: one line on standard output."""
    typer.echo(harmless(text))


def as_json(value: Any) -> None:
    """Print data for scripts: one JSON value on standard output."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    typer.echo(UNSHOWN.sub(lambda found: f"\\u{ord(found.group()):04x}", text))


def emit(result: Result, as_json_text: bool, show: Callable[[Result], Any]) -> None:
    """Print a command's result: as JSON for scripts, or by `show` for people.

    Args:
        result: plain values.
        as_json_text: whether `--json` was given.
        show: prints the result for people.
    """
    if as_json_text:
        as_json(result)
    else:
        show(result)


def lines(texts: Iterable[str]) -> None:
    """Print data for people: one text per line."""
    for text in texts:
        line(text)


def rows(entries: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print data for people: these columns of the entries, with a header; lists as words."""
    table(columns, [[_plain(entry[name]) for name in columns] for entry in entries])


def _plain(value: Any) -> Any:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else value


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print data for people: columns, numbers aligned right, nothing cut off."""
    shown = [["" if cell is None else _cell(str(cell)) for cell in row] for row in rows]
    header = [_cell(name) for name in header]
    widths = [max(map(len, column)) for column in zip(header, *shown, strict=True)]
    numeric = [
        bool(shown) and all(_is_number(row[index]) for row in shown) for index in range(len(header))
    ]
    for row in [list(header), *shown]:
        cells = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ]
        typer.echo("  ".join(cells).rstrip())


def _cell(text: str) -> str:
    return harmless(re.sub(r"[\t\n]", " ", text))


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).replace("-", "", 1).isdigit() or not text


def sentence(record: Record) -> str:
    """Describe in one line how an item ended."""
    if record.state == "done":
        left_out = sum(record.rejects.values())
        text = f"{record.n_rows} row{'' if record.n_rows == 1 else 's'}"
        return text + (f", {left_out} candidates rejected" if left_out else "")
    return f"{record.code}: {record.message} {record.hint}".strip()


def counted(items: Sequence[Counted], what: str) -> Iterator[Counted]:
    """Yield the items; on a terminal a progress bar counts them."""
    import sys

    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(items, description=what, console=Console(stderr=True), transient=True)


@contextmanager
def bar(total: int, what: str) -> Iterator[Callable[[], None]]:
    """Give a function to call after each of `total` steps; on a terminal it moves a bar."""
    import sys

    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda: progress.advance(task)


class Watcher:
    """Show a running build: bars on a terminal, lines elsewhere."""

    def __init__(self, film_ids: Sequence[str]) -> None:
        self._width = max(map(len, film_ids), default=0)
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Show bars until the block ends."""
        import sys

        if not sys.stderr.isatty():
            yield
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._bars = Progress(
            TextColumn("{task.fields[film]:<24.24}"),
            TextColumn("{task.description:<12}"),
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        with self._bars:
            yield

    def show(self, film_id: str, event: Event) -> None:
        """Show one event."""
        if isinstance(event, Finished):
            record = event.record
            line = f"{film_id:<{self._width}}  {record.stage:<12}  {record.state:<8}"
            self._line(f"{line}  {record.seconds:>7.1f} s  {sentence(record)}")
            self._remove(film_id)
        elif self._bars is not None:
            self._draw(film_id, event)

    def _line(self, text: str) -> None:
        if self._bars is None:
            say(text)
        else:
            self._bars.console.print(harmless(text), markup=False, highlight=False)

    def _draw(self, film_id: str, event: Started | Progressed) -> None:
        assert self._bars is not None
        if film_id not in self._tasks:
            self._tasks[film_id] = self._bars.add_task(event.stage, total=1.0, film=film_id)
        part = event.part if isinstance(event, Progressed) else 0.0
        self._bars.update(self._tasks[film_id], completed=part, description=event.stage)

    def _remove(self, film_id: str) -> None:
        if self._bars is not None and film_id in self._tasks:
            self._bars.remove_task(self._tasks.pop(film_id))
