"""What Label Studio holds, in our words: projects, tasks, what was answered, people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ossl_builder import parse


@dataclass(frozen=True)
class Project:
    """A project of the server.

    Attributes:
        project_id: its id.
        title: its title; not unique.
        description: what its users read of it.
        page: the labelling page as XML.
        n_tasks: how many tasks it has.
        opinions: how many people are asked for each task.
        shows_prelabels: whether labellers see predictions.
    """

    project_id: int
    title: str
    description: str
    page: str
    n_tasks: int
    opinions: int
    shows_prelabels: bool


@dataclass(frozen=True)
class Given:
    """One annotation as the server holds it; it has checked nothing.

    Attributes:
        person: the user's id.
        result: the server's list of answers, one dictionary per control.
        is_skipped: the labeller skipped the task.
        updated_at: when it last changed, ISO 8601 in UTC, to the microsecond; empty: the server
            has no possible time for it.
        annotation_id: its id.
    """

    person: int
    result: tuple[dict[str, Any], ...]
    is_skipped: bool
    updated_at: str
    annotation_id: int


@dataclass(frozen=True)
class Task:
    """One task of a project.

    Attributes:
        task_id: its id. A server on SQLite gives a deleted task's id again.
        data: what was sent.
        updated_at: when it, or an annotation of it, last changed: ISO 8601 in UTC.
        created_at: when it was made, likewise; empty where it was not asked for.
        overlap: how many people are asked for it; 0 where it was not asked for.
        is_labelled: whether so many have answered.
        n_answered, n_skipped: annotations, and skips.
        given: its annotations, where they were asked for.
    """

    task_id: int
    data: dict[str, Any]
    updated_at: str
    created_at: str = ""
    overlap: int = 0
    is_labelled: bool = False
    n_answered: int = 0
    n_skipped: int = 0
    given: tuple[Given, ...] = ()

    @property
    def clip_id(self) -> str:
        """The clip it shows; empty: it is not ours."""
        value = self.data.get("clip_id")
        return value if isinstance(value, str) else ""

    @property
    def address(self) -> str:
        """The address of its clip; empty: it has none."""
        value = self.data.get("video")
        return value if isinstance(value, str) else ""

    @property
    def identity(self) -> str:
        """What no other task has, also after it was deleted."""
        return f"{self.task_id} {self.created_at}"


@dataclass(frozen=True)
class Person:
    """A user of the server."""

    email: str
    name: str


def project_row(found: Any) -> Project:
    """A project, from the SDK's."""
    return Project(
        project_id=int(found.id),
        title=found.title or "",
        description=found.description or "",
        page=found.label_config or "",
        n_tasks=int(found.task_number or 0),
        opinions=int(found.maximum_annotations or 1),
        shows_prelabels=bool(found.show_collab_predictions),
    )


def task_row(found: Any) -> Task:
    """A task without its annotations, from the SDK's."""
    return Task(
        task_id=int(found.id),
        data=dict(found.data or {}),
        updated_at=_utc(found.updated_at),
        overlap=int(found.overlap or 0),
        is_labelled=bool(found.is_labeled),
        n_answered=int(found.total_annotations or 0),
        n_skipped=int(found.cancelled_annotations or 0),
    )


def annotated_task(found: Any) -> Task:
    """A task with its annotations, from the SDK's."""
    given = [_given(one if isinstance(one, dict) else vars(one)) for one in found.annotations or ()]
    return Task(
        task_id=int(found.id),
        data=dict(found.data or {}),
        updated_at=_utc(found.updated_at),
        created_at=_utc(found.created_at),
        n_answered=sum(not one.is_skipped for one in given),
        n_skipped=sum(one.is_skipped for one in given),
        given=tuple(given),
    )


def person(found: Any) -> Person:
    """A user, from the SDK's."""
    name = f"{found.first_name or ''} {found.last_name or ''}".strip()
    return Person(email=found.email or "", name=name)


def _given(values: dict[str, Any]) -> Given:
    by = values.get("completed_by")
    return Given(
        person=int(by["id"] if isinstance(by, dict) else by or 0),
        result=tuple(one for one in values.get("result") or () if isinstance(one, dict)),
        is_skipped=bool(values.get("was_cancelled")),
        updated_at=_utc(values.get("updated_at")),
        annotation_id=int(values["id"]),
    )


def _utc(value: Any) -> str:
    """A time in one form, so that times can be compared as texts; empty for what is no time."""
    try:
        moment = parse.moment(value if isinstance(value, datetime) else str(value))
    except ValueError:
        return ""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
