"""Annotations of clips that are gone, moved to clips of the same film that are nearly the same."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ossl_builder.annotations import records
from ossl_builder.annotations.orphans import counting
from ossl_builder.annotations.records import Annotation
from ossl_builder.engine import tables_io
from ossl_builder.errors import OsslError
from ossl_builder.label_studio import state as states
from ossl_builder.tables import CLIPS, Clip
from ossl_builder.tables.schema import Span

TRANSFERRED = "carried"

Outcome = Literal["carried", "answered", "no_clip"]


@dataclass(frozen=True)
class Move:
    """What becomes of one annotation of a clip that is gone.

    Attributes:
        film_id, annotator: whose.
        from_clip: the clip it was given for, which is gone.
        to_clip: the clip that has most of its film time, if `overlap` is enough.
        overlap: intersection over union of the two in film time, 0 to 1; None: there is no clip
            to compare it with, or its clip's id does not tell its times.
        outcome: `carried`; `answered`: this annotator has answered the new clip, or a nearer or
            newer annotation of theirs goes there, so that this one stays where it is; `no_clip`:
            no clip is near enough.
    """

    film_id: str
    annotator: str
    from_clip: str
    to_clip: str | None
    overlap: float | None
    outcome: Outcome


@dataclass(frozen=True)
class _Found:
    orphan: Annotation
    clip: Clip | None
    overlap: float | None


def transfer(
    corpus: Path, film_ids: Sequence[str], least: float, is_dry: bool = False
) -> list[Move]:
    """Move annotations of clips that are gone; the caller holds the corpus' lock.

    A moved annotation is marked `carried` and says from which clip; the earlier record goes. An
    annotation that was moved before is measured by the clip that it was first given for, so that
    many small steps never make a large one. No answer to the new clip is ever replaced, but for
    one that was itself carried from the same clip and is older.

    Args:
        film_ids: of these films; none: all.
        least: intersection over union from which clips count as the same; above 0.5, so that
            of clips that do not overlap each other only one can be meant.
        is_dry: write nothing.

    Returns:
        What becomes of each, sorted by film, clip and annotator.

    Raises:
        OsslError: `table_missing`, `table_version`, `annotations_damaged`, `film_unknown`.
    """
    annotated = records.film_ids(corpus)
    for film_id in film_ids:
        if film_id not in annotated:
            raise OsslError(
                "film_unknown",
                f"No clip of {film_id!r} has annotations here.",
                f"Films that have some: {', '.join(annotated) or 'none'}.",
            )
    clips: dict[str, list[Clip]] = {}
    for clip in tables_io.read_table(corpus / "manifests", CLIPS):
        clips.setdefault(clip.film_id, []).append(clip)
    moves: list[Move] = []
    for film_id in sorted(set(film_ids)) or annotated:
        moves += _transfer_film(corpus, film_id, clips.get(film_id, []), least, is_dry)
    return sorted(moves, key=lambda move: (move.film_id, move.from_clip, move.annotator))


def overlap(one: Span, other: Span) -> float:
    """Intersection over union of two stretches of time, 0 to 1 (Jaccard's index)."""
    both = min(one.end_s, other.end_s) - max(one.start_s, other.start_s)
    return max(both, 0.0) / (one.end_s - one.start_s + other.end_s - other.start_s - max(both, 0.0))


def has_moved(given: Annotation, film: Iterable[Annotation]) -> bool:
    """Whether an annotation that the server still holds was carried on, and is none of news.

    Args:
        given: as the server has it.
        film: the film's records.
    """
    return any(
        one.source == TRANSFERRED
        and one.carried_from == given.clip_id
        and one.annotator == given.annotator
        and one.updated_at >= given.updated_at
        for one in film
    )


def _transfer_film(
    corpus: Path, film_id: str, clips: Sequence[Clip], least: float, is_dry: bool
) -> list[Move]:
    here = {clip.clip_id for clip in clips}
    orphans = [one for one in counting(corpus, film_id) if one.clip_id not in here]
    if not orphans:
        return []
    kept = {one.key: one for one in records.read_film(corpus, film_id)}
    found = [_nearest(one, clips) for one in orphans]
    moves = []
    # The nearest goes first; of equally near ones the one that was changed last.
    found.sort(key=lambda one: one.orphan.clip_id)
    found.sort(key=lambda one: one.orphan.updated_at, reverse=True)
    found.sort(key=lambda one: one.overlap or 0.0, reverse=True)
    for one in found:
        outcome, target = _judged(one, kept, least)
        if outcome == "carried" and target is not None:
            del kept[one.orphan.key]
            kept[target.key] = target
        moves.append(
            Move(
                film_id,
                one.orphan.annotator,
                one.orphan.clip_id,
                None if target is None else target.clip_id,
                one.overlap,
                outcome,
            )
        )
    if not is_dry and records.write_film(corpus, film_id, kept.values()):
        _forget_pulled(corpus, [move for move in moves if move.outcome == "carried"])
    return moves


def _judged(
    one: _Found, kept: dict[tuple[str, str], Annotation], least: float
) -> tuple[Outcome, Annotation | None]:
    if one.clip is None or one.overlap is None or one.overlap < least:
        return "no_clip", None
    first = one.orphan.carried_from or one.orphan.clip_id
    target = dataclasses.replace(
        one.orphan, clip_id=one.clip.clip_id, source=TRANSFERRED, carried_from=first
    )
    there = kept.get(target.key)
    is_older = (
        there is not None
        and (there.source, there.carried_from) == (TRANSFERRED, first)
        and there.updated_at < target.updated_at
    )
    return ("carried" if there is None or is_older else "answered"), target


def _nearest(orphan: Annotation, clips: Sequence[Clip]) -> _Found:
    span = _span(orphan.film_id, orphan.carried_from or orphan.clip_id)
    timed = [
        (overlap(span, Span(clip.start_s, clip.end_s)), clip)
        for clip in clips
        if span is not None and clip.start_s is not None and clip.end_s is not None
    ]
    if not timed:
        return _Found(orphan, None, None)
    share, nearest = max(timed, key=lambda pair: (pair[0], pair[1].clip_id))
    return _Found(orphan, nearest, round(share, 6))


def _span(film_id: str, clip_id: str) -> Span | None:
    """A clip's film time by its id; None: it is one of another corpus' making."""
    said = re.fullmatch(rf"{re.escape(film_id)}_(\d{{1,9}})-(\d{{1,9}})", clip_id, re.ASCII)
    if said is None or int(said[1]) >= int(said[2]):
        return None
    return Span(int(said[1]) / 1000, int(said[2]) / 1000)


def _forget_pulled(corpus: Path, moves: Sequence[Move]) -> None:
    """What was pulled for the earlier clip is no record any more whose loss should be told."""
    pulled = states.load_pulled(corpus)
    before = {clip_id: dict(known) for clip_id, known in pulled.items()}
    for move in moves:
        pulled.get(move.from_clip, {}).pop(move.annotator, None)
    if pulled != before:
        states.save_pulled(corpus, pulled)
