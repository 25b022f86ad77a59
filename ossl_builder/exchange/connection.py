"""Reaching the labelling server: its address, our token, and what is said if it does not answer."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from ossl_builder.errors import OsslError
from ossl_builder.exchange import project
from ossl_builder.exchange import state as states
from ossl_builder.tools import label_studio, label_studio_tasks
from ossl_builder.tools.label_studio import Server
from ossl_builder.tools.label_studio_answers import WHERE
from ossl_builder.tools.label_studio_rows import Project, Task
from ossl_builder.tools.patience import Setback
from ossl_builder.workspace import Corpus

TOKEN = "LABEL_STUDIO_API_KEY"


@contextlib.contextmanager
def reached(
    corpus: Corpus, url: str = "", timeout_s: float = label_studio.TIMEOUT_S
) -> Iterator[Server]:
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
        server = label_studio.connect(known, token, timeout_s)
    except ImportError as error:
        raise OsslError(
            "extra_missing",
            "The Label Studio SDK is not installed.",
            "Install it with: pip install 'ossl-builder[label]'",
        ) from error
    try:
        yield server
    except Setback as setback:
        raise label_studio.gone(server, setback) from setback


def tasks_of(server: Server, found: Project) -> list[Task]:
    """All tasks of a project, without what was answered.

    Raises:
        Setback: the server could not be had.
    """
    return list(label_studio_tasks.tasks(server, found.project_id))


def project_of(server: Server, corpus: Corpus) -> Project:
    """The corpus' project on a server.

    Raises:
        OsslError: `project_missing`, `project_gone`, `project_foreign`.
    """
    found = project.find(server, corpus, states.load(corpus.root), project.Wish())
    if found is None:
        raise OsslError(
            "project_missing",
            f"Label Studio at {server.url} has no project of this corpus yet.",
            "`ossl label push` makes it.",
        )
    return found
