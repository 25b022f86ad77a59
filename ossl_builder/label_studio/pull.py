"""From the server to the records: what changed since the last pull, checked, one per annotator."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import datetime, timedelta

from ossl_builder.annotations import records
from ossl_builder.annotations.annotators import AnnotatorRegistry
from ossl_builder.annotations.label_schema import LabelSchema
from ossl_builder.corpus import Corpus
from ossl_builder.label_studio import client, tasks
from ossl_builder.label_studio import state as states
from ossl_builder.label_studio.client import Server
from ossl_builder.label_studio.rows import Project, Task
from ossl_builder.label_studio.state import State
from ossl_builder.label_studio.three_way_merge import Holder, PullReport, TaskMerger

# A change that was being committed while we looked carries a time before the mark.
OVERLAP_S = 30


def pull(
    server: Server,
    corpus: Corpus,
    state: State,
    found: Project,
    taxonomy: LabelSchema,
    is_full: bool = False,
    side: Holder | None = None,
    is_dry: bool = False,
) -> PullReport:
    """Bring the records up to date; the caller holds the corpus' lock.

    Args:
        is_full: look at all tasks, not only at those that changed since the last pull.
        side: who is right where a record changed on both sides; None: nobody, it is left.
        is_dry: write nothing.

    Raises:
        Setback: the server could not be had; nothing was written.
        OsslError: `annotations_damaged`, `annotators_damaged`, `label_state_damaged`.
    """
    people = client.people(server)
    at_work = TaskMerger(
        corpus,
        taxonomy,
        people,
        side,
        AnnotatorRegistry.load(corpus.root),
        states.load_pulled(corpus.root),
    )
    known_people = at_work.key.people
    since = "" if is_full else _earlier(state.mark)
    # Asked before the first page: what changes behind our back while pages go by is later.
    mark = max(state.mark, tasks.newest_change(server, found.project_id))
    clips = set()
    for task in _all_once(server, found.project_id, since, state.waiting):
        at_work.look_at(task)
        clips.add(task.clip_id)
    has_shrunk = found.n_tasks < state.known
    if since and has_shrunk:
        clips = {task.clip_id for task in tasks.tasks(server, found.project_id)}
    if has_shrunk or not since:
        at_work.report.gone += sorted(
            {clip_id for clip_id, given in at_work.pulled.items() if given} - clips
        )
    if is_dry:
        return at_work.report
    if at_work.key.people != known_people:
        at_work.key.save()
    records.put(corpus.root, at_work.taken)
    states.save_pulled(corpus.root, at_work.pulled)
    # The mark moves last: what comes before may be done twice.
    waiting = tuple(sorted(at_work.waiting))
    states.save(
        corpus.root,
        dataclasses.replace(state, url=server.url, mark=mark, waiting=waiting, known=found.n_tasks),
    )
    return at_work.report


def _all_once(
    server: Server, project_id: int, since: str, waiting: tuple[int, ...]
) -> Iterator[Task]:
    """Tasks that changed, and those that wait."""
    seen = set()
    for task in tasks.changed_tasks(server, project_id, since):
        seen.add(task.task_id)
        yield task
    left = [task_id for task_id in waiting if task_id not in seen]
    yield from tasks.tasks_by_id(server, project_id, left)


def _earlier(mark: str) -> str:
    if not mark:
        return ""
    moment = datetime.fromisoformat(mark) - timedelta(seconds=OVERLAP_S)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
