"""Push: create a task for each clip that has none, exactly once."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ossl_builder.annotations.aggregation import labels_table_of
from ossl_builder.annotations.label_config import results_of
from ossl_builder.annotations.label_schema import LabelSchema
from ossl_builder.annotations.records import Answer
from ossl_builder.corpus import Corpus
from ossl_builder.engine import tables_io
from ossl_builder.errors import OsslError
from ossl_builder.label_studio import project, project_api, state, task_api
from ossl_builder.label_studio.client import Server
from ossl_builder.label_studio.clip_urls import (
    ClipUrls,
    allow_local_files,
    clips_of,
    first_to_expire,
)
from ossl_builder.label_studio.project import ProjectOptions
from ossl_builder.label_studio.project_api import Project
from ossl_builder.label_studio.task_api import Task
from ossl_builder.net.retry import TransferError
from ossl_builder.tables import Clip, Label

CHUNK = 250  # fastest: smaller chunks have overhead, much larger ones reach the server's timeout
# The server creates a chunk within 0.2 s: after this time no lost request is still in progress.
STABLE_S = 3.0
POLL_S = 0.5


@dataclass(frozen=True)
class PushPlan:
    """What a push will do.

    Attributes:
        n_present: clips that have a task already.
        missing: the tasks to create.
        n_tasks: tasks that the project has.
        n_duplicates: tasks that show a clip a second time and have no answers.
        labelled_twice: clips with two tasks that both have answers; they are left unchanged.
        n_foreign: tasks whose clip the corpus does not have.
        url: the clip URL that expires first, of all tasks, existing and new; empty: no tasks.
    """

    n_present: int
    missing: tuple[dict[str, Any], ...]
    n_tasks: int
    n_duplicates: int
    labelled_twice: tuple[str, ...]
    n_foreign: int
    url: str = ""


@dataclass(frozen=True)
class PushResult:
    """Result of a push.

    Attributes:
        project: the corpus' project.
        plan: what was done.
        n_deleted: duplicates without answers that were deleted.
    """

    project: Project
    plan: PushPlan
    n_deleted: int


def push(
    server: Server,
    corpus: Corpus,
    film_ids: Sequence[str],
    urls: ClipUrls,
    options: ProjectOptions,
    schema: LabelSchema,
    progress: Callable[[Sequence[Any], str], Iterable[Any]] = lambda items, _: items,
) -> PushResult:
    """Create a task for each clip that has none. The caller holds the corpus' lock.

    Args:
        server: the server.
        corpus: the corpus.
        film_ids: the films whose clips are sent; empty: all.
        urls: the URLs of the clips.
        options: for finding or creating the project.
        schema: the label schema.
        progress: wraps a sequence to show progress; its second argument is a caption.

    Raises:
        TransferError: a request failed after the last retry.
        OsslError: see `project.find_or_create_project` and `plan_push`; `push_incomplete`.
    """
    found_project, new_state = project.find_or_create_project(
        server, corpus, state.load(corpus.root), options, schema
    )
    had_failures = new_state.n_sending > 0
    if had_failures:
        wait_until_stable(server, found_project.project_id)
    plan = plan_push(
        server, found_project, corpus, film_ids, urls, schema, options.shows_predictions
    )
    if plan.missing:
        # Saved before the first request: after a crash, the next push waits for lost requests.
        new_state = dataclasses.replace(new_state, n_sending=len(plan.missing))
        state.save(corpus.root, new_state)
    chunks = [plan.missing[start : start + CHUNK] for start in range(0, len(plan.missing), CHUNK)]
    for chunk in progress(chunks, "sending"):
        had_failures |= send_chunk(server, found_project.project_id, chunk)
    n_deleted = _delete_duplicates(server, found_project, plan, had_failures)
    n_tasks = project_api.count_tasks(server, found_project.project_id)
    state.save(corpus.root, dataclasses.replace(new_state, n_sending=0, n_tasks=n_tasks))
    if urls.kind == "local-files":
        allow_local_files(server, found_project, corpus)
    return PushResult(found_project, plan, n_deleted)


def plan_push(
    server: Server,
    existing: Project | None,
    corpus: Corpus,
    film_ids: Sequence[str],
    urls: ClipUrls,
    schema: LabelSchema,
    with_predictions: bool = False,
) -> PushPlan:
    """Compare the corpus with the project. Changes nothing.

    Args:
        server: the server.
        existing: the project; None: it does not exist yet.
        corpus: the corpus.
        film_ids: the films whose clips are sent; empty: all.
        urls: the URLs of the clips.
        schema: the label schema.
        with_predictions: add predictions from the labels table to new tasks.

    Raises:
        OsslError: `film_unknown`, `table_missing`, `table_version`.
    """
    clips = clips_of(corpus, film_ids)
    tasks = [] if existing is None else list(task_api.list_tasks(server, existing.project_id))
    duplicate_ids = {task.task_id for task in unanswered_duplicates(tasks)}
    n_by_clip = Counter(task.clip_id for task in tasks if task.task_id not in duplicate_ids)
    predictions = load_predictions(corpus, schema) if with_predictions else {}
    titles = _titles(corpus, {clip.film_id for clip in clips})
    corpus_clip_ids = {clip.clip_id for clip in (clips_of(corpus, ()) if film_ids else clips)}
    missing = tuple(
        _task_data(clip, titles[clip.film_id], urls, schema, predictions.get(clip.clip_id))
        for clip in clips
        if clip.clip_id not in n_by_clip
    )
    new_urls = (str(task["data"]["video"]) for task in missing)
    return PushPlan(
        n_present=sum(clip.clip_id in n_by_clip for clip in clips),
        missing=missing,
        n_tasks=len(tasks),
        n_duplicates=len(duplicate_ids),
        labelled_twice=tuple(sorted(clip for clip, n in n_by_clip.items() if clip and n > 1)),
        n_foreign=len(n_by_clip.keys() - corpus_clip_ids),
        url=first_to_expire((*(task.url for task in tasks), *new_urls)),
    )


def send_chunk(server: Server, project_id: int, chunk: Sequence[dict[str, Any]]) -> bool:
    """Send tasks until the server has one for each of their clips.

    Args:
        server: the server.
        project_id: the project.
        chunk: tasks of clips that the project does not have.

    Returns:
        Whether a request failed; then the server may still create duplicates.

    Raises:
        TransferError: the last retry failed; some tasks may exist.
    """
    unsent = list(chunk)
    failures = 0
    while unsent:
        try:
            task_api.create_tasks(server, project_id, unsent)
        except TransferError as error:
            failures += 1
            is_last = error.is_final or failures >= server.retry_policy.tries
            if is_last or not server.retry_policy.pause(failures, error):
                raise
            wait_until_stable(server, project_id)
            present = {task.clip_id for task in task_api.list_tasks(server, project_id)}
            unsent = [task for task in unsent if task["data"]["clip_id"] not in present]
        else:
            break
    return failures > 0


def wait_until_stable(server: Server, project_id: int) -> None:
    """Wait until the number of tasks has not changed for `STABLE_S` seconds.

    Raises:
        TransferError: a request failed after the last retry.
    """
    last = project_api.count_tasks(server, project_id)
    since = time.monotonic()
    while time.monotonic() - since < STABLE_S:
        time.sleep(POLL_S)
        count = project_api.count_tasks(server, project_id)
        if count != last:
            last, since = count, time.monotonic()


def _delete_duplicates(
    server: Server, existing: Project, plan: PushPlan, had_failures: bool
) -> int:
    """Check that each clip has a task, delete duplicates, and return their number."""
    expected = plan.n_tasks + len(plan.missing)
    has_other_count = project_api.count_tasks(server, existing.project_id) != expected
    if not (had_failures or has_other_count or plan.n_duplicates):
        return 0
    wait_until_stable(server, existing.project_id)
    tasks = list(task_api.list_tasks(server, existing.project_id))
    clip_ids = {task.clip_id for task in tasks}
    lost = [task for task in plan.missing if task["data"]["clip_id"] not in clip_ids]
    if lost:
        raise OsslError(
            "push_incomplete",
            f"{len(lost)} clips were sent, but the project at {server.url} does not have them.",
            "Somebody may be deleting tasks there. Run the same command again.",
        )
    duplicates = unanswered_duplicates(tasks)
    for task in duplicates:
        task_api.delete_task(server, task.task_id)
    return len(duplicates)


def unanswered_duplicates(tasks: Iterable[Task]) -> list[Task]:
    """Return tasks without answers that show a clip which another task shows too.

    Of each clip the task with most answers is kept; of equal ones, the first.
    """
    by_clip: dict[str, list[Task]] = {}
    for task in tasks:
        if task.clip_id:
            by_clip.setdefault(task.clip_id, []).append(task)
    duplicates = []
    for same_clip in by_clip.values():
        same_clip.sort(key=lambda task: (-task.n_answered - task.n_skipped, task.task_id))
        duplicates += [task for task in same_clip[1:] if not task.n_answered + task.n_skipped]
    return duplicates


def _task_data(
    clip: Clip,
    title: str,
    urls: ClipUrls,
    schema: LabelSchema,
    prediction: dict[str, Any] | None,
) -> dict[str, Any]:
    data = {
        "video": urls.url_for(clip),
        "clip_id": clip.clip_id,
        "film_id": clip.film_id,
        "film_title": title,
        "start_s": clip.start_s,
        "duration_s": clip.duration_s,
        # A mean of measured times: annotators should not see its last digits, which are noise.
        "fps": round(clip.fps, 6),
        "schema": schema.version,
    }
    return {"data": data} if prediction is None else {"data": data, "predictions": [prediction]}


def _titles(corpus: Corpus, film_ids: set[str]) -> dict[str, str]:
    """Return titles by film id. An imported table may have no films: then the id is the title."""
    existing = set(corpus.film_ids())
    return {
        film_id: corpus.source(film_id).title if film_id in existing else film_id
        for film_id in film_ids
    }


def load_predictions(corpus: Corpus, schema: LabelSchema) -> dict[str, dict[str, Any]]:
    """Convert the labels table to Label Studio's predictions, by clip id.

    Raises:
        OsslError: `table_missing`, `table_version`.
    """
    rows: list[Label] = tables_io.read_table(corpus.root / "manifests", labels_table_of(schema))
    predictions = {}
    for row in rows:
        results = results_of(schema, _label_answers(row, schema))
        if results:
            predictions[row.clip_id] = {
                "model_version": f"labels by {row.rule}",
                "score": row.confidence,
                "result": results,
            }
    return predictions


def _label_answers(row: Label, schema: LabelSchema) -> dict[str, Answer]:
    """Convert a label to the answers of one annotator; values that do not fit are left out."""
    answers = {}
    for question in schema.questions:
        value: Any = getattr(row, question.name, None)
        if question.kind == "scale" and isinstance(value, float):
            # A mean over annotators is rounded to a number that one annotator can choose.
            value = round(value)
        elif question.kind == "choices" and isinstance(value, str):
            value = tuple(word for word in value.split("; ") if word)
        if value and question.problem(value) is None:
            answers[question.name] = value
    return answers
