"""Transfer annotations of deleted clips to clips of the same film that are nearly the same."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ossl_builder.annotations import records
from ossl_builder.annotations.orphans import current_annotations
from ossl_builder.annotations.records import Annotation
from ossl_builder.engine import tables_io
from ossl_builder.errors import OsslError
from ossl_builder.label_studio import state
from ossl_builder.tables import CLIPS, Clip
from ossl_builder.tables.schema import Span

TRANSFERRED = "carried"

Outcome = Literal["carried", "answered", "no_clip"]


@dataclass(frozen=True)
class Move:
    """The outcome for one annotation of a deleted clip.

    Attributes:
        film_id, annotator: of the annotation.
        from_clip: the deleted clip.
        to_clip: the clip that has most of its film time, if `overlap` is large enough.
        overlap: intersection over union of the two clips in film time, 0 to 1; None: there is no
            clip to compare with, or the deleted clip's id does not contain its times.
        outcome: `carried`: transferred; `answered`: this annotator has answered the new clip, or
            a nearer or newer annotation of theirs is transferred to it, so this one stays;
            `no_clip`: no clip is near enough.
    """

    film_id: str
    annotator: str
    from_clip: str
    to_clip: str | None
    overlap: float | None
    outcome: Outcome


@dataclass(frozen=True)
class _Candidate:
    orphan: Annotation
    clip: Clip | None
    overlap: float | None


def transfer(
    corpus: Path, film_ids: Sequence[str], min_overlap: float, is_dry: bool = False
) -> list[Move]:
    """Transfer annotations of deleted clips. The caller holds the corpus' lock.

    A transferred annotation has the source `carried` and names its first clip; the earlier record
    is deleted. An annotation that was transferred before is compared by its first clip, so that
    many small steps never add up to a large one. An answer to the new clip is never replaced,
    except one that was itself transferred from the same clip and is older.

    Args:
        corpus: its folder.
        film_ids: the films; empty: all.
        min_overlap: intersection over union from which clips count as the same; above 0.5, so
            that at most one of several clips without overlap can match.
        is_dry: write nothing.

    Returns:
        One move per annotation, sorted by film, clip and annotator.

    Raises:
        OsslError: `table_missing`, `table_version`, `annotations_damaged`, `film_unknown`.
    """
    annotated = records.film_ids(corpus)
    for film_id in film_ids:
        if film_id not in annotated:
            raise OsslError(
                "film_unknown",
                f"The film {film_id!r} has no annotations in this corpus.",
                f"Films with annotations: {', '.join(annotated) or 'none'}.",
            )
    clips: dict[str, list[Clip]] = {}
    for clip in tables_io.read_table(corpus / "manifests", CLIPS):
        clips.setdefault(clip.film_id, []).append(clip)
    moves: list[Move] = []
    for film_id in sorted(set(film_ids)) or annotated:
        moves += _transfer_film(corpus, film_id, clips.get(film_id, []), min_overlap, is_dry)
    return sorted(moves, key=lambda move: (move.film_id, move.from_clip, move.annotator))


def overlap_ratio(first: Span, second: Span) -> float:
    """Return intersection over union of two spans of time, 0 to 1 (Jaccard index)."""
    shared_s = max(min(first.end_s, second.end_s) - max(first.start_s, second.start_s), 0.0)
    return shared_s / (first.end_s - first.start_s + second.end_s - second.start_s - shared_s)


def was_transferred(remote: Annotation, film: Iterable[Annotation]) -> bool:
    """Return whether an annotation on the server was transferred and has not changed since.

    Args:
        remote: the server's annotation, as a record.
        film: the film's records.
    """
    return any(
        record.source == TRANSFERRED
        and record.carried_from == remote.clip_id
        and record.annotator == remote.annotator
        and record.updated_at >= remote.updated_at
        for record in film
    )


def _transfer_film(
    corpus: Path, film_id: str, clips: Sequence[Clip], min_overlap: float, is_dry: bool
) -> list[Move]:
    clip_ids = {clip.clip_id for clip in clips}
    orphans = [
        annotation
        for annotation in current_annotations(corpus, film_id)
        if annotation.clip_id not in clip_ids
    ]
    if not orphans:
        return []
    by_key = {record.key: record for record in records.read_film(corpus, film_id)}
    candidates = [_nearest_clip(orphan, clips) for orphan in orphans]
    moves = []
    # The nearest first; of equally near ones, the one that changed last.
    candidates.sort(key=lambda candidate: candidate.orphan.clip_id)
    candidates.sort(key=lambda candidate: candidate.orphan.updated_at, reverse=True)
    candidates.sort(key=lambda candidate: candidate.overlap or 0.0, reverse=True)
    for candidate in candidates:
        outcome, target = _decide(candidate, by_key, min_overlap)
        if outcome == "carried" and target is not None:
            del by_key[candidate.orphan.key]
            by_key[target.key] = target
        moves.append(
            Move(
                film_id,
                candidate.orphan.annotator,
                candidate.orphan.clip_id,
                None if target is None else target.clip_id,
                candidate.overlap,
                outcome,
            )
        )
    if not is_dry and records.write_film(corpus, film_id, by_key.values()):
        _forget_last_pulled(corpus, [move for move in moves if move.outcome == "carried"])
    return moves


def _decide(
    candidate: _Candidate, by_key: dict[tuple[str, str], Annotation], min_overlap: float
) -> tuple[Outcome, Annotation | None]:
    if candidate.clip is None or candidate.overlap is None or candidate.overlap < min_overlap:
        return "no_clip", None
    first_clip = candidate.orphan.carried_from or candidate.orphan.clip_id
    target = dataclasses.replace(
        candidate.orphan,
        clip_id=candidate.clip.clip_id,
        source=TRANSFERRED,
        carried_from=first_clip,
    )
    existing = by_key.get(target.key)
    is_older = (
        existing is not None
        and (existing.source, existing.carried_from) == (TRANSFERRED, first_clip)
        and existing.updated_at < target.updated_at
    )
    return ("carried" if existing is None or is_older else "answered"), target


def _nearest_clip(orphan: Annotation, clips: Sequence[Clip]) -> _Candidate:
    span = _span_of_clip_id(orphan.film_id, orphan.carried_from or orphan.clip_id)
    ratios = [
        (overlap_ratio(span, Span(clip.start_s, clip.end_s)), clip)
        for clip in clips
        if span is not None and clip.start_s is not None and clip.end_s is not None
    ]
    if not ratios:
        return _Candidate(orphan, None, None)
    ratio, nearest = max(ratios, key=lambda pair: (pair[0], pair[1].clip_id))
    return _Candidate(orphan, nearest, round(ratio, 6))


def _span_of_clip_id(film_id: str, clip_id: str) -> Span | None:
    """Return a clip's film time from its id; None: the id is from another corpus."""
    match = re.fullmatch(rf"{re.escape(film_id)}_(\d{{1,9}})-(\d{{1,9}})", clip_id, re.ASCII)
    if match is None or int(match[1]) >= int(match[2]):
        return None
    return Span(int(match[1]) / 1000, int(match[2]) / 1000)


def _forget_last_pulled(corpus: Path, moves: Sequence[Move]) -> None:
    """Forget the pulled versions for the earlier clips, so that no pull reports them as lost."""
    pulled = state.load_pulled(corpus)
    before = {clip_id: dict(by_annotator) for clip_id, by_annotator in pulled.items()}
    for move in moves:
        pulled.get(move.from_clip, {}).pop(move.annotator, None)
    if pulled != before:
        state.save_pulled(corpus, pulled)
