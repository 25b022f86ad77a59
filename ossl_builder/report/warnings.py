"""Find problems that a curator should check: kinds of warnings and their thresholds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ossl_builder.annotations.agreement import Disagreement
from ossl_builder.report.data import Row
from ossl_builder.report.loudness_curves import STEP_S, Curves
from ossl_builder.rights import Verdict
from ossl_builder.rights.verdict import LICENCE_UNNAMED
from ossl_builder.splits.leaks import KIND_WORDS, Leak, Match

# Level, relative to the mix, of the part of the mix that is in no stem. This part is effects or
# was lost in the separation; above this level it is audible.
REST_DB = -12.0
# Speech pauses at least every few seconds, so a clean dialogue stem is silent in the pauses. If
# even the quiet parts of the stem are above this level, relative to the music, the stem contains
# something else. A good separator (SI-SDR of 10 to 15 dB) leaves -20 dB; -12 dB is audible.
RESIDUAL_LU = -12.0
# The quantile of the level differences that represents the quiet parts.
QUIETER = 0.25
# Only seconds with louder music count, because relative to silence every sound is loud.
MUSIC_SOUNDS_LUFS = -45.0
# With fewer such seconds in a clip, the result is not reliable.
LEAST_STEPS = 5
# EBU R 128 sets programmes to -23 LUFS; music 17 LU below that is masked by the room's noise.
QUIET_LUFS = -40.0
# 0 is agreement; 1 is a difference of the whole scale on every question. Annotators who agree on
# the mood differ by one or two of eight steps (0.12 to 0.25); more means different moods.
DISAGREED = 0.35


@dataclass(frozen=True)
class Kind:
    """A kind of warning.

    Attributes:
        name: stable identifier, lower-case, with underscores.
        title: the name shown to users.
        why: why the warning matters, and what to do.
    """

    name: str
    title: str
    why: str


KINDS = (
    Kind("leak", "Shared across splits",
         "Films in two splits share music or video: measured results would be too "
         "good. Assign one of them anew with `ossl split --forget FILM`."),
    Kind("near_duplicate", "Near-duplicates",
         "Two films share music or video. They stay in one split; one of them may be a second "
         "copy that can be removed."),
    Kind("low_separation", "Low separation quality",
         "Much of the mix is in no stem: what is missing may be music. Listen to mix and music; a "
         "larger model may do better (`stems.model`)."),
    Kind("residual_music", "Music left in the dialogue",
         "The dialogue stem does not fall silent between words while music plays, so some of the "
         "music is probably in it."),
    Kind("quiet_music", "Quiet music",
         "The music is hardly audible, by its loudness or by the annotations. A model learns "
         "little from it."),
    Kind("disagreement", "People disagree",
         "People heard different moods, or chose quadrants without a majority. Ask another person, "
         "or leave the clip out."),
    Kind("damaged", "Damaged video or audio",
         "Segments of the film could not be decoded. No clip is cut from them; another copy may "
         "be undamaged."),
    Kind("doubtful", "Repaired or doubtful",
         "The film's file is damaged or unusual: watch the film. Another copy may be better."),
    Kind("rights_unknown", "Not shown to be free",
         "Nothing shows that the film may be used. Do not publish its clips before that is settled "
         "(`ossl films explain FILM`). An export of it needs --allow-unverified."),
    Kind("licence_unnamed", "Licence not named",
         "The film was added as licensed, without a licence's name or address. Nobody can look up "
         "what the licence permits."),
    Kind("media_missing", "Files missing",
         "The tables name files that are not here. `ossl build` makes them again; imported clips "
         "have to be copied."),
)  # fmt: skip


@dataclass(frozen=True, order=True)
class Warned:
    """One warning.

    Attributes:
        film_id: the film.
        clip_id: the clip; empty: the whole film.
        kind: name of one of `KINDS`.
        sentence: the problem in one sentence.
    """

    film_id: str
    clip_id: str
    kind: str
    sentence: str


@dataclass(frozen=True)
class Measures:
    """Measurements of one clip from the film's curves.

    Attributes:
        rest_db: median level of the part of the mix that is in no stem, relative to the mix, in
            dB; None: not known.
        residual_lu: level of the quiet parts of the dialogue stem, relative to the music, in LU;
            None: not known.
    """

    rest_db: float | None
    residual_lu: float | None


def measures_of(clip: Row, curves: Curves) -> Measures:
    """Measure the segment of a film from which a clip was cut."""
    import numpy as np

    if clip["start_s"] is None:
        return Measures(None, None)
    first, last = round(clip["start_s"] / STEP_S), round(clip["end_s"] / STEP_S)
    rest_levels = np.array(curves.rest[first:last]) / 10
    residual = None
    if {"music", "dialogue"} <= curves.low.keys():
        music = np.array(curves.short["music"][first:last]) / 10
        dialogue = np.array(curves.low["dialogue"][first:last]) / 10
        sounds = music > MUSIC_SOUNDS_LUFS
        if sounds.sum() >= LEAST_STEPS:
            residual = round(float(np.quantile((dialogue - music)[sounds], QUIETER)), 1)
    return Measures(round(float(np.median(rest_levels)), 1) if len(rest_levels) else None, residual)


def of_clip(clip: Row, label: Row | None, missing: Sequence[str]) -> Iterator[Warned]:
    """Yield the warnings about a clip from the tables and its files.

    Args:
        clip: its row.
        label: the row of its label; None: no label.
        missing: the roles of its missing files, such as `video`.
    """
    film_id, clip_id = clip["film_id"], clip["clip_id"]
    if missing:
        yield Warned(film_id, clip_id, "media_missing", f"Not there: {', '.join(missing)}.")
    if clip["music_lufs"] is not None and clip["music_lufs"] < QUIET_LUFS:
        text = f"The music has {clip['music_lufs']:.0f} LUFS."
        yield Warned(film_id, clip_id, "quiet_music", text)
    elif label is not None and label["music_audible"] in ("faint", "none"):
        audibility = {"faint": "faint", "none": "not heard at all"}[label["music_audible"]]
        yield Warned(
            film_id, clip_id, "quiet_music", f"Most people say that music is {audibility}."
        )


def of_measures(film_id: str, measured: Mapping[str, Measures]) -> Iterator[Warned]:
    """Yield the warnings about a film's clips from the curves of its stems."""
    for clip_id, measures in measured.items():
        if measures.rest_db is not None and measures.rest_db > REST_DB:
            text = f"What no stem holds is only {-measures.rest_db:.0f} dB below the mix."
            yield Warned(film_id, clip_id, "low_separation", text)
        if measures.residual_lu is not None and measures.residual_lu > RESIDUAL_LU:
            text = f"The quieter dialogue is at {measures.residual_lu:+.0f} LU of the music."
            yield Warned(film_id, clip_id, "residual_music", text)


