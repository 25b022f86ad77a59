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
from ossl_builder.label_studio import client, project_api, state, task_api
from ossl_builder.label_studio.client import TOKEN_PAGE, Server
from ossl_builder.label_studio.project_api import Project
from ossl_builder.label_studio.state import State
from ossl_builder.net.retry import TransferError

TITLE_LENGTHS = range(3, 51)  # the server's limits, in characters
MARKER = re.compile(r"\[ossl corpus=(\w+) schema=([^\s\]]+)\]")
TOKEN_VARIABLE = "LABEL_STUDIO_API_KEY"
DEFAULT_OVERLAP = 2
LOST_RESPONSE_WAIT_S = 2.0


@dataclass(frozen=True)
class ProjectOptions:
    """Options for finding or creating the project.

    Attributes:
        title: its title; empty: derived from the corpus' folder.
        project_id: use this project; None: the corpus' own project.
        overlap: how many annotators each clip is for; None: unchanged, or `DEFAULT_OVERLAP`.
        shows_predictions: whether annotators see predictions from the labels table.
        is_new: create a new project even if the corpus has one.
    """

    title: str = ""
    project_id: int | None = None
    overlap: int | None = None
    shows_predictions: bool = False
    is_new: bool = False


@contextlib.contextmanager
def connected(
    corpus: Corpus, url: str = "", timeout_s: float = client.TIMEOUT_S
) -> Iterator[Server]:
    """Connect to the server; inside the context, failed requests become an OsslError.

    Args:
        corpus: the corpus.
        url: the server's URL; empty: that of the last time.
        timeout_s: longest wait for a response, in seconds.

    Raises:
        OsslError: `server_unknown`, `token_missing`, `token_refused`, `server_unreachable`,
            `project_gone`, `not_installed`.
    """
    server_url = url or state.load(corpus.root).url
    if not server_url:
        raise OsslError(
            "server_unknown",
            "The URL of the Label Studio server is not known yet.",
            "Give it once: ossl label push --url http://127.0.0.1:8080",
        )
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        raise OsslError(
            "token_missing",
            f"The environment variable {TOKEN_VARIABLE} is not set.",
            f"Create a token in Label Studio under {TOKEN_PAGE}, and set the variable to it.",
        )
    try:
        server = client.connect(server_url, token, timeout_s)
    except ImportError as error:
        raise OsslError(
            "not_installed",
            "The Label Studio SDK is not installed.",
            "Run: pip install 'ossl-builder[label]'",
        ) from error
    try:
        yield server
    except TransferError as error:
        raise client.unreachable_error(server, error) from error


def find_project(
    server: Server, corpus: Corpus, last: State, options: ProjectOptions
) -> Project | None:
    """Find the corpus' project by its id in the state, else by its exact title.

    Args:
        server: the server.
        corpus: the corpus.
        last: its state.
        options: see `ProjectOptions`.

    Returns:
        The project; None: it does not exist yet.

    Raises:
        OsslError: `project_gone`, `project_foreign`, and errors of the server.
    """
    if options.is_new:
        return None
    project_id = options.project_id if options.project_id is not None else last.project_id
    if project_id is not None:
        project = project_api.get_project(server, project_id)
        is_own = project is not None and _corpus_id(project) == last.corpus_id
        if project is None or (options.project_id is None and not is_own):
            raise OsslError(
                "project_gone",
                f"Label Studio at {server.url} has no project {project_id} of this corpus.",
                "All pulled annotations are kept. `ossl label push --new` creates a new project; "
                "`--project ID` uses another one.",
            )
        return project
    title = title_of(corpus, options.title)
    same_title = project_api.projects_titled(server, title)
    own = [project for project in same_title if _corpus_id(project) == last.corpus_id]
    if own or not same_title:
        return own[0] if own else None
    raise OsslError(
        "project_foreign",
        f"Label Studio at {server.url} already has a project {title!r} (number "
        f"{same_title[0].project_id}), which this corpus did not create.",
        f"To use it for this corpus: --project {same_title[0].project_id}. Otherwise choose "
        "another --title.",
    )


def project_of(server: Server, corpus: Corpus) -> Project:
    """Return the corpus' project.

    Raises:
        OsslError: `project_missing`, `project_gone`, `project_foreign`.
    """
    project = find_project(server, corpus, state.load(corpus.root), ProjectOptions())
    if project is None:
        raise OsslError(
            "project_missing",
            f"Label Studio at {server.url} has no project of this corpus yet.",
            "Create it with `ossl label push`.",
        )
    return project


