"""Where items run: in this process, or in processes of this machine.

An executor is a function `(job, item_ids, n_workers, receive)`. It calls `job(item_id, send)` for
each item, and `receive` with a `Message` for each value sent and one `Ended` per item.
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
    """The end of a job: without error, or with the one that stopped it."""

    item_id: str
    error: OsslError | None = None


Receive = Callable[[Message | Ended], None]
Executor = Callable[[Job, Sequence[str], int, Receive], None]


def inline(job: Job, item_ids: Sequence[str], n_workers: int, receive: Receive) -> None:
    """Run the jobs one after the other in this process, which loads a model once for all.

    Args:
        n_workers: not used.
    """
    for item_id in item_ids:
        error = None
        try:
            job(item_id, lambda value, item_id=item_id: receive(Message(item_id, value)))  # type: ignore[misc]
        except OsslError as raised:
            error = raised
        receive(Ended(item_id, error))
