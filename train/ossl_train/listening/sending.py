"""A test to the labelling server: each stimulus has one task, whatever fails on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ossl_builder.exchange import project, pushing, sending
from ossl_builder.exchange import state as states
from ossl_builder.exchange.addresses import Addresses
from ossl_builder.exchange.project import Wish
from ossl_builder.labelling import taxonomy as taxonomies
from ossl_builder.tools.label_studio import Server
from ossl_builder.workspace import Corpus


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


def look(server: Server, test: Corpus, wish: Wish) -> None:
    """See that the server answers, before hours are spent on the music.

    Raises:
        Setback, OsslError: see `exchange.project.find`.
    """
    project.find(server, test, states.load(test.root), wish)


def send(
    server: Server,
    test: Corpus,
    addresses: Addresses,
    wish: Wish,
    counted: Callable[[Sequence[Any], str], Iterator[Any]],
) -> Sent:
    """Send the stimuli that have no task yet; the caller holds the lock of the test's folder.

    Args:
        test: the test's folder, as a corpus.
        addresses: where raters' browsers find the stimuli.
        wish: what the project is to be like, if it must be made.
        counted: shows progress.

    Raises:
        Setback, OsslError: see `exchange.pushing`.
    """
    taxonomy = taxonomies.of(test.root)
    found, state = pushing.begin(server, test, wish, taxonomy)
    planned = pushing.plan(server, found, test, (), addresses, taxonomy)
    is_in_doubt = state.sending > 0
    if planned.missing:
        state = pushing.announce(test, state, planned)
    for chunk in counted(sending.chunks_of(planned.missing), "sending"):
        is_in_doubt |= sending.ensure(server, found.project_id, chunk)
    done = pushing.finish(server, test, state, found, planned, is_in_doubt)
    if addresses.kind == "local-files":
        pushing.allow_local_files(server, found, test)
    return Sent(
        found.project_id, found.title, planned.present, len(planned.missing), done.copies_removed
    )
