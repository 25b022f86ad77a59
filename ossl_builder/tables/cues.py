"""Cues: stretches of music (the film trade's own word)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ossl_builder.tables.schema import Table, column


@dataclass(frozen=True)
class Cue:
    """One stretch of music, found in the stems alone; with `soundtrack`, recognised."""

    film_id: str = column("the film")
    cue_id: str = column("`<film_id>_c<number>`, numbered from 0 in film order")
    start_s: float = column("where the music begins, after the film's first frame", "s")
    end_s: float = column("where it ends", "s")
    music_lufs: float = column("integrated loudness of the music stem within it", "LUFS")
    music_peak_dbfs: float = column("sample peak of the music stem within it", "dBFS")
    music_share: float = column("energy of music in that of all stems", "0 to 1")
    dialogue_share: float = column("part of its time in which dialogue is heard", "0 to 1")
    recording: str | None = column(
        "the recording it comes from, by its path in the folder; empty: not looked for",
        descriptive=True, later=True,
    )  # fmt: skip
    recording_offset_s: float | None = column(
        "time of the recording at the cue's start; below 0 where the cue begins first",
        "s", descriptive=True, later=True,
    )  # fmt: skip
    similarity: float | None = column(
        "mean cosine of its chroma and the recording's", "-1 to 1", descriptive=True, later=True
    )


def _check(rows: Sequence[Cue]) -> Iterable[str]:
    ordered = sorted(rows, key=lambda row: row.start_s)
    for row in ordered:
        if not 0 <= row.start_s < row.end_s:
            yield f"cue {row.cue_id} is empty"
        if not (0 <= row.dialogue_share <= 1 and 0 <= row.music_share <= 1):
            yield f"cue {row.cue_id} has a share outside 0 to 1"
        known = {row.recording is None, row.recording_offset_s is None, row.similarity is None}
        if len(known) > 1:
            yield f"cue {row.cue_id} has half of a recording"
        if row.recording == "" or not -1 <= (row.similarity or 0) <= 1:
            yield f"cue {row.cue_id} has a recording without name, or a similarity outside -1 to 1"
    for before, after in pairwise(ordered):
        if after.start_s < before.end_s:
            yield f"the cues {before.cue_id} and {after.cue_id} overlap"


CUES = Table(
    name="cues",
    doc="One row per stretch of music of a film.",
    row=Cue,
    version=2,
    key=("film_id", "cue_id"),
    check=_check,
)
