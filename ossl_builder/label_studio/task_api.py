"""Requests about tasks: list, create, change and delete them.

Requests that create tasks are never retried here: see `label_studio.push`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ossl_builder import parse
from ossl_builder.label_studio.client import (
    NO_SDK_RETRIES,
    NOT_LABEL_STUDIO,
    Server,
    none_if_missing,
)
from ossl_builder.net.retry import TransferError

PAGE_SIZE = 1000
ANNOTATED_PAGE_SIZE = 250
# Ids are part of the URL; servers reject URLs of more than a few thousand characters.
IDS_PER_REQUEST = 200
TASK_FIELDS = "id,data,overlap,is_labeled,total_annotations,cancelled_annotations,updated_at"
# `updated_at` is asked for tasks and for annotations.
ANNOTATED_FIELDS = "id,data,annotations,result,completed_by,was_cancelled,created_at,updated_at"


@dataclass(frozen=True)
class ServerAnnotation:
    """One annotation as the server stores it; not checked.

    Attributes:
        user_id: the user's id.
        result: the server's list of answers, one dictionary per control.
        is_skipped: the annotator skipped the task.
        updated_at: time of the last change, ISO 8601 in UTC, to the microsecond; empty: the
            server's time is not valid.
        annotation_id: its id.
    """

    user_id: int
    result: tuple[dict[str, Any], ...]
    is_skipped: bool
    updated_at: str
    annotation_id: int


@dataclass(frozen=True)
class Task:
    """One task of a project.

    Attributes:
        task_id: its id. A server on SQLite reuses the ids of deleted tasks.
        data: what was sent.
        updated_at: last change of the task or of its annotations, ISO 8601 in UTC.
        created_at: time of creation, ISO 8601 in UTC; empty if not requested.
        overlap: how many annotators the task is for; 0 if not requested.
        is_labelled: whether that many annotators have answered.
        n_answered, n_skipped: number of annotations and of skips.
        annotations: its annotations; empty if not requested.
    """

    task_id: int
    data: dict[str, Any]
    updated_at: str
    created_at: str = ""
    overlap: int = 0
    is_labelled: bool = False
    n_answered: int = 0
    n_skipped: int = 0
    annotations: tuple[ServerAnnotation, ...] = ()

    @property
    def clip_id(self) -> str:
        """The id of its clip; empty: the task is not ours."""
        value = self.data.get("clip_id")
        return value if isinstance(value, str) else ""

    @property
    def url(self) -> str:
        """The URL of its clip; empty: it has none."""
        value = self.data.get("video")
        return value if isinstance(value, str) else ""

    @property
    def identity(self) -> str:
        """An id that no other task has, not even after this one is deleted."""
        return f"{self.task_id} {self.created_at}"


def list_tasks(server: Server, project_id: int) -> Iterator[Task]:
    """Yield all tasks of a project by id, without annotations; one page is in memory at a time."""
    # Filter by "id greater than the last id" instead of page numbers: deleted tasks then shift
    # nothing, and no page is requested beyond the last one, which the server answers with 404.
    last_id = 0
    while True:
        page = _page_after(
            server, project_id, [("id", "Number", last_id)], TASK_FIELDS, "task_only", PAGE_SIZE
        )
        yield from _convert(page, task_of)
        if len(page) < PAGE_SIZE:
            return
        last_id = page[-1].id


def changed_tasks(server: Server, project_id: int, since: str) -> Iterator[Task]:
    """Yield tasks that changed after a time, with all their annotations.

    New, edited and deleted annotations change their task.

    Args:
        server: the server.
        project_id: the project.
        since: ISO 8601 in UTC, by the server's clock; empty: all tasks.
    """
    last_id = 0
    while True:
        after: list[tuple[str, str, Any]] = [("id", "Number", last_id)]
        if since:
            after.append(("updated_at", "Datetime", since))
        page = _page_after(server, project_id, after, ANNOTATED_FIELDS, "all", ANNOTATED_PAGE_SIZE)
        yield from _convert(page, annotated_task_of)
        if len(page) < ANNOTATED_PAGE_SIZE:
            return
        last_id = page[-1].id


def tasks_by_id(server: Server, project_id: int, ids: Sequence[int]) -> Iterator[Task]:
    """Yield tasks with all their annotations; ids that the server does not have are left out."""
    for start in range(0, len(ids), IDS_PER_REQUEST):
        included = list(ids[start : start + IDS_PER_REQUEST])
        query = {"selectedItems": {"all": False, "included": included}}
        rows = _list(server, project_id, query, ANNOTATED_FIELDS, "all", IDS_PER_REQUEST)
        yield from _convert(rows, annotated_task_of)


def newest_change(server: Server, project_id: int) -> str:
    """Return the time of the last change of any task, by the server's clock; empty: no tasks."""
    query = {"ordering": ["-tasks:updated_at"]}
    rows = _list(server, project_id, query, TASK_FIELDS, "task_only", 1)
    return next((task.updated_at for task in _convert(rows, task_of)), "")


