"""The corpus' project on the labelling server: found again, or made."""

from __future__ import annotations

import dataclasses
import re
import time
from dataclasses import dataclass
from typing import NoReturn

from ossl_builder.errors import OsslError
from ossl_builder.exchange import state as states
from ossl_builder.exchange.state import State
from ossl_builder.labelling import page
from ossl_builder.labelling.taxonomy import Taxonomy
from ossl_builder.tools import label_studio, label_studio_tasks
from ossl_builder.tools.label_studio import Server
from ossl_builder.tools.label_studio_rows import Project
from ossl_builder.tools.patience import Setback
from ossl_builder.workspace import Corpus

TITLE_LENGTHS = range(3, 51)  # what the server takes, in characters
MARKER = re.compile(r"\[ossl corpus=(\w+) schema=([^\s\]]+)\]")
OPINIONS = 2
LOST_ANSWER_S = 2.0


@dataclass(frozen=True)
class Wish:
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


def find(server: Server, corpus: Corpus, state: State, wish: Wish) -> Project | None:
    """The corpus' project: by the id remembered, else by exact title; None: there is none yet.

    Raises:
        OsslError: `project_gone`, `project_foreign`, and for the server.
    """
    if wish.is_new:
        return None
    known = wish.project_id if wish.project_id is not None else state.project_id
    if known is not None:
        found = label_studio.project(server, known)
        if found is None or (wish.project_id is None and _corpus_of(found) != state.corpus_id):
            raise OsslError(
                "project_gone",
                f"Label Studio at {server.url} has no project {known} of this corpus (any more).",
                "All that was pulled is kept. `ossl label push --new` makes a new project; "
                "`--project ID` takes another one.",
            )
        return found
    title = title_of(corpus, wish.title)
    same = label_studio.projects_titled(server, title)
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
    server: Server, corpus: Corpus, state: State, wish: Wish, taxonomy: Taxonomy
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


def _make(server: Server, corpus: Corpus, state: State, wish: Wish, taxonomy: Taxonomy) -> Project:
    title = title_of(corpus, wish.title)
    before = {one.project_id for one in label_studio.projects_titled(server, title)}
    setback = None
    try:
        label_studio.make_project(
            server,
            title,
            _description(state, taxonomy),
            _page(taxonomy),
            OPINIONS if wish.opinions is None else wish.opinions,
            wish.shows_prelabels,
        )
    except Setback as error:
        setback = error
        time.sleep(LOST_ANSWER_S)  # it may have been made nevertheless: that is seen then
    made = [
        one
        for one in label_studio.projects_titled(server, title)
        if one.project_id not in before and _corpus_of(one) == state.corpus_id
    ]
    if not made:
        raise label_studio.gone(server, setback or Setback("status", "made no project"))
    # A server on SQLite repeats a request by itself when its database was locked, and then makes
    # several.
    for surplus in made[1:]:
        if surplus.n_tasks == 0:
            label_studio.remove_project(server, surplus.project_id)
    return made[0]


def _brought_up_to_date(
    server: Server, state: State, found: Project, wish: Wish, taxonomy: Taxonomy
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
        label_studio.change_project(server, found.project_id, **changes)
    if wish.opinions is not None:
        _set_opinions(server, found, wish.opinions)
    return found


def _set_opinions(server: Server, found: Project, opinions: int) -> None:
    """Have each task answered by so many people."""
    if found.opinions != opinions:
        label_studio.change_opinions(server, found.project_id, opinions)
    # The server leaves out tasks that ask one person while others ask several.
    for task in list(label_studio_tasks.tasks(server, found.project_id)):
        if task.overlap < opinions:
            label_studio_tasks.change_task(
                server, task.task_id, overlap=opinions, is_labeled=task.n_answered >= opinions
            )


def _refuse_schema(found: Project, version: str, taxonomy: Taxonomy) -> NoReturn:
    raise OsslError(
        "schema_differs",
        f"The project {found.title!r} asks the questions of {version}; this corpus' are "
        f"{taxonomy.version}. Answers to different questions are never mixed.",
        f"Make a project for {taxonomy.version}: ossl label push --new --title "
        f'"{found.title[:38]} {taxonomy.version}"',
    )


def _page(taxonomy: Taxonomy) -> str:
    # The server strips it, and it must be found equal afterwards.
    return page.label_config(taxonomy).strip()


def _description(state: State, taxonomy: Taxonomy) -> str:
    return (
        "Film music, judged by people. Made by ossl-builder; leave the next line as it is.\n"
        f"[ossl corpus={state.corpus_id} schema={taxonomy.version}]"
    )


def _corpus_of(found: Project) -> str:
    said = MARKER.search(found.description)
    return said[1] if said else ""
