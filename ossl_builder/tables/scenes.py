"""The scenes table: the footage between two transitions (cut, fade, dissolve)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ossl_builder.tables.schema import Span, Table, column

TRANSITIONS = ("start", "cut", "fade", "dissolve")


@dataclass(frozen=True)
class Scene:
    """One scene. The scenes of a film cover it without gaps or overlaps."""

    film_id: str = column("the film")
    scene_id: str = column("`<film_id>_s<number>`, numbered from 0 in film order")
    start_s: float = column("time of its first frame after the film's first frame", "s")
    end_s: float = column("time of the next scene's first frame, or the film's end", "s")
    start_frame: int = column("index of its first frame; the film's first frame is 0", "frames")
    end_frame: int = column("index of the frame after its last frame", "frames")
    transition_in: str = column("transition at its start: `start`, `cut`, `fade` or `dissolve`")
    is_black_and_white: bool = column("whether its frames have no colour")
    thumbnail_path: str = column("JPEG of a frame near its middle, relative to the corpus")
    black_spans: tuple[Span, ...] = column("intervals of black frames in the scene", "s")
    damaged_spans: tuple[Span, ...] = column(
        "intervals in the scene whose frames could not be decoded", "s"
    )


def _check(rows: Sequence[Scene]) -> Iterable[str]:
    ordered = sorted(rows, key=lambda row: row.start_frame)
    for row in ordered:
        if row.transition_in not in TRANSITIONS:
            yield f"scene {row.scene_id} begins by {row.transition_in!r}"
        if (row.transition_in == "start") != (row.start_frame == 0):
            yield f"scene {row.scene_id}: the film's first scene, and no other, begins by `start`"
        if row.end_s <= row.start_s or row.end_frame <= row.start_frame:
            yield f"scene {row.scene_id} is empty"
    for before, after in pairwise(ordered):
        if before.end_frame != after.start_frame or before.end_s != after.start_s:
            yield f"scene {after.scene_id} does not begin where {before.scene_id} ends"
    if ordered and (ordered[0].start_frame != 0 or ordered[0].start_s != 0):
        yield f"the first scene {ordered[0].scene_id} does not begin with the film"


SCENES = Table(
    name="scenes",
    doc="One row per scene, in film order, covering the whole film.",
    row=Scene,
    version=1,
    key=("film_id", "scene_id"),
    check=_check,
)
