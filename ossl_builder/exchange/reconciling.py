"""A record here, the annotation there, and the record as it was last pulled: which one holds.

Whoever changed since the last pull is right. If both did, nobody is: that is a conflict, which is
shown and left alone until somebody takes one side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ossl_builder.exchange.state import Before, digest
from ossl_builder.labelling.annotation import Annotation

Side = Literal["server", "local"]
Verdict = Literal["take", "keep", "same", "conflict"]


@dataclass(frozen=True)
class Conflict:
    """A record that changed here and on the server since the last pull.

    Attributes:
        clip_id, annotator: which one.
        here: the record here; None: it was deleted.
        there: what the server says now, as a record.
    """

    clip_id: str
    annotator: str
    here: Annotation
    there: Annotation


def judge(
    here: Annotation | None, there: Annotation, before: Before | None, side: Side | None
) -> Verdict:
    """What to do with one annotation of the server.

    Args:
        here: the record of this clip and annotator; None: there is none.
        there: the record that the server's annotation makes.
        before: the record as it was last pulled; None: it never was.
        side: who is right where both changed; None: nobody.

    Returns:
        `take` the server's, `keep` ours, they are the `same`, or there is a `conflict`.
    """
    if here is None:
        return "take"
    if here == there:
        return "same"
    if _yields(here, before) or (before is not None and digest(here) == before.digest):
        return "take"
    if before is not None and digest(there) == before.digest:
        return "keep"
    if side is None:
        return "conflict"
    return "take" if side == "server" else "keep"


def _yields(here: Annotation, before: Before | None) -> bool:
    """Whether it gives way to a new annotation by the same person.

    So do records that were carried from another clip, and those that were withdrawn.
    """
    return before is None and (
        here.source == "carried" or (here.source == "label-studio" and here.state == "withdrawn")
    )
