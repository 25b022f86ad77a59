"""Build films: run the stages that are not up to date, without losing annotated clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from ossl_builder.annotations import orphans
from ossl_builder.config import Recipe
from ossl_builder.corpus import Corpus
from ossl_builder.engine import schedule
from ossl_builder.engine.cache import Decision
from ossl_builder.engine.executors.local import processes
from ossl_builder.engine.records import Record
from ossl_builder.engine.schedule import Event, Finished, Tell, failure, run_stages
from ossl_builder.engine.stage import Stage
from ossl_builder.pipeline import staging
from ossl_builder.pipeline.derived_tables import refresh_tables
from ossl_builder.pipeline.plan import FilmWork, plan, work_of
from ossl_builder.rights import verdict


def build(
    corpus: Corpus,
    recipe: Recipe,
    film_ids: Sequence[str],
    stages: Sequence[Stage],
    n_workers: int,
    tell: Tell,
    drop_labelled: bool = False,
) -> None:
    """Bring films up to date, then write the tables, even if the build stops with an error.

    A film that would lose annotated clips fails and is not changed, unless `drop_labelled` is set.
    The caller must hold the corpus' lock.

    Args:
        corpus: the corpus.
        recipe: its settings.
        film_ids: the films to build.
        stages: the stages to run, in order.
        n_workers: number of films built at the same time, each in its own process.
        tell: receives the film's id and each event.
        drop_labelled: allow that annotated clips are lost.

    Raises:
        OsslError: an error that stops the whole build: a missing tool, a full disk.
    """
    work = work_of(corpus, recipe, stages)
    decisions = plan(corpus, recipe, film_ids, stages)
    for decision in decisions:
        if decision.action == "refused":
            tell(decision.item_id, Finished(_refusal_record(decision), is_recorded=False))
    schedule.prepare(work, decisions)
    waiting = dict.fromkeys(entry.item_id for entry in decisions if entry.action == "run")
    staging.clear(corpus)
    try:
        schedule.run(
            work,
            list(waiting),
            tell,
            processes,
            n_workers,
            job=partial(_build_film, work, drop_labelled),
            records_death=lambda film_id: drop_labelled or not staging.labelled(corpus, film_id),
        )
    finally:
        staging.clear(corpus)
        refresh_tables(corpus)


def _refusal_record(decision: Decision) -> Record:
    """Return a record for a film that must not be built because of its rights; not written."""
    return Record(
        stage=decision.stage,
        item_id=decision.item_id,
        state="rejected",
        inputs={},
        code=verdict.REASON,
        message=decision.why,
    )


def _build_film(
    work: FilmWork, drop_labelled: bool, film_id: str, send: Callable[[Event], None]
) -> None:
    """Run the stages on one film, in its own process; in a staging folder if clips may be lost."""
    labelled = frozenset() if drop_labelled else staging.labelled(work.corpus, film_id)
    first = _first_at_risk(work, film_id) if labelled else None
    if first is None:
        run_stages(work, film_id, send)
    elif staging.DECIDING[-1] in work.stages:
        _build_staged(work, film_id, labelled, send)
    else:
        error = orphans.clips_at_risk_error(film_id, first, len(labelled))
        send(Finished(failure(film_id, first, error), is_recorded=False))


def _first_at_risk(work: FilmWork, film_id: str) -> str | None:
    """Return the first stage that must run and can change the film's clips; None: there is none."""
    deciding = {stage.name for stage in staging.DECIDING}
    decisions = schedule.plan(work, [film_id])
    return next((d.stage for d in decisions if d.action == "run" and d.stage in deciding), None)


def _build_staged(
    work: FilmWork, film_id: str, labelled: frozenset[str], send: Callable[[Event], None]
) -> None:
    """Build a film in a staging folder; use the result only if no annotated clip is lost."""

    def send_staged(event: Event) -> None:
        if isinstance(event, Finished) and event.record.state != "done":
            event = Finished(event.record, is_recorded=False)
        send(event)

    with staging.staged(work.corpus, film_id) as staged:
        deciding = [stage for stage in work.stages if stage in staging.DECIDING]
        run_stages(work_of(staged, work.recipe, deciding), film_id, send_staged)
        lost = staging.lost(staged, film_id, labelled)
        if lost:
            error = orphans.clips_dropped_error(film_id, lost)
            send_staged(Finished(failure(film_id, staging.DECIDING[-1].name, error)))
        if lost is None or lost:
            return
        staging.swap_in(staged, work.corpus, film_id)
    run_stages(work, film_id, send)
