"""Pull: update the records with the annotations that changed on the server since the last pull."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import datetime, timedelta

from ossl_builder.annotations import records
from ossl_builder.annotations.annotators import AnnotatorRegistry
from ossl_builder.annotations.label_schema import LabelSchema
from ossl_builder.corpus import Corpus
from ossl_builder.label_studio import project_api, state, task_api
from ossl_builder.label_studio.client import Server
from ossl_builder.label_studio.project_api import Project
from ossl_builder.label_studio.state import State
from ossl_builder.label_studio.task_api import Task
from ossl_builder.label_studio.three_way_merge import PullReport, Side, TaskMerger

# A change that was committed during the last pull may have a time before the cursor.
CURSOR_OVERLAP_S = 30


def pull(
    server: Server,
    corpus: Corpus,
    last: State,
    project: Project,
    schema: LabelSchema,
    is_full: bool = False,
    side: Side | None = None,
    is_dry: bool = False,
) -> PullReport:
    """Update the records from the server. The caller holds the corpus' lock.

    Args:
        server: the server.
        corpus: the corpus.
        last: its state after the last pull.
        project: its project.
        schema: its label schema.
        is_full: read all tasks, not only those that changed since the last pull.
        side: which version to keep in a conflict; None: leave both unchanged.
        is_dry: write nothing.

    Raises:
        TransferError: a request failed; nothing was written.
        OsslError: `annotations_damaged`, `annotators_damaged`, `label_state_damaged`.
    """
    users = project_api.users(server)
    merger = TaskMerger(
        corpus,
        schema,
        users,
        side,
        AnnotatorRegistry.load(corpus.root),
        state.load_pulled(corpus.root),
    )
    people_before = merger.registry.people
    since = "" if is_full else _before_cursor(last.cursor)
    # Requested before the first page: changes made while pages are read are later than this.
    cursor = max(last.cursor, task_api.newest_change(server, project.project_id))
    clip_ids = set()
    for task in _tasks_to_pull(server, project.project_id, since, last.pending):
        merger.merge_task(task)
        clip_ids.add(task.clip_id)
    has_fewer_tasks = project.n_tasks < last.n_tasks
    if since and has_fewer_tasks:
        clip_ids = {task.clip_id for task in task_api.list_tasks(server, project.project_id)}
    if has_fewer_tasks or not since:
        pulled_ids = {clip_id for clip_id, annotators in merger.pulled.items() if annotators}
        merger.report.gone += sorted(pulled_ids - clip_ids)
    if is_dry:
        return merger.report
    if merger.registry.people != people_before:
        merger.registry.save()
    records.upsert(corpus.root, merger.to_write)
    state.save_pulled(corpus.root, merger.pulled)
    # The state is written last: everything before it may be repeated after a crash.
    state.save(
        corpus.root,
        dataclasses.replace(
            last,
            url=server.url,
            cursor=cursor,
            pending=tuple(sorted(merger.pending)),
            n_tasks=project.n_tasks,
        ),
    )
    return merger.report


def _tasks_to_pull(
    server: Server, project_id: int, since: str, pending: tuple[int, ...]
) -> Iterator[Task]:
    """Yield each changed task and each pending task once."""
    seen = set()
    for task in task_api.changed_tasks(server, project_id, since):
        seen.add(task.task_id)
        yield task
    rest = [task_id for task_id in pending if task_id not in seen]
    yield from task_api.tasks_by_id(server, project_id, rest)


def _before_cursor(cursor: str) -> str:
    if not cursor:
        return ""
    moment = datetime.fromisoformat(cursor) - timedelta(seconds=CURSOR_OVERLAP_S)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