def create_tasks(server: Server, project_id: int, tasks: Sequence[dict[str, Any]]) -> None:
    """Create tasks, without retries; the server creates all of them or none.

    Args:
        server: the server.
        project_id: the project.
        tasks: each with `data`, and `predictions` if it has any.

    Raises:
        TransferError: the tasks may exist or not.
        OsslError: see `client.response_error`.
    """
    server.call_once(
        lambda: server.client.projects.import_tasks(
            id=project_id, request=list(tasks), request_options=NO_SDK_RETRIES
        )
    )


def update_task(server: Server, task_id: int, **fields: Any) -> None:
    """Set fields of a task: `data` (as a whole), `overlap`, `is_labeled`."""
    server.call(lambda: server.client.tasks.update(id=str(task_id), **fields))


def delete_task(server: Server, task_id: int) -> None:
    """Delete a task. A task that does not exist is no error."""
    none_if_missing(lambda: server.call(lambda: server.client.tasks.delete(id=str(task_id))))


def task_of(row: Any) -> Task:
    """Convert a task of the SDK, without its annotations."""
    return Task(
        task_id=int(row.id),
        data=dict(row.data or {}),
        updated_at=_utc_text(row.updated_at),
        overlap=int(row.overlap or 0),
        is_labelled=bool(row.is_labeled),
        n_answered=int(row.total_annotations or 0),
        n_skipped=int(row.cancelled_annotations or 0),
    )


def annotated_task_of(row: Any) -> Task:
    """Convert a task of the SDK, with its annotations."""
    annotations = [
        _annotation_of(values if isinstance(values, dict) else vars(values))
        for values in row.annotations or ()
    ]
    return Task(
        task_id=int(row.id),
        data=dict(row.data or {}),
        updated_at=_utc_text(row.updated_at),
        created_at=_utc_text(row.created_at),
        n_answered=sum(not annotation.is_skipped for annotation in annotations),
        n_skipped=sum(annotation.is_skipped for annotation in annotations),
        annotations=tuple(annotations),
    )


def _annotation_of(values: dict[str, Any]) -> ServerAnnotation:
    user = values.get("completed_by")
    return ServerAnnotation(
        user_id=int(user["id"] if isinstance(user, dict) else user or 0),
        result=tuple(entry for entry in values.get("result") or () if isinstance(entry, dict)),
        is_skipped=bool(values.get("was_cancelled")),
        updated_at=_utc_text(values.get("updated_at")),
        annotation_id=int(values["id"]),
    )


def _utc_text(value: Any) -> str:
    """Return a time in one format, so that times can be compared as texts; empty if not valid."""
    try:
        moment = parse.moment(value if isinstance(value, datetime) else str(value))
    except ValueError:
        return ""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _convert(rows: Sequence[Any], convert: Callable[[Any], Task]) -> Iterator[Task]:
    """Convert tasks of the SDK.

    Raises:
        TransferError: they do not have the fields of Label Studio's tasks.
    """
    for row in rows:
        try:
            yield convert(row)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise TransferError("dropped", NOT_LABEL_STUDIO) from error


def _page_after(
    server: Server,
    project_id: int,
    after: Sequence[tuple[str, str, Any]],
    include: str,
    fields: str,
    size: int,
) -> list[Any]:
    """Request the first tasks whose columns are greater than the given (name, type, value)."""
    items = [
        {"filter": f"filter:tasks:{name}", "operator": "greater", "type": kind, "value": value}
        for name, kind, value in after
    ]
    query = {"filters": {"conjunction": "and", "items": items}, "ordering": ["tasks:id"]}
    return _list(server, project_id, query, include, fields, size)


def _list(
    server: Server, project_id: int, query: dict[str, Any], include: str, fields: str, size: int
) -> list[Any]:
    response = server.call(
        lambda: server.client.tasks.list(
            project=project_id,
            query=json.dumps(query),
            include=include,
            fields=fields,
            page_size=size,
            resolve_uri=False,
        )
    )
    return list(response.items or ())
