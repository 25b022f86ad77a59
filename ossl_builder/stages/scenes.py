"""Scenes: where a film's picture is cut, faded and dissolved."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ossl_builder.engine.stage import Item, Notice, Outcome, Stage
from ossl_builder.stages.scenes_settings import ScenesSettings
from ossl_builder.tables.scenes import SCENES, Scene
from ossl_builder.tables.schema import Span

if TYPE_CHECKING:
    from ossl_builder.stages.sightings import Sightings
    from ossl_builder.tables.films import Film


# The video's length by decoding and by packets may differ by this without a warning.
DURATION_TOLERANCE_S = 0.05


def find_scenes(item: Item) -> Outcome:
    """Decode a film's picture once, find its scenes, and write a thumbnail of each.

    Raises:
        OsslError: `picture_undecodable`, if not one picture can be decoded.
    """
    from ossl_builder.stages.sightings import Thumbnails, look
    from ossl_builder.stages.transitions import Boundary, find_fades, name_transitions
    from ossl_builder.tools.demux import MediaFile

    (film,) = item.rows["films"]
    settings: ScenesSettings = item.config
    with Thumbnails(item.folder) as thumbnails:
        file = film.file()
        media = MediaFile.of(item.file(file.path), file)
        seen = look(media, film, settings, thumbnails, item.progress)
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
    return Outcome(tuple(rows), warnings=_warnings(film, seen))


def _warnings(film: Film, seen: Sightings) -> tuple[Notice, ...]:
    """What decoding has shown that the packets did not."""
    notices = []
    n_frames = len(seen.light.time_s)
    if n_frames != film.n_packets:
        sentence = f"{n_frames} frames could be decoded; the file has {film.n_packets}."
        notices.append(Notice("frames_differ", sentence))
    duration_s = film.duration_s or 0.0
    if abs(seen.end_s - duration_s) > DURATION_TOLERANCE_S:
        sentence = f"The decoded video lasts {seen.end_s:.2f} s; by its packets {duration_s:.2f} s."
        notices.append(Notice("lengths_differ", sentence))
    damaged_s = sum(end - start for start, end in seen.damage_s)
    if damaged_s:
        notices.append(Notice("damaged_video", f"{damaged_s:.2f} s of the video are damaged."))
    return tuple(notices)


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
