"""The metrics of a run: a line of JSON per event, TensorBoard, and a progress bar."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder import files, parse

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.progress import Progress, TaskID
    from torch.utils.tensorboard import SummaryWriter

METRICS = "metrics.jsonl"


class Monitor:
    """Writes the metrics of one run, in the process of rank 0 only.

    Two runs of the same seed write the same numbers, except those about the machine (speed).
    """

    def __init__(self, lines: Any, board: SummaryWriter, bar: Progress | None, task: Any) -> None:
        self._lines = lines
        self._board = board
        self._bar = bar
        self._task: TaskID | None = task

    def record(self, step: int, **values: Any) -> None:
        """Record values after a step: numbers, or tables of numbers by name."""
        line = {"step": step, **values}
        self._lines.write(json.dumps(line) + "\n")
        self._lines.flush()
        for name, value in values.items():
            parts = value if isinstance(value, dict) else {"": value}
            for part, number in parts.items():
                if isinstance(number, int | float):
                    self._board.add_scalar(f"{name}/{part}".rstrip("/"), number, step)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=step)
            if "loss" in values:
                self._bar.update(self._task, loss=f"{values['loss']:.4f}")

    def record_audio(self, step: int, name: str, audio: NDArray[np.float32], rate: int) -> None:
        """Record audio [samples], full scale 1, for TensorBoard."""
        self._board.add_audio(name, audio[None], step, rate)


@contextlib.contextmanager
def open_monitor(out: Path, steps_before: int, steps: int) -> Iterator[Monitor]:
    """Open the metrics of a run for writing.

    Args:
        out: the folder of the run.
        steps_before: steps done before. Lines of later steps are removed: a run that was killed
            after its last checkpoint repeats them.
        steps: the last step of the run.
    """
    from torch.utils.tensorboard import SummaryWriter

    _truncate(out / METRICS, steps_before)
    with contextlib.ExitStack() as stack:
        lines = stack.enter_context((out / METRICS).open("a", encoding="utf-8"))
        board = SummaryWriter(str(out / "tensorboard"), purge_step=steps_before + 1)
        stack.callback(board.close)
        bar, task = None, None
        if sys.stderr.isatty():
            bar = stack.enter_context(_bar())
            task = bar.add_task("fit", total=steps, completed=steps_before, loss="")
        yield Monitor(lines, board, bar, task)


def read_metrics(out: Path) -> list[dict[str, Any]]:
    """Read all metrics of a run; skip a line that a kill cut off."""
    events = []
    path = out / METRICS
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        with contextlib.suppress(ValueError):
            events.append(parse.json_value(line))
    return events


def _truncate(path: Path, step: int) -> None:
    lines = [line for line in read_metrics(path.parent) if line["step"] <= step]
    files.write_bytes(path, "".join(json.dumps(line) + "\n" for line in lines).encode())


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
