"""Every clip on the server exactly once, whatever happens on the way.

The server has no uniqueness, and an answer that is lost says nothing of what was done. So a chunk
is asked for once; on any doubt we wait until the number of tasks stands still, list what is there,
and send only what is missing. That a chunk is on its way is written down first, so that the next
run after a crash waits as well. What arrives still later (a request that hung in a proxy), or what
the server doubles (on SQLite it repeats a request by itself when its database was locked), makes
copies: those that nobody has answered are removed, by this run or the next.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from ossl_builder.tools import label_studio, label_studio_tasks
from ossl_builder.tools.label_studio import Server
from ossl_builder.tools.label_studio_rows import Task
from ossl_builder.tools.patience import Setback

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
        except Setback as setback:
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
    last = label_studio.n_tasks(server, project_id)
    since = time.monotonic()
    while time.monotonic() - since < QUIET_S:
        time.sleep(LOOK_EVERY_S)
        now = label_studio.n_tasks(server, project_id)
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
