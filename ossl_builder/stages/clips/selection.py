"""Choose the clips of a film: from cues, scenes and damage to time spans and rejects.

Pure functions of numbers: nothing here reads a file.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, inf
from typing import Literal, Self

from pydantic import Field, model_validator

from ossl_builder.engine.settings import Settings
from ossl_builder.engine.stage import Reject
from ossl_builder.tables.cues import Cue
from ossl_builder.tables.scenes import Scene
from ossl_builder.tables.schema import Span


class ClipsSettings(Settings):
    """Section `clips` of a recipe."""

    snap_s: float = Field(
        2.0, ge=0, description="how far a clip's edge may move to a scene boundary, in seconds"
    )
    min_s: float = Field(10.0, ge=1, description="shortest clip, in seconds")
    max_s: float = Field(180.0, ge=2, description="longest clip; longer cues are split, in seconds")
    max_dialogue_share: float = Field(
        1.0, ge=0, le=1, description="part of a clip's time in which dialogue may be heard"
    )
    min_music_lufs: float = Field(
        -50.0, le=0, description="least integrated loudness of a clip's music, in LUFS"
    )
    max_black_share: float = Field(
        0.5, ge=0, le=1, description="part of a clip's time that may be black"
    )
    max_silent_share: float = Field(
        0.5, ge=0, le=1, description="part of a clip's time that may be without music"
    )
    max_dialogue_residual_music_db: float = Field(
        0.0,
        le=0,
        description="most music left in the dialogue stem, in dB of that stem, e.g. -10; 0: no "
        "limit; checked only in clips with dialogue",
    )
    max_music_residual_dialogue_db: float = Field(
        0.0,
        le=0,
        description="most dialogue left in the music stem, in dB of that stem, e.g. -15; 0: no "
        "limit",
    )
    speech_quality: Literal["none", "dnsmos"] = Field(
        "none",
        description="dnsmos: also rate the dialogue stem of clips with dialogue from 1 to 5 "
        "(`ossl models get dnsmos`)",
    )
    heard_lufs: float = Field(
        -50.0,
        le=0,
        description="momentary loudness from which music or dialogue counts as heard, in LUFS",
    )
    dialogue_lu: float = Field(
        15.0, ge=0, description="dialogue is heard down to this far below the music, in LU"
    )
    crf: int = Field(
        18, ge=0, le=40, description="x264's constant rate factor: lower is better and larger"
    )
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"] = (
        Field("veryfast", description="x264's preset: slower is smaller")
    )
    audio_kbps: int = Field(192, ge=32, le=512, description="bit rate of the MP4's AAC, in kbit/s")

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.max_s < 2 * self.min_s:
            raise ValueError("max_s must be at least twice min_s, or long cues cannot be split")
        return self


@dataclass(frozen=True)
class Candidate:
    """A time span that may become a clip, and the cue that it comes from."""

    span: Span
    cue_id: str

    @property
    def length_s(self) -> float:
        """Its duration in seconds."""
        return self.span.end_s - self.span.start_s

    def reject(self, reason: str, why: str) -> Reject:
        """Return the candidate as a reject, with a sentence that gives the reason."""
        return Reject(
            reason,
            f"Cue {self.cue_id}, {self.span.start_s:.2f} to {self.span.end_s:.2f} s: {why}.",
            self.span.start_s,
            self.span.end_s,
        )


@dataclass(frozen=True)
class StemStats:
    """Measurements of the stems of a candidate.

    Attributes:
        music_lufs: integrated loudness of its music, in LUFS; None: silent.
        dialogue_share: fraction of its duration with dialogue; None: there is no dialogue stem.
        silent_share: fraction of its duration without music.
        dialogue_residual_music: music left in the dialogue stem, in dB of that stem; None: there
            is no dialogue stem, or it is silent.
        music_residual_dialogue: dialogue left in the music stem, in dB of that stem.
    """

    music_lufs: float | None
    dialogue_share: float | None
    silent_share: float
    dialogue_residual_music: float | None = None
    music_residual_dialogue: float | None = None


@dataclass(frozen=True)
class Damage:
    """Intervals of film time in which the film could not be decoded."""

    video: tuple[Span, ...]
    audio: tuple[Span, ...]

    def touches(self, start_s: float, end_s: float) -> bool:
        """Decide whether any damage overlaps [start_s, end_s)."""
        return bool(_intersections(self.video + self.audio, start_s, end_s))


def candidates(
    cues: Sequence[Cue],
    scenes: Sequence[Scene],
    damaged_audio: Sequence[Span],
    frames_s: Sequence[float],
    settings: ClipsSettings,
) -> Iterator[Candidate | Reject]:
    """Snap, trim and split a film's cues; yield candidates and rejects.

    Cues are trimmed to the video. Their edges move to a scene boundary within `snap_s`, else to the
    nearest frame. Spans longer than `max_s` are split. Spans are in film order and do not overlap.

    Args:
        cues: cues of one film, which do not overlap.
        scenes: scenes of the same film, which cover its video.
        damaged_audio: intervals in which its audio could not be decoded.
        frames_s: start times of its frames, in film time, ascending.
        settings: the limits for clips.
    """
    ordered = sorted(scenes, key=lambda scene: scene.start_s)
    film_end_s = ordered[-1].end_s
    boundaries = [*(scene.start_s for scene in ordered), film_end_s]
    frames = [*(time for time in frames_s if time < film_end_s), film_end_s]
    damage = Damage(
        tuple(span for scene in ordered for span in scene.damaged_spans), tuple(damaged_audio)
    )
    black = tuple(span for scene in ordered for span in scene.black_spans)
    free_from_s = 0.0
    for cue in sorted(cues, key=lambda cue: cue.start_s):
        whole = Candidate(Span(cue.start_s, cue.end_s), cue.cue_id)
        start_s = max(_nearest(cue.start_s, frames), free_from_s)
        cue_span = Span(start_s, _nearest(cue.end_s, frames))
        if cue.start_s >= film_end_s:
            yield whole.reject("no_video", f"the video ends at {film_end_s:.2f} s")
        elif cue_span.end_s <= cue_span.start_s:
            yield whole.reject("too_short", "nothing of it is left beside the clip before it")
        else:
            snapped = snap(cue_span, free_from_s, boundaries, damage, settings)
            free_from_s = snapped.end_s
            for part in split(snapped, boundaries, frames, settings):
                candidate = Candidate(part, cue.cue_id)
                yield _shape_problem(candidate, damage, black, settings) or candidate


def snap(
    cue_span: Span,
    free_from_s: float,
    boundaries: Sequence[float],
    damage: Damage,
    settings: ClipsSettings,
) -> Span:
    """Move the edges of a cue's span to the nearest boundaries within `snap_s`.

    An edge is not moved if it would then be before `free_from_s` (the end of the previous clip),
    if the moved part contains damage, or if the span would become shorter than `min_s`.
    """
    start_s, end_s = _nearest(cue_span.start_s, boundaries), _nearest(cue_span.end_s, boundaries)
    if (
        abs(start_s - cue_span.start_s) > settings.snap_s
        or start_s < free_from_s
        or damage.touches(start_s, cue_span.start_s)
    ):
        start_s = cue_span.start_s
    if abs(end_s - cue_span.end_s) > settings.snap_s or damage.touches(cue_span.end_s, end_s):
        end_s = cue_span.end_s
    for start, end in ((start_s, end_s), (start_s, cue_span.end_s), (cue_span.start_s, end_s)):
        if end - start >= settings.min_s:
            return Span(start, end)
    return cue_span


def split(
    span: Span, boundaries: Sequence[float], frames: Sequence[float], settings: ClipsSettings
) -> list[Span]:
    """Split a span longer than `max_s` into parts of `min_s` to `max_s`.

    The number of cuts that are not on boundaries is minimal. Among such splits, the sum of squared
    differences from equal parts is minimal.
    """
    length = span.end_s - span.start_s
    if length <= settings.max_s:
        return [span]
    parts = ceil(length / settings.max_s)

    def equal(count: int) -> list[float]:
        ideal = (span.start_s + length * number / count for number in range(1, count))
        return [_nearest(edge, frames) for edge in ideal]

    # Also try one part more: moving cuts to frames may make one of `parts` parts too long.
    off_boundary = dict.fromkeys(equal(parts) + equal(parts + 1), 1)
    off_boundary |= {edge: 0 for edge in boundaries if span.start_s < edge < span.end_s}
    edges = [span.start_s, *sorted(off_boundary), span.end_s]
    # Dynamic programming. Best path to each edge: (cuts off boundaries, squares, previous edge).
    paths: list[tuple[int, float, int]] = [(0, 0.0, 0)]
    for index, end_s in enumerate(edges[1:], start=1):
        paths.append((len(edges), inf, 0))
        for before in range(bisect_left(edges, end_s - settings.max_s), index):
            part = end_s - edges[before]
            if part >= settings.min_s:
                off, squares, _ = paths[before]
                off += off_boundary.get(end_s, 0)
                paths[index] = min(
                    paths[index], (off, squares + (part - length / parts) ** 2, before)
                )
    cuts = [span.start_s, *equal(parts), span.end_s]
    if paths[-1][1] < inf:
        index, cuts = len(edges) - 1, [span.end_s]
        while index:
            index = paths[index][2]
            cuts.insert(0, edges[index])
    return [Span(start_s, end_s) for start_s, end_s in pairwise(cuts)]


def content_problem(
    candidate: Candidate, stats: StemStats, settings: ClipsSettings
) -> Reject | None:
    """Return a reject if a candidate's music or dialogue is not as the settings demand."""
    loudness, minimum = stats.music_lufs, settings.min_music_lufs
    if loudness is None or loudness < minimum:
        level = "silent" if loudness is None else f"at {loudness:.1f} LUFS"
        return candidate.reject("too_quiet", f"its music is {level}, below {minimum:g} LUFS")
    share, maximum = stats.silent_share, settings.max_silent_share
    if share > maximum:
        why = f"no music is heard in {share:.0%} of it, more than {maximum:.0%}"
        return candidate.reject("too_silent", why)
    share, maximum = stats.dialogue_share or 0.0, settings.max_dialogue_share
    if share > maximum:
        why = f"dialogue is heard in {share:.0%} of it, more than {maximum:.0%}"
        return candidate.reject("too_much_dialogue", why)
    residual, most = stats.music_residual_dialogue, settings.max_music_residual_dialogue_db
    if residual is not None and residual > most:
        why = f"dialogue left in its music is at {residual:.1f} dB, above {most:g} dB"
        return candidate.reject("music_not_clean", why)
    residual, most = stats.dialogue_residual_music, settings.max_dialogue_residual_music_db
    if residual is not None and residual > most and stats.dialogue_share:
        why = f"music left in its dialogue is at {residual:.1f} dB, above {most:g} dB"
        return candidate.reject("dialogue_not_clean", why)
    return None


