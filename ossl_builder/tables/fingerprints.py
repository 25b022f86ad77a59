"""The fingerprints table: hashes of each clip's music and video, to find shared material."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ossl_builder.tables.schema import Table, column


@dataclass(frozen=True)
class Fingerprint:
    """The fingerprint of one clip.

    The upper 43 bits of a hash encode the content, the lower 20 bits the time, in tenths of a
    second of the clip. One content shared by two clips is weak evidence; several with the same
    time difference are a match.
    """

    film_id: str = column("the film")
    clip_id: str = column("the clip")
    audio_hashes: tuple[int, ...] = column(
        "hashes of spectral peaks of the music, with their times; sorted, unique"
    )
    video_hashes: tuple[int, ...] = column("hashes of frames, with their times; sorted, unique")


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
    doc="One row per clip: hashes of its music and its frames.",
    row=Fingerprint,
    version=2,
    key=("film_id", "clip_id"),
    check=_check,
)
