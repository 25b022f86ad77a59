"""Scenes: where a film's picture is cut, faded and dissolved."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from ossl_builder.engine.stage import Item, Outcome, Stage
from ossl_builder.stages.scenes_settings import ScenesSettings
from ossl_builder.tables.scenes import SCENES, Scene
from ossl_builder.tables.schema import Span


def find_scenes(item: Item) -> Outcome:
    """Decode a film's picture once, find its scenes, and write a thumbnail of each.

    Raises:
        OsslError: `picture_undecodable`, if not one picture can be decoded.
    """
    from ossl_builder.stages.sightings import Thumbnails, look
    from ossl_builder.stages.transitions import Boundary, find_fades, name_transitions

    (film,) = item.rows["films"]
    settings: ScenesSettings = item.config
    with Thumbnails(item.folder) as thumbnails:
        seen = look(item.corpus / film.file().path, film, settings, thumbnails, item.progress)
        fades = find_fades(seen.light, seen.middles, seen.cuts)
        boundaries = [
            Boundary(0, "start"),
            *name_transitions(
                seen.light,
                seen.end_s,
                seen.cuts,
                fades,
                seen.dissolves,
                seen.damage_s,
                settings.min_scene_s,
            ),
            Boundary(len(seen.light.time_s), "end"),
        ]
        black = [(seen.time_s(a), seen.time_s(b)) for a, b in seen.light.black_runs()]
        rows = []
        for index, (this, following) in enumerate(pairwise(boundaries)):
            start_s, end_s = seen.time_s(this.number), seen.time_s(following.number)
            name = f"{index:04d}.jpg"
            (item.folder / name).write_bytes(thumbnails.nearest(start_s, end_s))
            rows.append(
                Scene(
                    film_id=film.film_id,
                    scene_id=f"{film.film_id}_s{index:04d}",
                    start_s=start_s,
                    end_s=end_s,
                    start_frame=this.number,
                    end_frame=following.number,
                    transition_in=this.kind,
                    is_black_and_white=seen.is_black_and_white(this.number, following.number),
                    thumbnail_path=item.path(name),
                    black_spans=_within(black, start_s, end_s),
                    damaged_spans=_within(seen.damage_s, start_s, end_s),
                )
            )
    return Outcome(tuple(rows))


def _within(spans: list[tuple[float, float]], start_s: float, end_s: float) -> tuple[Span, ...]:
    """The parts of `spans` between `start_s` and `end_s`."""
    cut = ((max(a, start_s), min(b, end_s)) for a, b in spans)
    return tuple(Span(a, b) for a, b in cut if a < b)


def _tools(config: Any) -> dict[str, str]:
    from importlib.metadata import version

    names = ("av", "scenedetect-headless", "opencv-python-headless")
    return {name: version(name) for name in names}


SCENES_STAGE = Stage(
    name="scenes",
    doc="Find where the picture is cut, faded and dissolved.",
    version=2,
    reads=("films",),
    writes=SCENES,
    config=ScenesSettings,
    run=find_scenes,
    folder="scenes",
    tools=_tools,
)
