"""A third opinion, where two people disagree most.

The server hands a task to labellers until as many have answered as its `overlap` says. For a
further opinion that number is raised, and the task counts as unfinished again: it then comes to the
next labeller who has not answered it yet, before new tasks do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ossl_builder.annotations import records
from ossl_builder.annotations.agreement import most_disagreed
from ossl_builder.annotations.label_schema import LabelSchema
from ossl_builder.corpus import Corpus
from ossl_builder.label_studio import tasks as label_studio_tasks
from ossl_builder.label_studio.client import Server
from ossl_builder.label_studio.rows import Project, Task


@dataclass(frozen=True)
class Request:
    """A clip that is to be answered by one more.

    Attributes:
        clip_id: the clip.
        film_id: its film.
        score: how far people disagree, 0 to 1.
        n_annotators: how many have answered.
        task_id: its task.
        is_new: whether the server does not wait for one more already.
    """

    clip_id: str
    film_id: str
    score: float
    n_annotators: int
    task_id: int
    is_new: bool


def plan(
    server: Server, found: Project, corpus: Corpus, taxonomy: LabelSchema, n: int
) -> list[Request]:
    """The clips people disagree on most, by the records as they were last pulled."""
    most = most_disagreed(records.read_all(corpus.root), taxonomy, n)
    by_clip = _by_clip(label_studio_tasks.tasks(server, found.project_id))
    wanted = []
    for one in most:
        task = by_clip.get(one.clip_id)
        if task is None or one.score <= 0:
            continue
        answered = task.n_answered
        waits = task.overlap > answered and not task.is_labelled
        wanted.append(
            Request(one.clip_id, one.film_id, one.score, answered, task.task_id, not waits)
        )
    return wanted


def ask(server: Server, wanted: Request) -> None:
    """Have the server ask one more labeller; may be done twice.

    Raises:
        Setback: the server could not be had.
    """
    if wanted.is_new:
        label_studio_tasks.change_task(
            server, wanted.task_id, overlap=wanted.n_annotators + 1, is_labeled=False
        )


def _by_clip(tasks: Iterable[Task]) -> dict[str, Task]:
    """The task of each clip; of copies the one with most answers."""
    found: dict[str, Task] = {}
    for task in tasks:
        known = found.get(task.clip_id)
        if known is None or task.n_answered > known.n_answered:
            found[task.clip_id] = task
    return found
