"""Fingerprints: what a clip's music and video look like, so that shared material is found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ossl_builder.tables.schema import Table, column


@dataclass(frozen=True)
class Fingerprint:
    """The fingerprint of one clip.

    A hash says in its upper 43 bits what is heard or seen, in its lower 20 when, in tenths of a
    second of the clip: one that two clips have in common is a hint, several at one distance in
    time are a match.
    """

    film_id: str = column("the film")
    clip_id: str = column("the clip")
    audio_hashes: tuple[int, ...] = column(
        "what is heard in its music, and when; sorted, each once"
    )
    video_hashes: tuple[int, ...] = column("what its frames show, and when; sorted, each once")


def _check(rows: Sequence[Fingerprint]) -> Iterable[str]:
    for row in rows:
        for name in ("audio_hashes", "video_hashes"):
            hashes = getattr(row, name)
            if list(hashes) != sorted(set(hashes)):
                yield f"clip {row.clip_id} has {name} that are not sorted, each once"
            if hashes and not 0 <= hashes[0] <= hashes[-1] < 2**63:
                yield f"clip {row.clip_id} has {name} of more than 63 bits"


FINGERPRINTS = Table(
    name="fingerprints",
    doc="One row per clip.",
    row=Fingerprint,
    version=2,
    key=("film_id", "clip_id"),
    check=_check,
)
