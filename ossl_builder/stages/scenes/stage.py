"""The scenes stage: find cuts, fades and dissolves, and the scenes between them."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from ossl_builder.engine import stage
from ossl_builder.engine.cache import only_where
from ossl_builder.engine.settings import Settings
from ossl_builder.engine.stage import Item, Notice, Outcome, Reject, Stage
from ossl_builder.models import published
from ossl_builder.tables.scenes import SCENES, Scene
from ossl_builder.tables.schema import Span

if TYPE_CHECKING:
    from ossl_builder.stages.scenes.frame_analysis import FrameAnalysis
    from ossl_builder.tables.films import Film


class ScenesSettings(Settings):
    """Section `scenes` of a recipe: how scenes are found."""

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
        description="shortest scene, in seconds; a shorter change of the frame is a flash",
    )
    dissolve_tolerance: float = Field(
        default=0.285,
        ge=0,
        le=1,
        description="how far from a linear blend a dissolve may be; higher finds more dissolves, "
        "and mistakes more movement for dissolves; 0 finds none",
    )
    black_level: float = Field(
        default=32.0,
        ge=1,
        le=128,
        description="brightness (0 to 255) that no part of a black frame reaches",
    )
    confirm: Literal["none", "transnetv2"] = Field(
        default="none",
        description="network that also has to see a cut or dissolve; it takes some seconds of "
        "processor time for each",
    )
    confirm_min: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="least probability of a transition that confirms it",
        json_schema_extra=only_where(confirm=("transnetv2",)),
    )
    thumbnail_width: int = Field(
        default=320, ge=32, le=1920, description="width of the thumbnails, in pixels"
    )


# Largest difference between decoded duration and packet duration without a warning.
DURATION_TOLERANCE_S = 0.05


def find_scenes(item: Item) -> Outcome:
    """Decode a film's video once, find its scenes, and write a thumbnail of each.

    Raises:
        OsslError: `video_undecodable`, if not one frame can be decoded.
    """
    from ossl_builder.media.demux import MediaFile
    from ossl_builder.stages.scenes.confirmation import TinyFrames, confirm
    from ossl_builder.stages.scenes.frame_analysis import Thumbnails, analyze_frames
    from ossl_builder.stages.scenes.transitions import Boundary, find_fades, name_transitions

    (film,) = item.rows["films"]
    settings: ScenesSettings = item.config
    with ExitStack() as stack:
        thumbnails = stack.enter_context(Thumbnails(item.folder))
        tiny = None
        if settings.confirm != "none":
            tiny = stack.enter_context(TinyFrames(item.folder))
        file = film.file()
        media = MediaFile.of(item.file(file.path), file)
        progress = item.progress if tiny is None else lambda part: item.progress(part / 2)
        analysis = analyze_frames(media, film, settings, thumbnails, progress, tiny)
        fades = find_fades(analysis.light, analysis.middles, analysis.cuts)
        transitions = name_transitions(
            analysis.light,
            analysis.end_s,
            analysis.cuts,
            fades,
            analysis.dissolves,
            analysis.damage_s,
            settings.min_scene_s,
        )
        rejects: list[Reject] = []
        if tiny is not None:
            transitions, rejects = confirm(
                transitions, tiny, settings.confirm_min, analysis.time_s,
                lambda part: item.progress(0.5 + part / 2),
            )  # fmt: skip
        boundaries = [
            Boundary(0, "start"), *transitions, Boundary(len(analysis.light.time_s), "end"),
        ]  # fmt: skip
        black = [(analysis.time_s(a), analysis.time_s(b)) for a, b in analysis.light.black_runs()]
        rows = []
        for index, (current, following) in enumerate(pairwise(boundaries)):
            start_s, end_s = analysis.time_s(current.number), analysis.time_s(following.number)
            name = f"{index:04d}.jpg"
            (item.folder / name).write_bytes(thumbnails.nearest(start_s, end_s))
            rows.append(
                Scene(
                    film_id=film.film_id,
                    scene_id=f"{film.film_id}_s{index:04d}",
                    start_s=start_s,
                    end_s=end_s,
                    start_frame=current.number,
                    end_frame=following.number,
                    transition_in=current.kind,
                    is_black_and_white=analysis.is_black_and_white(
                        current.number, following.number
                    ),
                    thumbnail_path=item.path(name),
                    black_spans=_intersections(black, start_s, end_s),
                    damaged_spans=_intersections(analysis.damage_s, start_s, end_s),
                )
            )
    return Outcome(tuple(rows), tuple(rejects), _warnings(film, analysis))


def _warnings(film: Film, analysis: FrameAnalysis) -> tuple[Notice, ...]:
    """Return warnings if decoding differs from the packets, or if video is damaged."""
    notices = []
    n_frames = len(analysis.light.time_s)
    if n_frames != film.n_packets:
        sentence = f"{n_frames} frames could be decoded; the file has {film.n_packets}."
        notices.append(Notice("frames_differ", sentence))
    duration_s = film.duration_s or 0.0
    if abs(analysis.end_s - duration_s) > DURATION_TOLERANCE_S:
        sentence = (
            f"The decoded video lasts {analysis.end_s:.2f} s; by its packets {duration_s:.2f} s."
        )
        notices.append(Notice("lengths_differ", sentence))
    damaged_s = sum(end - start for start, end in analysis.damage_s)
    if damaged_s:
        notices.append(Notice("damaged_video", f"{damaged_s:.2f} s of the video are damaged."))
    return tuple(notices)


def _intersections(
    spans: list[tuple[float, float]], start_s: float, end_s: float
) -> tuple[Span, ...]:
    """Return the intersections of `spans` with [start_s, end_s)."""
    cut = ((max(a, start_s), min(b, end_s)) for a, b in spans)
    return tuple(Span(a, b) for a, b in cut if a < b)


def _tools(config: Any) -> dict[str, str]:
    from importlib.metadata import version

    names = ["av", "scenedetect-headless", "opencv-python-headless"]
    versions = {name: version(name) for name in names}
    if config.confirm != "none":
        versions |= stage.versions("torch")
        digest = published.digest(config.confirm)
        versions |= {"model": digest} if digest else {}
    return versions


def _prepare(settings: ScenesSettings) -> None:
    if settings.confirm != "none":
        published.fetch(settings.confirm)


SCENES_STAGE = Stage(
    name="scenes",
    version=2,
    reads=("films",),
    writes=SCENES,
    config=ScenesSettings,
    run=find_scenes,
    folder="scenes",
    tools=_tools,
    prepare=_prepare,
)
