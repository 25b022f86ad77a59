"""A test to the labelling server: each stimulus has one task, whatever fails on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ossl_builder.annotations import label_schema as taxonomies
from ossl_builder.corpus import Corpus
from ossl_builder.label_studio import project, push
from ossl_builder.label_studio import state as states
from ossl_builder.label_studio.client import Server
from ossl_builder.label_studio.clip_urls import ClipUrls
from ossl_builder.label_studio.project import ProjectOptions


@dataclass(frozen=True)
class Sent:
    """What a push did.

    Attributes:
        project_id, title: of the project.
        present: stimuli that had a task before.
        sent: that got one now.
        copies_removed: tasks that the server had doubled.
    """

    project_id: int
    title: str
    present: int
    sent: int
    copies_removed: int


def look(server: Server, test: Corpus, wish: ProjectOptions) -> None:
    """See that the server answers, before hours are spent on the music.

    Raises:
        Setback, OsslError: see `label_studio.project.find`.
    """
    project.find_project(server, test, states.load(test.root), wish)


def send(
    server: Server,
    test: Corpus,
    addresses: ClipUrls,
    wish: ProjectOptions,
    counted: Callable[[Sequence[Any], str], Iterator[Any]],
) -> Sent:
    """Send the stimuli that have no task yet; the caller holds the lock of the test's folder.

    Args:
        test: the test's folder, as a corpus.
        addresses: where raters' browsers find the stimuli.
        wish: what the project is to be like, if it must be made.
        counted: shows progress.

    Raises:
        Setback, OsslError: see `label_studio.push`.
    """
    taxonomy = taxonomies.load(test.root)
    result = push.push(server, test, (), addresses, wish, taxonomy, counted)
    found, plan = result.project, result.plan
    return Sent(found.project_id, found.title, plan.n_present, len(plan.missing), result.n_deleted)
