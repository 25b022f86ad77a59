"""Label Studio's tasks: listed, changed, sent, deleted; pages of them, a page at a time.

Tasks are never sent again by themselves: the server knows no uniqueness, and an answer that was
lost says nothing of what it did (see `label_studio.push`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ossl_builder.label_studio.client import ONCE, Server, or_none
from ossl_builder.label_studio.rows import Task, annotated_task, task_row
from ossl_builder.net.retry import TransferError

PAGE_SIZE = 1000
ANNOTATED_PAGE_SIZE = 250
# Ids travel in the address, which servers cut off at some thousand characters.
IDS_AT_ONCE = 200
# A task whose annotations changed is found by its own time of change, annotations by theirs.
TASK = "id,data,overlap,is_labeled,total_annotations,cancelled_annotations,updated_at"
ANNOTATED = "id,data,annotations,result,completed_by,was_cancelled,created_at,updated_at"


def tasks(server: Server, project_id: int) -> Iterator[Task]:
    """All tasks of a project by id, without what was answered; a page is in memory at a time."""
    # Asked by "id greater than the last", a task that is deleted meanwhile shifts nothing, and no
    # page can be the one too many that the server answers with 404.
    last = 0
    while True:
        page = _page(server, project_id, [("id", "Number", last)], TASK, "task_only", PAGE_SIZE)
        yield from _rows(page, task_row)
        if len(page) < PAGE_SIZE:
            return
        last = page[-1].id


def changed_tasks(server: Server, project_id: int, since: str) -> Iterator[Task]:
    """Tasks that changed after a time, with all their annotations.

    New, edited and deleted annotations change their task.

    Args:
        since: ISO 8601 in UTC, by the server's clock; empty: all tasks.
    """
    last = 0
    while True:
        wanted = [("id", "Number", last), *([("updated_at", "Datetime", since)] if since else [])]
        page = _page(server, project_id, wanted, ANNOTATED, "all", ANNOTATED_PAGE_SIZE)
        yield from _rows(page, annotated_task)
        if len(page) < ANNOTATED_PAGE_SIZE:
            return
        last = page[-1].id


def tasks_by_id(server: Server, project_id: int, ids: Sequence[int]) -> Iterator[Task]:
    """Tasks with all their annotations; those that the server has no more are left out."""
    for at in range(0, len(ids), IDS_AT_ONCE):
        wanted = list(ids[at : at + IDS_AT_ONCE])
        query = {"selectedItems": {"all": False, "included": wanted}}
        found = _list(server, project_id, query, ANNOTATED, "all", IDS_AT_ONCE)
        yield from _rows(found, annotated_task)


def newest_change(server: Server, project_id: int) -> str:
    """When a task of the project changed last, by the server's clock; empty: it has none."""
    found = _list(server, project_id, {"ordering": ["-tasks:updated_at"]}, TASK, "task_only", 1)
    return next((task.updated_at for task in _rows(found, task_row)), "")


def send(server: Server, project_id: int, new: Sequence[dict[str, Any]]) -> None:
    """Send tasks, asking once; the server takes all of them or none.

    Args:
        new: each a `data`, and `predictions` if it has pre-labels.

    Raises:
        Setback: whether they were taken is not known.
        OsslError: see `setback_of`.
    """
    server.once(
        lambda: server.client.projects.import_tasks(
            id=project_id, request=list(new), request_options=ONCE
        )
    )


def change_task(server: Server, task_id: int, **fields: Any) -> None:
    """Set fields of a task: `data` (the whole of it), `overlap`, `is_labeled`."""
    server.insist(lambda: server.client.tasks.update(id=str(task_id), **fields))


def remove_task(server: Server, task_id: int) -> None:
    """Delete a task; one that is gone already is no error."""
    or_none(lambda: server.insist(lambda: server.client.tasks.delete(id=str(task_id))))


def _rows(found: Sequence[Any], row: Callable[[Any], Task]) -> Iterator[Task]:
    """Tasks of the SDK in our words.

    Raises:
        Setback: they are not what Label Studio answers.
    """
    for one in found:
        try:
            yield row(one)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise TransferError(
                "dropped", "answered something that is not Label Studio's"
            ) from error


def _page(
    server: Server,
    project_id: int,
    after: Sequence[tuple[str, str, Any]],
    include: str,
    fields: str,
    size: int,
) -> list[Any]:
    items = [
        {"filter": f"filter:tasks:{name}", "operator": "greater", "type": kind, "value": value}
        for name, kind, value in after
    ]
    query = {"filters": {"conjunction": "and", "items": items}, "ordering": ["tasks:id"]}
    return _list(server, project_id, query, include, fields, size)


def _list(
    server: Server, project_id: int, query: dict[str, Any], include: str, fields: str, size: int
) -> list[Any]:
    found = server.insist(
        lambda: server.client.tasks.list(
            project=project_id,
            query=json.dumps(query),
            include=include,
            fields=fields,
            page_size=size,
            resolve_uri=False,
        )
    )
    return list(found.items or ())
