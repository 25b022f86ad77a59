"""The corpus' project on the Label Studio server: connect, find it, or create it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from ossl_builder.annotations import label_config
from ossl_builder.annotations.label_schema import LabelSchema
from ossl_builder.corpus import Corpus
from ossl_builder.errors import OsslError
from ossl_builder.label_studio import client, tasks
from ossl_builder.label_studio import state as states
from ossl_builder.label_studio.client import Server
from ossl_builder.label_studio.rows import Project, Task
from ossl_builder.label_studio.server_errors import WHERE
from ossl_builder.label_studio.state import State
from ossl_builder.net.retry import TransferError

TITLE_LENGTHS = range(3, 51)  # what the server takes, in characters
MARKER = re.compile(r"\[ossl corpus=(\w+) schema=([^\s\]]+)\]")
OPINIONS = 2
LOST_ANSWER_S = 2.0


@dataclass(frozen=True)
class ProjectOptions:
    """What the project is to be like.

    Attributes:
        title: its title; empty: made from the corpus' folder.
        project_id: use this project; None: that of the corpus.
        opinions: how many people are asked for each clip; None: as it is, or `OPINIONS`.
        shows_prelabels: whether labellers are to see pre-labels.
        is_new: make a new project, though the corpus has one.
    """

    title: str = ""
    project_id: int | None = None
    opinions: int | None = None
    shows_prelabels: bool = False
    is_new: bool = False


def find(server: Server, corpus: Corpus, state: State, wish: ProjectOptions) -> Project | None:
    """The corpus' project: by the id remembered, else by exact title; None: there is none yet.

    Raises:
        OsslError: `project_gone`, `project_foreign`, and for the server.
    """
    if wish.is_new:
        return None
    known = wish.project_id if wish.project_id is not None else state.project_id
    if known is not None:
        found = client.project(server, known)
        if found is None or (wish.project_id is None and _corpus_of(found) != state.corpus_id):
            raise OsslError(
                "project_gone",
                f"Label Studio at {server.url} has no project {known} of this corpus (any more).",
                "All that was pulled is kept. `ossl label push --new` makes a new project; "
                "`--project ID` takes another one.",
            )
        return found
    title = title_of(corpus, wish.title)
    same = client.projects_titled(server, title)
    ours = [one for one in same if _corpus_of(one) == state.corpus_id]
    if ours or not same:
        return ours[0] if ours else None
    raise OsslError(
        "project_foreign",
        f"Label Studio at {server.url} has a project {title!r} already (number "
        f"{same[0].project_id}), which this corpus did not make.",
        f"If it is this corpus' nevertheless: --project {same[0].project_id}; else choose "
        "another --title.",
    )


def find_or_make(
    server: Server, corpus: Corpus, state: State, wish: ProjectOptions, taxonomy: LabelSchema
) -> tuple[Project, State]:
    """The corpus' project, with the page of its taxonomy; made if there is none.

    Returns:
        The project, and what is remembered of it, which has been saved.

    Raises:
        OsslError: see `find`; `schema_differs`, `title_invalid`.
    """
    # Remembered before the project is made: a project of which we never heard is still known by
    # the corpus' id in its description.
    states.save(corpus.root, state)
    found = find(server, corpus, state, wish)
    if found is None:
        found = _make(server, corpus, state, wish, taxonomy)
    else:
        found = _brought_up_to_date(server, state, found, wish, taxonomy)
    is_other = found.project_id != state.project_id
    state = dataclasses.replace(
        state,
        url=server.url,
        project_id=found.project_id,
        title=found.title,
        # Another project is pulled from its beginning.
        mark="" if is_other else state.mark,
        waiting=() if is_other else state.waiting,
        known=0 if is_other else state.known,
    )
    states.save(corpus.root, state)
    return found, state


def title_of(corpus: Corpus, wished: str) -> str:
    """The title that is wished, or one made from the corpus' folder.

    Raises:
        OsslError: `title_invalid`.
    """
    title = wished.strip() or f"OSSL {corpus.root.name}"[: TITLE_LENGTHS[-1]].strip()
    if len(title) not in TITLE_LENGTHS:
        raise OsslError(
            "title_invalid",
            f"{title!r} cannot be a project's title.",
            f"Label Studio wants {TITLE_LENGTHS[0]} to {TITLE_LENGTHS[-1]} characters.",
        )
    return title


def _make(
    server: Server, corpus: Corpus, state: State, wish: ProjectOptions, taxonomy: LabelSchema
) -> Project:
    title = title_of(corpus, wish.title)
    before = {one.project_id for one in client.projects_titled(server, title)}
    setback = None
    try:
        client.make_project(
            server,
            title,
            _description(state, taxonomy),
            _page(taxonomy),
            OPINIONS if wish.opinions is None else wish.opinions,
            wish.shows_prelabels,
        )
    except TransferError as error:
        setback = error
        time.sleep(LOST_ANSWER_S)  # it may have been made nevertheless: that is seen then
    made = [
        one
        for one in client.projects_titled(server, title)
        if one.project_id not in before and _corpus_of(one) == state.corpus_id
    ]
    if not made:
        raise client.gone(server, setback or TransferError("status", "made no project"))
    # A server on SQLite repeats a request by itself when its database was locked, and then makes
    # several.
    for surplus in made[1:]:
        if surplus.n_tasks == 0:
            client.remove_project(server, surplus.project_id)
    return made[0]


def _brought_up_to_date(
    server: Server, state: State, found: Project, wish: ProjectOptions, taxonomy: LabelSchema
) -> Project:
    """Give it the page as it is now, unless its answers would mean something else."""
    said = MARKER.search(found.description)
    if said is not None and said[2] != taxonomy.version:
        _refuse_schema(found, said[2], taxonomy)
    wanted = _page(taxonomy)
    changes: dict[str, object] = {}
    if found.page != wanted:
        if said is None and found.n_tasks:
            _refuse_schema(found, "unknown", taxonomy)
        changes["label_config"] = wanted
    if _corpus_of(found) != state.corpus_id:
        changes["description"] = _description(state, taxonomy)
    if wish.shows_prelabels and not found.shows_prelabels:
        changes["show_collab_predictions"] = True
    if changes:
        client.change_project(server, found.project_id, **changes)
    if wish.opinions is not None:
        _set_opinions(server, found, wish.opinions)
    return found


def _set_opinions(server: Server, found: Project, opinions: int) -> None:
    """Have each task answered by so many people."""
    if found.opinions != opinions:
        client.change_opinions(server, found.project_id, opinions)
    # The server leaves out tasks that ask one person while others ask several.
    for task in list(tasks.tasks(server, found.project_id)):
        if task.overlap < opinions:
            tasks.change_task(
                server, task.task_id, overlap=opinions, is_labeled=task.n_answered >= opinions
            )


def _refuse_schema(found: Project, version: str, taxonomy: LabelSchema) -> NoReturn:
    raise OsslError(
        "schema_differs",
        f"The project {found.title!r} asks the questions of {version}; this corpus' are "
        f"{taxonomy.version}. Answers to different questions are never mixed.",
        f"Make a project for {taxonomy.version}: ossl label push --new --title "
        f'"{found.title[:38]} {taxonomy.version}"',
    )


def _page(taxonomy: LabelSchema) -> str:
    # The server strips it, and it must be found equal afterwards.
    return label_config.label_config(taxonomy).strip()


def _description(state: State, taxonomy: LabelSchema) -> str:
    return (
        "Film music, judged by people. Made by ossl-builder; leave the next line as it is.\n"
        f"[ossl corpus={state.corpus_id} schema={taxonomy.version}]"
    )


def _corpus_of(found: Project) -> str:
    said = MARKER.search(found.description)
    return said[1] if said else ""


TOKEN = "LABEL_STUDIO_API_KEY"


@contextlib.contextmanager
def reached(corpus: Corpus, url: str = "", timeout_s: float = client.TIMEOUT_S) -> Iterator[Server]:
    """The server, for as long as it is talked to.

    Args:
        url: its address; empty: that of the last time.
        timeout_s: an answer that takes longer is given up.

    Raises:
        OsslError: `server_unknown`, `token_missing`, `token_refused`, `server_unreachable`,
            `project_gone`, `extra_missing`.
    """
    known = url or states.load(corpus.root).url
    if not known:
        raise OsslError(
            "server_unknown",
            "It is not known where Label Studio runs.",
            "Say it once: ossl label push --url http://127.0.0.1:8080",
        )
    token = os.environ.get(TOKEN, "").strip()
    if not token:
        raise OsslError(
            "token_missing",
            f"The environment variable {TOKEN} is not set.",
            f"Make a token in Label Studio under {WHERE}, and export it.",
        )
    try:
        server = client.connect(known, token, timeout_s)
    except ImportError as error:
        raise OsslError(
            "extra_missing",
            "The Label Studio SDK is not installed.",
            "Install it with: pip install 'ossl-builder[label]'",
        ) from error
    try:
        yield server
    except TransferError as setback:
        raise client.gone(server, setback) from setback


def tasks_of(server: Server, found: Project) -> list[Task]:
    """All tasks of a project, without what was answered.

    Raises:
        Setback: the server could not be had.
    """
    return list(tasks.tasks(server, found.project_id))


def project_of(server: Server, corpus: Corpus) -> Project:
    """The corpus' project on a server.

    Raises:
        OsslError: `project_missing`, `project_gone`, `project_foreign`.
    """
    found = find(server, corpus, states.load(corpus.root), ProjectOptions())
    if found is None:
        raise OsslError(
            "project_missing",
            f"Label Studio at {server.url} has no project of this corpus yet.",
            "`ossl label push` makes it.",
        )
    return found
