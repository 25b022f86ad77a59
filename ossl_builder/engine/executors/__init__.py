"""Executors: run items in this process, or in several processes of this machine.

An executor is a function `(job, item_ids, n_workers, receive)`. It calls `job(item_id, send)` for
each item. It calls `receive` with a `Message` for each value sent and with one `Ended` per item.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ossl_builder.errors import OsslError

Send = Callable[[Any], None]
Job = Callable[[str, Send], None]


@dataclass(frozen=True)
class Message:
    """A value that a job sent while it ran."""

    item_id: str
    value: Any


@dataclass(frozen=True)
class Ended:
    """The end of a job; `error`: the error that stopped it, or None."""

    item_id: str
    error: OsslError | None = None


Receive = Callable[[Message | Ended], None]
Executor = Callable[[Job, Sequence[str], int, Receive], None]


def inline(job: Job, item_ids: Sequence[str], n_workers: int, receive: Receive) -> None:
    """Run the jobs one after the other in this process, so that a model is loaded only once.

    Args:
        job: called with each item's id and a function that sends values to `receive`.
        item_ids: the items.
        n_workers: not used.
        receive: receives each `Message`, and one `Ended` for each item.
    """
    for item_id in item_ids:
        error = None
        try:
            job(item_id, lambda value, item_id=item_id: receive(Message(item_id, value)))  # type: ignore[misc]
        except OsslError as raised:
            error = raised
        receive(Ended(item_id, error))
