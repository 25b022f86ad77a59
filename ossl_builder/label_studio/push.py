"""Push: create a task for each clip that has none, exactly once."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ossl_builder.annotations.label_schema import LabelSchema
from ossl_builder.corpus import Corpus
from ossl_builder.engine import tables_io
from ossl_builder.errors import OsslError
from ossl_builder.label_studio import client, predictions, project, url_check
from ossl_builder.label_studio import state as states
from ossl_builder.label_studio import tasks as label_studio_tasks
from ossl_builder.label_studio.client import Server
from ossl_builder.label_studio.clip_urls import Addresses
from ossl_builder.label_studio.project import ProjectOptions
from ossl_builder.label_studio.rows import Project, Task
from ossl_builder.label_studio.state import State
from ossl_builder.net.retry import TransferError
from ossl_builder.tables import CLIPS, Clip

CHUNK = 250  # the server's best: below the overhead shows, far above it the time limit
# The server takes a chunk in a fifth of a second; what was lost on the way has landed by then.
QUIET_S = 3.0
LOOK_EVERY_S = 0.5


def chunks_of(new: Sequence[dict[str, Any]]) -> list[Sequence[dict[str, Any]]]:
    """New tasks in portions that are sent at once."""
    return [new[at : at + CHUNK] for at in range(0, len(new), CHUNK)]


def ensure(server: Server, project_id: int, chunk: Sequence[dict[str, Any]]) -> bool:
    """Send a chunk until each of its clips is there.

    Args:
        chunk: tasks whose clips were not on the server.

    Returns:
        Whether there was a doubt: then a copy may arrive still.

    Raises:
        Setback: the server could not be had; some clips may be there.
    """
    waiting = list(chunk)
    failures = 0
    while waiting:
        try:
            label_studio_tasks.send(server, project_id, waiting)
        except TransferError as setback:
            failures += 1
            given_up = setback.is_final or failures >= server.patience.tries
            if given_up or not server.patience.pause(failures, setback):
                raise
            settle(server, project_id)
            present = {task.clip_id for task in label_studio_tasks.tasks(server, project_id)}
            waiting = [one for one in waiting if one["data"]["clip_id"] not in present]
        else:
            break
    return failures > 0


def settle(server: Server, project_id: int) -> None:
    """Wait until the number of tasks stands still.

    Raises:
        Setback: the server cannot be asked.
    """
    last = client.n_tasks(server, project_id)
    since = time.monotonic()
    while time.monotonic() - since < QUIET_S:
        time.sleep(LOOK_EVERY_S)
        now = client.n_tasks(server, project_id)
        if now != last:
            last, since = now, time.monotonic()


def copies(tasks: Iterable[Task]) -> list[Task]:
    """Tasks that show a clip which another task shows too, and that nobody has answered.

    Of each clip the task with most answers is kept, of equals the first.
    """
    by_clip: dict[str, list[Task]] = {}
    for task in tasks:
        if task.clip_id:
            by_clip.setdefault(task.clip_id, []).append(task)
    surplus = []
    for same in by_clip.values():
        same.sort(key=lambda task: (-task.n_answered - task.n_skipped, task.task_id))
        surplus += [task for task in same[1:] if not task.n_answered + task.n_skipped]
    return surplus


def remove_copies(server: Server, tasks: Iterable[Task]) -> int:
    """Delete them; how many there were."""
    surplus = copies(tasks)
    for task in surplus:
        label_studio_tasks.remove_task(server, task.task_id)
    return len(surplus)


@dataclass(frozen=True)
class Plan:
    """What a push will do.

    Attributes:
        present: how many of the clips have a task already.
        missing: the tasks to be sent.
        n_tasks: tasks that the project has.
        copies: tasks among them that show a clip a second time, and that nobody has answered.
        labelled_twice: clips with two tasks that were both answered; they are left.
        foreign: tasks whose clip the corpus does not have, or no more.
        address: of all clips' addresses, in the project or to be sent, the first to expire; empty:
            there are no clips.
    """

    present: int
    missing: tuple[dict[str, Any], ...]
    n_tasks: int
    copies: int
    labelled_twice: tuple[str, ...]
    foreign: int
    address: str = ""


@dataclass(frozen=True)
class Pushed:
    """What a push did: clips now on the server, copies that were removed."""

    there: int
    copies_removed: int


def clips_of(corpus: Corpus, film_ids: Sequence[str]) -> list[Clip]:
    """The clips of these films, in the table's order; no film: all.

    Raises:
        OsslError: `film_unknown`, `table_missing`, `table_version`.
    """
    chosen = set(corpus.chosen(film_ids)) if film_ids else set()
    rows: list[Clip] = tables_io.read_table(corpus.root / "manifests", CLIPS)
    return [row for row in rows if not chosen or row.film_id in chosen]


def begin(
    server: Server, corpus: Corpus, wish: ProjectOptions, taxonomy: LabelSchema
) -> tuple[Project, State]:
    """Find or make the project; wait for what an earlier push may have left on its way.

    The caller holds the corpus' lock from here to `finish`.

    Raises:
        Setback, OsslError: see `project.find_or_make`.
    """
    found, state = project.find_or_make(server, corpus, states.load(corpus.root), wish, taxonomy)
    if state.sending:
        settle(server, found.project_id)
    return found, state


def plan(
    server: Server,
    found: Project | None,
    corpus: Corpus,
    film_ids: Sequence[str],
    addresses: Addresses,
    taxonomy: LabelSchema,
    has_prelabels: bool = False,
) -> Plan:
    """Compare the corpus with the project; nothing is changed.

    Args:
        found: the project; None: it will be made.
        has_prelabels: give what the labels table says as predictions.
    """
    wanted = clips_of(corpus, film_ids)
    tasks = [] if found is None else list(label_studio_tasks.tasks(server, found.project_id))
    surplus = {task.task_id for task in copies(tasks)}
    times = Counter(task.clip_id for task in tasks if task.task_id not in surplus)
    said = predictions.of(corpus, taxonomy) if has_prelabels else {}
    titles = _titles(corpus, {clip.film_id for clip in wanted})
    known = {clip.clip_id for clip in (clips_of(corpus, ()) if film_ids else wanted)}
    missing = tuple(
        _task(clip, titles[clip.film_id], addresses, taxonomy, said.get(clip.clip_id))
        for clip in wanted
        if clip.clip_id not in times
    )
    sent = (str(task["data"]["video"]) for task in missing)
    return Plan(
        present=sum(clip.clip_id in times for clip in wanted),
        missing=missing,
        n_tasks=len(tasks),
        copies=len(surplus),
        labelled_twice=tuple(sorted(one for one, n in times.items() if one and n > 1)),
        foreign=len(times.keys() - known),
        address=url_check.first_to_expire((*(task.address for task in tasks), *sent)),
    )


def announce(corpus: Corpus, state: State, planned: Plan) -> State:
    """Write down that clips are on their way, before the first is sent."""
    state = dataclasses.replace(state, sending=len(planned.missing))
    states.save(corpus.root, state)
    return state


def finish(
    server: Server,
    corpus: Corpus,
    state: State,
    found: Project,
    planned: Plan,
    is_in_doubt: bool,
) -> Pushed:
    """See that each clip is there once; remove copies; write down that nothing is on its way.

    Raises:
        Setback: the server could not be had.
        OsslError: `push_incomplete`.
    """
    expected = planned.n_tasks + len(planned.missing)
    removed = 0
    is_other = client.n_tasks(server, found.project_id) != expected
    if is_in_doubt or is_other or planned.copies:
        settle(server, found.project_id)
        tasks = list(label_studio_tasks.tasks(server, found.project_id))
        _check_complete(server, planned, {task.clip_id for task in tasks})
        removed = remove_copies(server, tasks)
    n_tasks = client.n_tasks(server, found.project_id)
    states.save(corpus.root, dataclasses.replace(state, sending=0, known=n_tasks))
    return Pushed(there=planned.present + len(planned.missing), copies_removed=removed)


def _check_complete(server: Server, planned: Plan, there: set[str]) -> None:
    lost = [one for one in planned.missing if one["data"]["clip_id"] not in there]
    if lost:
        raise OsslError(
            "push_incomplete",
            f"{len(lost)} clips were sent and are not in the project at {server.url}.",
            "Somebody may be deleting tasks there; give the same command again.",
        )


def allow_local_files(server: Server, found: Project, corpus: Corpus) -> None:
    """Let Label Studio serve the corpus' clips to this project's labellers.

    The folders of the clips, one per film: the server refuses its document root itself, which is
    the films folder.

    Raises:
        OsslError: `request_refused`, where the server was not started for it; `table_missing`.
    """
    folders = {str((corpus.root / clip.video_path).parent) for clip in clips_of(corpus, ())}
    client.allow_local_files(server, found.project_id, folders)


def _task(
    clip: Clip,
    title: str,
    addresses: Addresses,
    taxonomy: LabelSchema,
    prelabel: dict[str, Any] | None,
) -> dict[str, Any]:
    data = {
        "video": addresses.address_for(clip),
        "clip_id": clip.clip_id,
        "film_id": clip.film_id,
        "film_title": title,
        "start_s": clip.start_s,
        "duration_s": clip.duration_s,
        # A mean of measured times: its last digits are noise that a labeller would see.
        "fps": round(clip.fps, 6),
        "schema": taxonomy.version,
    }
    return {"data": data} if prelabel is None else {"data": data, "predictions": [prelabel]}


def _titles(corpus: Corpus, film_ids: set[str]) -> dict[str, str]:
    """Titles by film. Tables may come without their films: then the id stands for the title."""
    here = set(corpus.film_ids())
    return {one: corpus.source(one).title if one in here else one for one in film_ids}
