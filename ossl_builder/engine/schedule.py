"""The scheduler: decide which stages must run on which items, run them, report events.

It runs the build of films, the fingerprints of imported clips, and the features and codes of the
trainer. Each of them implements `Work`. Nothing here is about film.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from ossl_builder.engine import cache, records
from ossl_builder.engine.cache import Decision
from ossl_builder.engine.executors import Ended, Executor, Job, Message, Send
from ossl_builder.engine.records import Record
from ossl_builder.engine.run import FATAL, run_item
from ossl_builder.engine.stage import Stage
from ossl_builder.errors import OsslError

# Shortest time between two progress events of a process, in seconds.
PROGRESS_EVERY_S = 0.1


@dataclass(frozen=True)
class Started:
    """A stage has started on an item."""

    stage: str


@dataclass(frozen=True)
class Progressed:
    """A stage has done a fraction (0 to 1) of its work on an item."""

    stage: str
    part: float


@dataclass(frozen=True)
class Finished:
    """A stage has ended on an item; `is_recorded`: the record is written to the corpus."""

    record: Record
    is_recorded: bool = True


Event = Started | Progressed | Finished
Tell = Callable[[str, Event], None]


@dataclass(frozen=True)
class Given:
    """Rows that no stage of the work makes: their hash, and a function that reads them."""

    content: str
    rows: Callable[[], tuple[Any, ...]]


@dataclass
class ItemState:
    """The rows of one item that are up to date, while its stages are processed in order.

    Attributes:
        root: the corpus' folder.
        item_id, home: the item, and its folder relative to the corpus.
        shaping: for each stage, by name, the inputs that are the same for all items.
        given: by table, the rows that no stage makes.
        writers: by table, the stage that makes its rows.
        refusal: why the item must not be built now; None: it may be built. It depends on the date,
            so no cache key and no record contains it.
        content: by table, the hash of the item's rows that are up to date.
    """

    root: Path
    item_id: str
    home: str
    shaping: Mapping[str, dict[str, str]]
    given: Mapping[str, Given]
    writers: Mapping[str, Stage] = field(default_factory=dict)
    refusal: str | None = None
    content: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.content |= {table: rows.content for table, rows in self.given.items()}

    def inputs(self, stage: Stage) -> dict[str, str]:
        """Return everything that the stage's result for this item depends on, by name."""
        return cache.inputs_of(stage, self.shaping[stage.name], self.content)

    def record(self, stage: Stage) -> Record | None:
        """Return the record of the stage's last run on this item; None: it never ran."""
        return records.read(self.root, stage.name, self.item_id)

    def decide(self, stage: Stage) -> Decision:
        """Decide whether the stage must run on this item."""
        if self.refusal is not None and self.given.keys() & set(stage.reads):
            return Decision(stage.name, self.item_id, "refused", self.refusal)
        missing = [table for table in stage.reads if table not in self.content]
        if missing:
            why = f"has no {' and no '.join(missing)}"
            return Decision(stage.name, self.item_id, "blocked", why)
        why = cache.why_stale(self.root, self.record(stage), self.inputs(stage))
        return Decision(stage.name, self.item_id, "run" if why else "fresh", why)

    def accept(self, stage: Stage, record: Record | None) -> None:
        """Add the hash of the stage's rows, for later stages, if the stage is done."""
        if record is not None and record.state == "done" and self.refusal is None:
            self.content[stage.writes.name] = record.content

    def rows(self, stage: Stage) -> dict[str, tuple[Any, ...]]:
        """Return the rows that the stage reads, by table."""
        return {
            table: self.given[table].rows()
            if table in self.given
            else records.read_rows(self.root, self.writers[table], self.item_id)
            for table in stage.reads
        }


class Work(Protocol):
    """Stages to run over items. It must be picklable: each item may run in its own process."""

    @property
    def root(self) -> Path:
        """The corpus' folder."""

    @property
    def stages(self) -> Sequence[Stage]:
        """The stages to run, in order."""

    def config(self, stage: Stage) -> Any:
        """Return the settings of a stage."""

    def item(self, item_id: str, shaping: Mapping[str, dict[str, str]]) -> ItemState:
        """Return the state of an item before the first of the stages."""


