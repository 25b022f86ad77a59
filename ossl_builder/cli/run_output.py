"""Print the plan and the progress of a run."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ossl_builder.cli import output
from ossl_builder.engine.cache import Decision
from ossl_builder.engine.records import Record
from ossl_builder.engine.schedule import Event, Finished, Progressed, Started

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


def show_plan(decisions: Sequence[Decision], as_json_text: bool) -> None:
    """Print for each item and stage whether it would run, and why."""
    if as_json_text:
        output.as_json([vars(decision) for decision in decisions])
    else:
        output.table(
            ("film", "stage", "action", "why"),
            [(d.item_id, d.stage, d.action, d.why) for d in decisions],
        )


def sentence(record: Record) -> str:
    """Return the result of an item as one line."""
    if record.state == "done":
        left_out = sum(record.rejects.values())
        text = f"{record.n_rows} row{'' if record.n_rows == 1 else 's'}"
        return text + (f", {left_out} candidates rejected" if left_out else "")
    return f"{record.code}: {record.message} {record.hint}".strip()


class Watcher:
    """Show a running build: progress bars on a terminal, else one line per finished item."""

    def __init__(self, film_ids: Sequence[str]) -> None:
        self._width = max(map(len, film_ids), default=0)
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Show bars until the block ends."""
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
            output.say(text)
        else:
            self._bars.console.print(output.harmless(text), markup=False, highlight=False)

    def _draw(self, film_id: str, event: Started | Progressed) -> None:
        assert self._bars is not None
        if film_id not in self._tasks:
            self._tasks[film_id] = self._bars.add_task(event.stage, total=1.0, film=film_id)
        part = event.part if isinstance(event, Progressed) else 0.0
        self._bars.update(self._tasks[film_id], completed=part, description=event.stage)

    def _remove(self, film_id: str) -> None:
        if self._bars is not None and film_id in self._tasks:
            self._bars.remove_task(self._tasks.pop(film_id))
