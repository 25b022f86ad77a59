"""Change existing tasks: new clip URLs, and one more annotator where annotators disagree."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ossl_builder.annotations import records
from ossl_builder.annotations.agreement import most_disagreed
from ossl_builder.annotations.label_schema import LabelSchema
from ossl_builder.corpus import Corpus
from ossl_builder.label_studio import task_api
from ossl_builder.label_studio.client import Server
from ossl_builder.label_studio.clip_urls import ClipUrls
from ossl_builder.label_studio.project_api import Project
from ossl_builder.label_studio.task_api import Task
from ossl_builder.tables import Clip


@dataclass(frozen=True)
class UrlChange:
    """A task that gets another clip URL.

    Attributes:
        task_id: the task.
        clip_id: its clip.
        data: the task's data with the new URL.
        before: its present URL.
    """

    task_id: int
    clip_id: str
    data: dict[str, Any]
    before: str

    @property
    def after(self) -> str:
        """The new URL."""
        return str(self.data["video"])


def plan_url_changes(
    server: Server, project: Project, clips: list[Clip], urls: ClipUrls
) -> tuple[list[UrlChange], int]:
    """Find the tasks of these clips whose URL differs. Changes nothing.

    Returns:
        The changes, and the number of tasks whose URL is right.
    """
    by_id = {clip.clip_id: clip for clip in clips}
    changes, n_right = [], 0
    for task in task_api.list_tasks(server, project.project_id):
        clip = by_id.get(task.clip_id)
        if clip is None:
            continue
        url = urls.url_for(clip)
        before = str(task.data.get("video", ""))
        if url == before:
            n_right += 1
            continue
        changes.append(UrlChange(task.task_id, task.clip_id, {**task.data, "video": url}, before))
    return changes, n_right


def change_url(server: Server, change: UrlChange) -> None:
    """Give a task its new clip URL; may be repeated.

    Raises:
        TransferError: the request failed after the last retry.
    """
    task_api.update_task(server, change.task_id, data=change.data)


@dataclass(frozen=True)
class ExtraAnnotator:
    """A clip that one more annotator should answer.

    Attributes:
        clip_id: the clip.
        film_id: its film.
        score: disagreement of the annotators, 0 to 1.
        n_annotators: annotators who have answered.
        task_id: its task.
        is_new: whether the server does not already wait for one more.
    """

    clip_id: str
    film_id: str
    score: float
    n_annotators: int
    task_id: int
    is_new: bool


def plan_extra_annotators(
    server: Server, project: Project, corpus: Corpus, schema: LabelSchema, n: int
) -> list[ExtraAnnotator]:
    """Find the clips with the largest disagreement in the records of the last pull.

    The server offers a task until as many annotators as its `overlap` have answered. A larger
    overlap makes it unfinished again: the server then offers it, before new tasks, to the next
    annotator who has not answered it.

    Args:
        server: the server.
        project: the project.
        corpus: the corpus.
        schema: the label schema.
        n: the number of clips to consider.
    """
    by_clip = _task_by_clip(task_api.list_tasks(server, project.project_id))
    requests = []
    for clip in most_disagreed(records.read_all(corpus.root), schema, n):
        task = by_clip.get(clip.clip_id)
        if task is None or clip.score <= 0:
            continue
        is_waiting = task.overlap > task.n_answered and not task.is_labelled
        requests.append(
            ExtraAnnotator(
                clip.clip_id,
                clip.film_id,
                clip.score,
                task.n_answered,
                task.task_id,
                not is_waiting,
            )
        )
    return requests


def request_extra_annotator(server: Server, request: ExtraAnnotator) -> None:
    """Raise the overlap of a task by one; may be repeated.

    Raises:
        TransferError: the request failed after the last retry.
    """
    if request.is_new:
        task_api.update_task(
            server, request.task_id, overlap=request.n_annotators + 1, is_labeled=False
        )


def _task_by_clip(tasks: Iterable[Task]) -> dict[str, Task]:
    """Return the task of each clip; of duplicates, the one with most answers."""
    by_clip: dict[str, Task] = {}
    for task in tasks:
        other = by_clip.get(task.clip_id)
        if other is None or task.n_answered > other.n_answered:
            by_clip[task.clip_id] = task
    return by_clip
