"""The splits table: the split of each film, and the reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ossl_builder.tables.schema import Table, column

SPLIT_NAMES = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """The split of one film, which holds for all its clips."""

    film_id: str = column("the film")
    split: str | None = column("`train`, `validation` or `test`; empty: the film is left out")
    why: str = column("why the film is in this split, in one sentence")
    group_id: str = column("first film id of the group that shares material; or the film itself")
    n_clips: int = column("number of clips")
    duration_s: float = column("total duration of the clips", "s")
    quadrant: str | None = column("most frequent quadrant of the clips; empty: not labelled")
    length: str = column("typical clip length: `short`, `middle` or `long` third of all films")


def _check(rows: Sequence[Split]) -> Iterable[str]:
    for row in rows:
        if row.split not in (None, *SPLIT_NAMES):
            yield f"film {row.film_id} is in the split {row.split!r}"
        if not row.why:
            yield f"film {row.film_id} is in its split for no reason"


SPLITS = Table(
    name="splits",
    doc="One row per film that has clips.",
    row=Split,
    version=2,
    key=("film_id",),
    check=_check,
)