def find_or_create_project(
    server: Server, corpus: Corpus, last: State, options: ProjectOptions, schema: LabelSchema
) -> tuple[Project, State]:
    """Find the corpus' project and update its labelling page, or create it.

    Returns:
        The project, and the new state, which has been saved.

    Raises:
        OsslError: see `find_project`; `schema_differs`, `title_invalid`.
    """
    # Saved before the project is created: if its id is lost in a crash, the project is found by
    # the corpus id in its description.
    state.save(corpus.root, last)
    project = find_project(server, corpus, last, options)
    if project is None:
        project = _create_project(server, corpus, last, options, schema)
    else:
        project = _update_project(server, last, project, options, schema)
    is_other = project.project_id != last.project_id
    new_state = dataclasses.replace(
        last,
        url=server.url,
        project_id=project.project_id,
        title=project.title,
        # Another project is pulled from its beginning.
        cursor="" if is_other else last.cursor,
        pending=() if is_other else last.pending,
        n_tasks=0 if is_other else last.n_tasks,
    )
    state.save(corpus.root, new_state)
    return project, new_state


def title_of(corpus: Corpus, title: str) -> str:
    """Return the given title, or one derived from the corpus' folder.

    Raises:
        OsslError: `title_invalid`.
    """
    title = title.strip() or f"OSSL {corpus.root.name}"[: TITLE_LENGTHS[-1]].strip()
    if len(title) not in TITLE_LENGTHS:
        raise OsslError(
            "title_invalid",
            f"{title!r} cannot be the title of a project.",
            f"Label Studio allows {TITLE_LENGTHS[0]} to {TITLE_LENGTHS[-1]} characters.",
        )
    return title


def _create_project(
    server: Server, corpus: Corpus, last: State, options: ProjectOptions, schema: LabelSchema
) -> Project:
    title = title_of(corpus, options.title)
    ids_before = {project.project_id for project in project_api.projects_titled(server, title)}
    failure = None
    try:
        project_api.create_project(
            server,
            title,
            _description(last, schema),
            _label_config(schema),
            DEFAULT_OVERLAP if options.overlap is None else options.overlap,
            options.shows_predictions,
        )
    except TransferError as error:
        failure = error
        time.sleep(LOST_RESPONSE_WAIT_S)  # the server may create it all the same
    created = [
        project
        for project in project_api.projects_titled(server, title)
        if project.project_id not in ids_before and _corpus_id(project) == last.corpus_id
    ]
    if not created:
        raise client.unreachable_error(
            server, failure or TransferError("status", "created no project")
        )
    # A server on SQLite repeats a request when its database was locked, and may create several.
    for duplicate in created[1:]:
        if duplicate.n_tasks == 0:
            project_api.delete_project(server, duplicate.project_id)
    return created[0]


def _update_project(
    server: Server, last: State, project: Project, options: ProjectOptions, schema: LabelSchema
) -> Project:
    """Update the labelling page, unless the meaning of its answers would change."""
    marker = MARKER.search(project.description)
    if marker is not None and marker[2] != schema.version:
        _refuse_schema(project, marker[2], schema)
    label_config_xml = _label_config(schema)
    changes: dict[str, object] = {}
    if project.label_config != label_config_xml:
        if marker is None and project.n_tasks:
            _refuse_schema(project, "unknown", schema)
        changes["label_config"] = label_config_xml
    if _corpus_id(project) != last.corpus_id:
        changes["description"] = _description(last, schema)
    if options.shows_predictions and not project.shows_predictions:
        changes["show_collab_predictions"] = True
    if changes:
        project_api.update_project(server, project.project_id, **changes)
    if options.overlap is not None:
        _set_overlap(server, project, options.overlap)
    return project


def _set_overlap(server: Server, project: Project, overlap: int) -> None:
    """Set how many annotators each task is for."""
    if project.overlap != overlap:
        project_api.set_overlap(server, project.project_id, overlap)
    # If tasks have different overlaps, the server does not update those with an overlap of 1.
    for task in list(task_api.list_tasks(server, project.project_id)):
        if task.overlap < overlap:
            task_api.update_task(
                server, task.task_id, overlap=overlap, is_labeled=task.n_answered >= overlap
            )


def _refuse_schema(project: Project, version: str, schema: LabelSchema) -> NoReturn:
    raise OsslError(
        "schema_differs",
        f"The project {project.title!r} asks the questions of {version}; the questions of this "
        f"corpus are {schema.version}. Answers to different questions are never mixed.",
        f"Create a project for {schema.version}: ossl label push --new --title "
        f'"{project.title[:38]} {schema.version}"',
    )


def _label_config(schema: LabelSchema) -> str:
    # The server strips it, and later comparisons must find it equal.
    return label_config.label_config(schema).strip()


def _description(last: State, schema: LabelSchema) -> str:
    return (
        "Film music, judged by people. Made by ossl-builder; leave the next line as it is.\n"
        f"[ossl corpus={last.corpus_id} schema={schema.version}]"
    )


def _corpus_id(project: Project) -> str:
    marker = MARKER.search(project.description)
    return marker[1] if marker else ""
