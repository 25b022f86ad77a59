"""Annotated clips: which of them must not be dropped unasked, and whose clip is gone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ossl_builder.annotations import records
from ossl_builder.annotations.records import Annotation
from ossl_builder.errors import OsslError

CARRY = (
    "`--drop-labelled` goes on nevertheless: the annotations stay, and `ossl label carry` moves "
    "them to new clips that are nearly the same."
)


@dataclass(frozen=True)
class Orphan:
    """A clip that people annotated and that the corpus has no more.

    Attributes:
        film_id, clip_id: the clip.
        annotators: whose annotations of it are here, sorted.
    """

    film_id: str
    clip_id: str
    annotators: tuple[str, ...]


def counting(corpus: Path, film_id: str) -> tuple[Annotation, ...]:
    """A film's annotations without those that were withdrawn, which nobody would miss.

    Raises:
        OsslError: `annotations_damaged`.
    """
    return tuple(one for one in records.read_film(corpus, film_id) if one.state != "withdrawn")


def orphans(corpus: Path, clip_ids: Mapping[str, Collection[str]]) -> Iterator[Orphan]:
    """The orphaned clips of a corpus, sorted by film and clip.

    Args:
        corpus: its folder.
        clip_ids: for each film the ids of the clips it has; a film without any may be missing.

    Raises:
        OsslError: `annotations_damaged`.
    """
    for film_id in records.film_ids(corpus):
        found: dict[str, list[str]] = {}
        for one in counting(corpus, film_id):
            if one.clip_id not in clip_ids.get(film_id, ()):
                found.setdefault(one.clip_id, []).append(one.annotator)
        for clip_id in sorted(found):
            yield Orphan(film_id, clip_id, tuple(sorted(found[clip_id])))


def dropped(film_id: str, lost: Collection[str]) -> OsslError:
    """The error that says which annotated clips a film would lose."""
    return OsslError(
        "labelled_clips_dropped",
        f"{_clips(len(lost))} of {film_id} that people annotated would be dropped: "
        f"{', '.join(sorted(lost))}. All stays as it was.",
        f"Set the recipe back. {CARRY}",
    )


def at_stake(film_id: str, stage: str, n_clips: int) -> OsslError:
    """The error that says that a single stage cannot tell whether annotated clips will stay."""
    return OsslError(
        "labelled_clips_at_stake",
        f"The stage {stage} would run, on which {_clips(n_clips)} of {film_id} that people "
        "annotated depend. All stays as it was.",
        f"`ossl build {film_id}` runs it only if they stay. {CARRY}",
    )


def removed(film_id: str, lost: Collection[str]) -> OsslError:
    """The error that says which annotated clips would go with a film."""
    return OsslError(
        "labelled_clips_dropped",
        f"{_clips(len(lost))} of {film_id} that people annotated would go with it: "
        f"{', '.join(sorted(lost))}.",
        "`--drop-labelled` removes it nevertheless; the annotations stay.",
    )


def _clips(count: int) -> str:
    return "1 clip" if count == 1 else f"{count} clips"