def _shape_problem(
    candidate: Candidate, damage: Damage, black: Sequence[Span], settings: ClipsSettings
) -> Reject | None:
    """Return a reject if a candidate is too short, damaged or too black."""
    start_s, end_s = candidate.span.start_s, candidate.span.end_s
    if candidate.length_s < settings.min_s:
        why = f"it lasts {candidate.length_s:.2f} s, less than {settings.min_s:g} s"
        return candidate.reject("too_short", why)
    for reason, stream, spans in (
        ("damaged_video", "video", damage.video),
        ("damaged_audio", "audio", damage.audio),
    ):
        touched = _intersections(spans, start_s, end_s)
        if touched:
            where = f"{touched[0].start_s:.2f} to {touched[-1].end_s:.2f} s"
            return candidate.reject(reason, f"its {stream} is damaged at {where}")
    share = sum(span.end_s - span.start_s for span in _intersections(black, start_s, end_s))
    share /= candidate.length_s
    if share > settings.max_black_share:
        why = f"{share:.0%} of its video is black, more than {settings.max_black_share:.0%}"
        return candidate.reject("too_black", why)
    return None


def _intersections(spans: Sequence[Span], start_s: float, end_s: float) -> list[Span]:
    """Return the intersections of the spans with [start_s, end_s)."""
    return [
        Span(max(span.start_s, start_s), min(span.end_s, end_s))
        for span in spans
        if span.start_s < end_s and span.end_s > start_s
    ]


def _nearest(edge_s: float, ordered: Sequence[float]) -> float:
    """Return the nearest of ascending times; of two equally near ones the earlier."""
    right = bisect_left(ordered, edge_s)
    return min(ordered[max(right - 1, 0) : right + 1], key=lambda time: abs(time - edge_s))
