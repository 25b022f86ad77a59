"""Splits: which split each film belongs to, and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ossl_builder.tables.schema import Table, column

SPLIT_NAMES = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """The split of one film. All its clips belong to it."""

    film_id: str = column("the film")
    split: str | None = column("`train`, `validation` or `test`; empty: none, it is left out")
    why: str = column("why it stands there, in one sentence")
    group_id: str = column("the first film, by id, of those it shares material with; or itself")
    n_clips: int = column("its clips")
    duration_s: float = column("its clips' length together", "s")
    quadrant: str | None = column("most frequent quadrant of its clips; empty: not labelled")
    length: str = column("its clips' usual length: `short`, `middle` or `long`, in thirds")


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