def of_film(
    verdict: Verdict | None, tables: Mapping[str, list[Row]], film_id: str
) -> Iterator[Warned]:
    """Yield the warnings about a whole film.

    Args:
        verdict: today's verdict on it; None: the corpus has no record of the film.
        tables: its rows, by table.
        film_id: the film.
    """
    if verdict is None:
        yield Warned(film_id, "", "rights_unknown", "Nothing is recorded that permits its use.")
    elif not verdict.is_free:
        yield Warned(film_id, "", "rights_unknown", verdict.sentence)
    elif LICENCE_UNNAMED in verdict.risks:
        yield Warned(film_id, "", "licence_unnamed", "No licence's name or address is recorded.")
    for table, medium in (("scenes", "video"), ("stems", "audio")):
        spans = {
            (span["start_s"], span["end_s"])
            for row in tables[table]
            for span in row["damaged_spans"]
        }
        if spans:
            lost = sum(end - start for start, end in spans)
            text = f"{lost:.1f} s of {medium} could not be decoded."
            yield Warned(film_id, "", "damaged", text)


def of_notices(film_id: str, notices: Iterable[Mapping[str, str]]) -> Iterator[Warned]:
    """Yield the stages' warnings about a film, except damage, which `of_film` reports."""
    for notice in notices:
        if notice["code"] not in ("damaged_video", "damaged_audio"):
            yield Warned(film_id, "", "doubtful", notice["message"])


def of_answers(disagreed: Iterable[Disagreement], labels: Iterable[Row]) -> Iterator[Warned]:
    """Yield the clips with distant answers or without a majority for a quadrant."""
    texts: dict[tuple[str, str], str] = {}
    for row in labels:
        # A most probable quadrant exists only if annotators chose quadrants.
        if row["majority_quadrant"] is None and row["dawid_skene_quadrant"] is not None:
            texts[row["film_id"], row["clip_id"]] = "No quadrant has a majority."
    for clip in disagreed:
        if clip.score >= DISAGREED:
            text = f"Answers lie {clip.score:.2f} of the scales apart."
            texts[clip.film_id, clip.clip_id] = text
    for (film_id, clip_id), text in texts.items():
        yield Warned(film_id, clip_id, "disagreement", text)


def of_matches(matches: Iterable[Match], leaks: Iterable[Leak]) -> Iterator[Warned]:
    """Yield a warning for both films of each pair that shares material."""
    leaking = {(leak.film_a, leak.film_b, leak.kind) for leak in leaks}
    for match in matches:
        kind = "near_duplicate"
        if (match.film_a, match.film_b, match.kind) in leaking:
            kind = "leak"
        ends = ((match.film_a, match.clip_a), (match.film_b, match.clip_b))
        for (film_id, clip_id), (_, other_clip) in (ends, ends[::-1]):
            text = f"Shares {KIND_WORDS[match.kind]} with {other_clip} ({match.shared} hashes)."
            yield Warned(film_id, clip_id, kind, text)
