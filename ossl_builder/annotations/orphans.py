"""Orphans: annotations whose clip no longer exists, and the errors that prevent them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ossl_builder.annotations import records
from ossl_builder.annotations.records import Annotation
from ossl_builder.errors import OsslError

TRANSFER_HINT = (
    "To continue anyway: `--drop-labelled`. The annotations are kept, and `ossl label transfer` "
    "moves them to new clips that are nearly the same."
)


@dataclass(frozen=True)
class Orphan:
    """A clip that has annotations but no longer exists.

    Attributes:
        film_id, clip_id: the clip.
        annotators: the annotators of its records, sorted.
    """

    film_id: str
    clip_id: str
    annotators: tuple[str, ...]


def current_annotations(corpus: Path, film_id: str) -> tuple[Annotation, ...]:
    """Return a film's annotations without the withdrawn ones.

    Raises:
        OsslError: `annotations_damaged`.
    """
    return tuple(
        annotation
        for annotation in records.read_film(corpus, film_id)
        if annotation.state != "withdrawn"
    )


def find_orphans(corpus: Path, clip_ids: Mapping[str, Collection[str]]) -> Iterator[Orphan]:
    """Yield the annotated clips that no longer exist, sorted by film and clip.

    Args:
        corpus: its folder.
        clip_ids: film id to the ids of its clips; films without clips may be missing.

    Raises:
        OsslError: `annotations_damaged`.
    """
    for film_id in records.film_ids(corpus):
        by_clip: dict[str, list[str]] = {}
        for annotation in current_annotations(corpus, film_id):
            if annotation.clip_id not in clip_ids.get(film_id, ()):
                by_clip.setdefault(annotation.clip_id, []).append(annotation.annotator)
        for clip_id in sorted(by_clip):
            yield Orphan(film_id, clip_id, tuple(sorted(by_clip[clip_id])))


def clips_dropped_error(film_id: str, lost: Collection[str]) -> OsslError:
    """Return the error for a build that would delete annotated clips of a film."""
    return OsslError(
        "labelled_clips_dropped",
        f"The build would delete {_clips(len(lost))} of {film_id} with annotations: "
        f"{', '.join(sorted(lost))}. Nothing was changed.",
        f"Undo the change of the recipe. {TRANSFER_HINT}",
    )


def clips_at_risk_error(film_id: str, stage: str, n_clips: int) -> OsslError:
    """Return the error for a single stage, whose effect on annotated clips is not known."""
    return OsslError(
        "labelled_clips_at_stake",
        f"The stage {stage} would run, and {_clips(n_clips)} of {film_id} with annotations depend "
        "on it. Nothing was changed.",
        f"`ossl build {film_id}` runs the stage only if these clips stay. {TRANSFER_HINT}",
    )


def film_removed_error(film_id: str, lost: Collection[str]) -> OsslError:
    """Return the error for the removal of a film with annotated clips."""
    return OsslError(
        "labelled_clips_dropped",
        f"With {film_id}, {_clips(len(lost))} with annotations would be deleted: "
        f"{', '.join(sorted(lost))}.",
        "To remove the film anyway: `--drop-labelled`. The annotations are kept.",
    )


def _clips(count: int) -> str:
    return "1 clip" if count == 1 else f"{count} clips"
