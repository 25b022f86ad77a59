"""From the corpus to the server: the clips that have no task yet."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ossl_builder.engine import manifests
from ossl_builder.errors import OsslError
from ossl_builder.exchange import prelabels, probe, project, sending
from ossl_builder.exchange import state as states
from ossl_builder.exchange.addresses import Addresses
from ossl_builder.exchange.project import Wish
from ossl_builder.exchange.state import State
from ossl_builder.labelling.taxonomy import Taxonomy
from ossl_builder.tables import CLIPS, Clip
from ossl_builder.tools import label_studio, label_studio_tasks
from ossl_builder.tools.label_studio import Server
from ossl_builder.tools.label_studio_rows import Project
from ossl_builder.workspace import Corpus


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
    rows: list[Clip] = manifests.read_table(corpus.root / "manifests", CLIPS)
    return [row for row in rows if not chosen or row.film_id in chosen]


def begin(server: Server, corpus: Corpus, wish: Wish, taxonomy: Taxonomy) -> tuple[Project, State]:
    """Find or make the project; wait for what an earlier push may have left on its way.

    The caller holds the corpus' lock from here to `finish`.

    Raises:
        Setback, OsslError: see `project.find_or_make`.
    """
    found, state = project.find_or_make(server, corpus, states.load(corpus.root), wish, taxonomy)
    if state.sending:
        sending.settle(server, found.project_id)
    return found, state


def plan(
    server: Server,
    found: Project | None,
    corpus: Corpus,
    film_ids: Sequence[str],
    addresses: Addresses,
    taxonomy: Taxonomy,
    has_prelabels: bool = False,
) -> Plan:
    """Compare the corpus with the project; nothing is changed.

    Args:
        found: the project; None: it will be made.
        has_prelabels: give what the labels table says as predictions.
    """
    wanted = clips_of(corpus, film_ids)
    tasks = [] if found is None else list(label_studio_tasks.tasks(server, found.project_id))
    surplus = {task.task_id for task in sending.copies(tasks)}
    times = Counter(task.clip_id for task in tasks if task.task_id not in surplus)
    said = prelabels.of(corpus, taxonomy) if has_prelabels else {}
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
        address=probe.first_to_expire((*(task.address for task in tasks), *sent)),
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
    is_other = label_studio.n_tasks(server, found.project_id) != expected
    if is_in_doubt or is_other or planned.copies:
        sending.settle(server, found.project_id)
        tasks = list(label_studio_tasks.tasks(server, found.project_id))
        _check_complete(server, planned, {task.clip_id for task in tasks})
        removed = sending.remove_copies(server, tasks)
    n_tasks = label_studio.n_tasks(server, found.project_id)
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
    label_studio.allow_local_files(server, found.project_id, folders)


def _task(
    clip: Clip,
    title: str,
    addresses: Addresses,
    taxonomy: Taxonomy,
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