def shaping_of(work: Work) -> dict[str, dict[str, str]]:
    """Return, by stage name, the inputs of each stage that are the same for all items."""
    return {stage.name: cache.shaping_of(stage, work.config(stage)) for stage in work.stages}


def plan(work: Work, item_ids: Sequence[str]) -> Iterator[Decision]:
    """Decide for each item and stage whether it must run, and why; run nothing."""
    shaping = shaping_of(work)
    for item_id in item_ids:
        item = work.item(item_id, shaping)
        pending: dict[str, str] = {}
        for stage in work.stages:
            upstream = [pending[table] for table in stage.reads if table in pending]
            if upstream:
                decision = Decision(stage.name, item_id, "run", f"{upstream[0]} runs first")
            else:
                decision = item.decide(stage)
                item.accept(stage, item.record(stage))
            if decision.action == "run":
                pending[stage.writes.name] = stage.name
            yield decision


def prepare(work: Work, decisions: Sequence[Decision]) -> None:
    """Fetch the models of the stages that will run.

    Raises:
        OsslError: a tool or a model is missing.
    """
    running = {decision.stage for decision in decisions if decision.action == "run"}
    for stage in work.stages:
        if stage.name in running:
            stage.prepare(work.config(stage))


def run_stages(work: Work, item_id: str, send: Callable[[Event], None]) -> None:
    """Run the stages on one item; skip those that are up to date.

    Raises:
        OsslError: an error that stops the whole run (`disk_full`).
    """
    item = work.item(item_id, shaping_of(work))
    for stage in work.stages:
        decision = item.decide(stage)
        if decision.action == "fresh":
            item.accept(stage, item.record(stage))
        if decision.action != "run":
            continue
        send(Started(stage.name))
        record = run_item(
            stage,
            item_id,
            work.root,
            item.home,
            work.config(stage),
            item.rows(stage),
            item.inputs(stage),
            _throttled(stage.name, send),
        )
        item.accept(stage, record)
        send(Finished(record))


def run(
    work: Work,
    item_ids: Sequence[str],
    tell: Tell,
    executor: Executor,
    n_workers: int = 1,
    job: Job | None = None,
    records_death: Callable[[str], bool] = lambda item_id: True,
) -> None:
    """Run the stages on items, `n_workers` at a time; the caller holds the corpus' lock.

    Args:
        work: the stages.
        item_ids: the items.
        tell: receives the item's id and each event.
        executor: runs the items, in this process or in others.
        n_workers: number of items that run at the same time.
        job: the function to run for each item; None: `run_stages`.
        records_death: decides, by item id, whether to write a record when the item's process dies.

    Raises:
        OsslError: an error that stops the whole run: a missing tool, a full disk, or a process
            that died before its first stage.
    """
    running: dict[str, str] = {}

    def receive(message: Message | Ended) -> None:
        item_id = message.item_id
        if isinstance(message, Message):
            if isinstance(message.value, Started):
                running[item_id] = message.value.stage
            tell(item_id, message.value)
        elif message.error is not None:
            if message.error.code in FATAL or item_id not in running:
                raise message.error
            record = failure(item_id, running[item_id], message.error)
            is_recorded = records_death(item_id)
            if is_recorded:
                records.write(work.root, record)
            tell(item_id, Finished(record, is_recorded))

    executor(job or partial(run_stages, work), item_ids, n_workers, receive)


def failure(item_id: str, stage: str, error: OsslError) -> Record:
    """Return the record of an item that failed outside of a stage's code."""
    return Record(
        stage=stage,
        item_id=item_id,
        state="failed",
        inputs={},
        code=error.code,
        message=error.message,
        hint=error.hint,
    )


def _throttled(stage: str, send: Send) -> Callable[[float], None]:
    last_s = monotonic()

    def progress(part: float) -> None:
        nonlocal last_s
        if monotonic() - last_s >= PROGRESS_EVERY_S:
            last_s = monotonic()
            send(Progressed(stage, part))

    return progress
