"""Scenes: where a film's video is cut, faded and dissolved."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ossl_builder.engine.settings import Settings
from ossl_builder.engine.stage import Item, Notice, Outcome, Stage
from ossl_builder.tables.scenes import SCENES, Scene
from ossl_builder.tables.schema import Span

if TYPE_CHECKING:
    from ossl_builder.stages.scenes.frame_analysis import FrameAnalysis
    from ossl_builder.tables.films import Film


class ScenesSettings(Settings):
    """How scenes are found."""

    threshold: float = Field(
        default=3.0,
        ge=1,
        le=100,
        description="AdaptiveDetector's adaptive threshold: by how much a cut changes the frame "
        "more than what surrounds it does; lower finds more cuts",
    )
    min_scene_s: float = Field(
        default=0.3,
        ge=0.1,
        le=10,
        description="shortest scene, in seconds; what changes the frame for less is a flash",
    )
    dissolve_tolerance: float = Field(
        default=0.285,
        ge=0,
        le=1,
        description="how far from a linear blend a dissolve may be; higher finds more dissolves, "
        "and takes more movement for one; 0 finds none",
    )
    black_level: float = Field(
        default=32.0,
        ge=1,
        le=128,
        description="brightness (0 to 255) that a black frame nowhere reaches",
    )
    thumbnail_width: int = Field(
        default=320, ge=32, le=1920, description="width of the thumbnails, in pixels"
    )


# The video's length by decoding and by packets may differ by this without a warning.
DURATION_TOLERANCE_S = 0.05


def find_scenes(item: Item) -> Outcome:
    """Decode a film's video once, find its scenes, and write a thumbnail of each.

    Raises:
        OsslError: `video_undecodable`, if not one frame can be decoded.
    """
    from ossl_builder.media.demux import MediaFile
    from ossl_builder.stages.scenes.frame_analysis import Thumbnails, analyze_frames
    from ossl_builder.stages.scenes.transitions import Boundary, find_fades, name_transitions

    (film,) = item.rows["films"]
    settings: ScenesSettings = item.config
    with Thumbnails(item.folder) as thumbnails:
        file = film.file()
        media = MediaFile.of(item.file(file.path), file)
        seen = analyze_frames(media, film, settings, thumbnails, item.progress)
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


def _warnings(film: Film, seen: FrameAnalysis) -> tuple[Notice, ...]:
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
    doc="Find where the video is cut, faded and dissolved.",
    version=2,
    reads=("films",),
    writes=SCENES,
    config=ScenesSettings,
    run=find_scenes,
    folder="scenes",
    tools=_tools,
)
