"""Build films: decide for each film and stage whether it runs, and run it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic

from ossl_builder.annotations import orphans
from ossl_builder.config import Recipe
from ossl_builder.corpus import Corpus
from ossl_builder.engine import records
from ossl_builder.engine.cache import Decision
from ossl_builder.engine.executors import local
from ossl_builder.engine.records import Record
from ossl_builder.engine.run import FATAL, run_item
from ossl_builder.engine.stage import Stage
from ossl_builder.errors import OsslError
from ossl_builder.pipeline import staging
from ossl_builder.pipeline.derived_tables import refresh_tables
from ossl_builder.pipeline.plan import film_before, shaping_of
from ossl_builder.pipeline.stages import stage_named
from ossl_builder.rights import verdict

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
    """A stage has ended with a film; `is_recorded`: so that its record says so."""

    record: Record
    is_recorded: bool = True


Event = Started | Progressed | Finished


def plan(
    corpus: Corpus, recipe: Recipe, film_ids: Sequence[str], stages: Sequence[Stage]
) -> Iterator[Decision]:
    """For each film and stage: whether it would run, and why."""
    shaping = shaping_of(recipe, stages)
    for film_id in film_ids:
        film = film_before(corpus, shaping, film_id, stages)
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
    corpus: Corpus,
    recipe: Recipe,
    film_ids: Sequence[str],
    stages: Sequence[Stage],
    jobs: int,
    drop_labelled: bool = False,
) -> Iterator[tuple[str, Event]]:
    """Bring films up to date, `jobs` at a time; write the tables at the end, however it ends.

    A film that would lose annotated clips fails and stays as it was, unless `drop_labelled`. The
    caller holds the corpus' lock.

    Yields:
        Film id and event, as they come.

    Raises:
        OsslError: what stops the whole build: a tool that is missing, a full disk.
    """
    decisions = list(plan(corpus, recipe, film_ids, stages))
    for decision in decisions:
        if decision.action == "refused":
            yield decision.item_id, Finished(_refused(decision), is_recorded=False)
    wanted = [decision for decision in decisions if decision.action == "run"]
    for stage in stages:
        if any(decision.stage == stage.name for decision in wanted):
            stage.prepare(recipe.of(stage.name))
    todo = list(dict.fromkeys(decision.item_id for decision in wanted))
    names = [stage.name for stage in stages]
    job = partial(_build_film, corpus, recipe, names, drop_labelled)
    at_work: dict[str, str] = {}
    staging.clear(corpus)
    try:
        for said in local.run_all(job, todo, jobs):
            if isinstance(said, local.Message):
                if isinstance(said.value, Started):
                    at_work[said.item_id] = said.value.stage
                yield said.item_id, said.value
            elif said.error is not None:
                if said.error.code in FATAL or said.item_id not in at_work:
                    raise said.error
                record = _failed(said.item_id, at_work[said.item_id], said.error)
                is_guarded = not drop_labelled and bool(staging.labelled(corpus, said.item_id))
                if not is_guarded:
                    records.write(corpus.root, record)
                yield said.item_id, Finished(record, is_recorded=not is_guarded)
    finally:
        staging.clear(corpus)
        refresh_tables(corpus)


def _refused(decision: Decision) -> Record:
    """What is shown of a film whose rights do not let it be built; it is not written."""
    return Record(
        stage=decision.stage,
        item_id=decision.item_id,
        state="rejected",
        inputs={},
        code=verdict.REASON,
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
    drop_labelled: bool,
    film_id: str,
    send: Callable[[Event], None],
) -> None:
    """Run in a process of its own: take one film through the stages that it needs."""
    stages = [stage_named(name) for name in stage_names]
    labelled = frozenset() if drop_labelled else staging.labelled(corpus, film_id)
    first = _first_deciding(corpus, recipe, film_id, stages) if labelled else None
    if first is None:
        _run_stages(corpus, recipe, stages, film_id, send)
    elif staging.DECIDING[-1] in stages:
        _run_guarded(corpus, recipe, stages, film_id, labelled, send)
    else:
        error = orphans.clips_at_risk_error(film_id, first, len(labelled))
        send(Finished(_failed(film_id, first, error), is_recorded=False))


def _first_deciding(
    corpus: Corpus, recipe: Recipe, film_id: str, stages: Sequence[Stage]
) -> str | None:
    """The first stage that would run and might give the film other clips."""
    deciding = {stage.name for stage in staging.DECIDING}
    decisions = plan(corpus, recipe, [film_id], stages)
    running = (one.stage for one in decisions if one.action == "run" and one.stage in deciding)
    return next(running, None)


def _run_guarded(
    corpus: Corpus,
    recipe: Recipe,
    stages: Sequence[Stage],
    film_id: str,
    labelled: frozenset[str],
    send: Callable[[Event], None],
) -> None:
    """Decide on trial which clips a film has; if no labelled one is lost, that stands, and more."""

    def tell(event: Event) -> None:
        if isinstance(event, Finished) and event.record.state != "done":
            event = Finished(event.record, is_recorded=False)
        send(event)

    with staging.beside(corpus, film_id) as beside:
        deciding = [stage for stage in stages if stage in staging.DECIDING]
        _run_stages(beside, recipe, deciding, film_id, tell)
        lost = staging.lost(beside, film_id, labelled)
        if lost:
            error = orphans.clips_dropped_error(film_id, lost)
            tell(Finished(_failed(film_id, staging.DECIDING[-1].name, error)))
        if lost is None or lost:
            return
        staging.put_in_place(beside, corpus, film_id)
    _run_stages(corpus, recipe, stages, film_id, send)


def _run_stages(
    corpus: Corpus,
    recipe: Recipe,
    stages: Sequence[Stage],
    film_id: str,
    send: Callable[[Event], None],
) -> None:
    film = film_before(corpus, shaping_of(recipe, stages), film_id, stages)
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
