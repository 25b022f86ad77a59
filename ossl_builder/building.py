"""Bring films up to date: decide for each film and stage whether it runs, and run it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from time import monotonic
from typing import Any

from ossl_builder.config import Recipe
from ossl_builder.engine import freshness, records, workers
from ossl_builder.engine.freshness import Decision
from ossl_builder.engine.records import Record
from ossl_builder.engine.run import FATAL, run_item
from ossl_builder.engine.stage import Stage
from ossl_builder.errors import OsslError
from ossl_builder.pipeline import STAGES, stage_named, writer_of
from ossl_builder.rights import gate
from ossl_builder.standing import refresh_tables
from ossl_builder.tables import SOURCES
from ossl_builder.workspace import Corpus

# Progress is sent from process to process at most this often, in seconds.
PROGRESS_EVERY = 0.1


@dataclass(frozen=True)
class Started:
    """A stage has begun with a film."""

    stage: str


@dataclass(frozen=True)
class Progressed:
    """A part, 0 to 1, of a stage's work on a film is done."""

    stage: str
    part: float


@dataclass(frozen=True)
class Finished:
    """A stage has ended with a film."""

    record: Record


Event = Started | Progressed | Finished


# For each stage, by name, what shapes its results for all films alike.
Shaping = Mapping[str, dict[str, str]]


@dataclass
class _Film:
    """What is known of a film while its stages are gone through.

    `refusal` says why its rights do not let it be built today; None: they do. The day decides it
    anew each time, so it is in no key and no record.
    """

    corpus: Corpus
    shaping: Shaping
    film_id: str
    refusal: str | None = None
    content: dict[str, str] = field(default_factory=dict)

    def inputs(self, stage: Stage) -> dict[str, str]:
        return freshness.inputs_of(stage, self.shaping[stage.name], self.content)

    def record(self, stage: Stage) -> Record | None:
        return records.read(self.corpus.root, stage.name, self.film_id)

    def decide(self, stage: Stage) -> Decision:
        """Whether the stage would run on the film as things stand."""
        if self.refusal is not None and SOURCES.name in stage.reads:
            return Decision(stage.name, self.film_id, "refused", self.refusal)
        lacking = [table for table in stage.reads if table not in self.content]
        if lacking:
            why = f"has no {' and no '.join(lacking)}"
            return Decision(stage.name, self.film_id, "blocked", why)
        why = freshness.why_stale(self.corpus.root, self.record(stage), self.inputs(stage))
        return Decision(stage.name, self.film_id, "run" if why else "fresh", why)

    def take(self, stage: Stage, record: Record | None) -> None:
        """Let later stages build on what this stage made of the film."""
        if record is not None and record.state == "done" and self.refusal is None:
            self.content[stage.writes.name] = record.content

    def rows(self, stage: Stage) -> dict[str, tuple[Any, ...]]:
        return {
            table: (self.corpus.source(self.film_id),)
            if table == SOURCES.name
            else records.read_rows(self.corpus.root, writer_of(table), self.film_id)
            for table in stage.reads
        }


def _shaping(recipe: Recipe, stages: Sequence[Stage]) -> Shaping:
    return {stage.name: freshness.shaping_of(stage, recipe.of(stage.name)) for stage in stages}


def _film(corpus: Corpus, shaping: Shaping, film_id: str, stages: Sequence[Stage]) -> _Film:
    """A film with what the stages before `stages` made of it."""
    source = corpus.source(film_id)
    film = _Film(corpus, shaping, film_id, gate.refusal(source, date.today()))
    film.content[SOURCES.name] = freshness.hash_rows(SOURCES, (source,))
    for stage in STAGES:
        if stage in stages:
            break
        film.take(stage, film.record(stage))
    return film


def plan(
    corpus: Corpus, recipe: Recipe, film_ids: Sequence[str], stages: Sequence[Stage]
) -> Iterator[Decision]:
    """For each film and stage: whether it would run, and why."""
    shaping = _shaping(recipe, stages)
    for film_id in film_ids:
        film = _film(corpus, shaping, film_id, stages)
        pending: dict[str, str] = {}
        for stage in stages:
            before = [pending[table] for table in stage.reads if table in pending]
            if before:
                decision = Decision(stage.name, film_id, "run", f"{before[0]} runs first")
            else:
                decision = film.decide(stage)
                film.take(stage, film.record(stage))
            if decision.action == "run":
                pending[stage.writes.name] = stage.name
            yield decision


def build(
    corpus: Corpus, recipe: Recipe, film_ids: Sequence[str], stages: Sequence[Stage], jobs: int
) -> Iterator[tuple[str, Event]]:
    """Bring films up to date, `jobs` at a time; write the tables at the end, however it ends.

    The caller holds the corpus' lock.

    Yields:
        Film id and event, as they come.

    Raises:
        OsslError: what stops the whole build: a tool that is missing, a full disk.
    """
    decisions = list(plan(corpus, recipe, film_ids, stages))
    for decision in decisions:
        if decision.action == "refused":
            yield decision.item_id, Finished(_refused(decision))
    wanted = [decision for decision in decisions if decision.action == "run"]
    for stage in stages:
        if any(decision.stage == stage.name for decision in wanted):
            stage.prepare(recipe.of(stage.name))
    todo = list(dict.fromkeys(decision.item_id for decision in wanted))
    job = partial(_build_film, corpus, recipe, [stage.name for stage in stages])
    at_work: dict[str, str] = {}
    try:
        for said in workers.run_all(job, todo, jobs):
            if isinstance(said, workers.Message):
                if isinstance(said.value, Started):
                    at_work[said.item_id] = said.value.stage
                yield said.item_id, said.value
            elif said.error is not None:
                if said.error.code in FATAL or said.item_id not in at_work:
                    raise said.error
                record = _failed(said.item_id, at_work[said.item_id], said.error)
                records.write(corpus.root, record)
                yield said.item_id, Finished(record)
    finally:
        refresh_tables(corpus)


def _refused(decision: Decision) -> Record:
    """What is shown of a film whose rights do not let it be built; it is not written."""
    return Record(
        stage=decision.stage,
        item_id=decision.item_id,
        state="rejected",
        inputs={},
        code=gate.REASON,
        message=decision.why,
    )


def _failed(film_id: str, stage: str, error: OsslError) -> Record:
    return Record(
        stage=stage,
        item_id=film_id,
        state="failed",
        inputs={},
        code=error.code,
        message=error.message,
        hint=error.hint,
    )


def _build_film(
    corpus: Corpus,
    recipe: Recipe,
    stage_names: Sequence[str],
    film_id: str,
    send: Callable[[Event], None],
) -> None:
    """Run in a process of its own: take one film through the stages that it needs."""
    stages = [stage_named(name) for name in stage_names]
    film = _film(corpus, _shaping(recipe, stages), film_id, stages)
    for stage in stages:
        decision = film.decide(stage)
        if decision.action == "blocked":
            continue
        if decision.action == "fresh":
            film.take(stage, film.record(stage))
            continue
        send(Started(stage.name))
        record = run_item(
            stage,
            film_id,
            corpus.root,
            corpus.film_home(film_id),
            recipe.of(stage.name),
            film.rows(stage),
            film.inputs(stage),
            _throttled(stage.name, send),
        )
        film.take(stage, record)
        send(Finished(record))


def _throttled(stage: str, send: Callable[[Event], None]) -> Callable[[float], None]:
    last = monotonic()

    def progress(part: float) -> None:
        nonlocal last
        if monotonic() - last >= PROGRESS_EVERY:
            last = monotonic()
            send(Progressed(stage, part))

    return progress
