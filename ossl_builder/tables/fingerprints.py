"""Fingerprints: what a clip's music and picture look like, so that shared material is found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ossl_builder.tables.schema import Table, column


@dataclass(frozen=True)
class Fingerprint:
    """The fingerprint of one clip. Equal hashes in two clips are a hint, many of them a match."""

    film_id: str = column("the film")
    clip_id: str = column("the clip")
    audio_hashes: tuple[int, ...] = column("landmarks of its music, hashed; sorted, each once")
    picture_hashes: tuple[int, ...] = column("hashes of its pictures; sorted, each once")


def _check(rows: Sequence[Fingerprint]) -> Iterable[str]:
    for row in rows:
        for name in ("audio_hashes", "picture_hashes"):
            hashes = getattr(row, name)
            if list(hashes) != sorted(set(hashes)):
                yield f"clip {row.clip_id} has {name} that are not sorted, each once"
            if hashes and not -(2**63) <= hashes[0] <= hashes[-1] < 2**63:
                yield f"clip {row.clip_id} has {name} of more than 64 bits"


FINGERPRINTS = Table(
    name="fingerprints",
    doc="One row per clip.",
    row=Fingerprint,
    version=1,
    key=("film_id", "clip_id"),
    parent="clips",
    check=_check,
)
