"""The cues table: continuous segments of music."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ossl_builder.tables.schema import Table, column


@dataclass(frozen=True)
class Cue:
    """One continuous segment of music, found in the stems.

    Recording and similarity are filled only with the setting `cues.rule=soundtrack`.
    """

    film_id: str = column("the film")
    cue_id: str = column("`<film_id>_c<number>`, numbered from 0 in film order")
    start_s: float = column("start of the music, after the film's first frame", "s")
    end_s: float = column("end of the music", "s")
    music_lufs: float = column("integrated loudness of the music stem in the cue", "LUFS")
    music_peak_dbfs: float = column("sample peak of the music stem in the cue", "dBFS")
    music_share: float = column("energy of the music stem over that of all stems", "0 to 1")
    dialogue_share: float = column("fraction of its duration with dialogue", "0 to 1")
    recording: str | None = column(
        "matching reference recording, as its path in the folder; empty: not searched for",
        descriptive=True, later=True,
    )  # fmt: skip
    recording_offset_s: float | None = column(
        "position in the recording at the cue's start; below 0 if the cue starts earlier",
        "s", descriptive=True, later=True,
    )  # fmt: skip
    similarity: float | None = column(
        "mean cosine similarity of the chroma of cue and recording",
        "-1 to 1",
        descriptive=True,
        later=True,
    )


def _check(rows: Sequence[Cue]) -> Iterable[str]:
    ordered = sorted(rows, key=lambda row: row.start_s)
    for row in ordered:
        if not 0 <= row.start_s < row.end_s:
            yield f"cue {row.cue_id} is empty"
        if not (0 <= row.dialogue_share <= 1 and 0 <= row.music_share <= 1):
            yield f"cue {row.cue_id} has a share outside 0 to 1"
        missing = {row.recording is None, row.recording_offset_s is None, row.similarity is None}
        if len(missing) > 1:
            yield f"cue {row.cue_id} has half of a recording"
        if row.recording == "" or not -1 <= (row.similarity or 0) <= 1:
            yield f"cue {row.cue_id} has a recording without name, or a similarity outside -1 to 1"
    for before, after in pairwise(ordered):
        if after.start_s < before.end_s:
            yield f"the cues {before.cue_id} and {after.cue_id} overlap"


CUES = Table(
    name="cues",
    doc="One row per cue: one continuous segment of music of a film.",
    row=Cue,
    version=2,
    key=("film_id", "cue_id"),
    check=_check,
)
