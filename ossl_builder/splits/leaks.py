"""Leaks: what stands on two sides of a split, whoever made it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ossl_builder.engine.tables_io import read_arrow
from ossl_builder.errors import OsslError
from ossl_builder.splits.matches import SHARED, Match
from ossl_builder.tables import SPLITS
from ossl_builder.tables.splits import SPLIT_NAMES


@dataclass(frozen=True)
class Leak:
    """One leak.

    Attributes:
        kind: `film` (one film on two sides), `audio` or `picture` (two films share it).
        film_a: the film, or one of the two.
        side_a: where it stands.
        film_b: the other film, or the same.
        side_b: where that one stands.
        clip_a: a clip of `film_a` that shares it; empty: the whole film.
        clip_b: the one of `film_b`.
        shared: hashes that these two share.
    """

    kind: str
    film_a: str
    side_a: str
    film_b: str
    side_b: str
    clip_a: str = ""
    clip_b: str = ""
    shared: int = 0

    def sentence(self) -> str:
        """The leak in words."""
        if self.kind == "film":
            return f"{self.film_a} stands on {self.side_a} and on {self.side_b}."
        return (
            f"{self.film_a} ({self.side_a}) and {self.film_b} ({self.side_b}) share "
            f"{SHARED[self.kind]}: {self.clip_a} and {self.clip_b} have {self.shared} hashes "
            "in common."
        )


def read_splits(path: Path) -> list[tuple[str, str]]:
    """Films with their sides, as a table of any origin has them: a row per film, or per clip.

    Args:
        path: Parquet, or CSV with a head line; columns `film_id` and `side` (or `split`).

    Raises:
        OsslError: `splits_unreadable`, naming the column or the side that is wrong.
    """
    table = _read(path)
    names = table.column_names
    column = "side" if "side" in names else "split"
    lacking = [name for name in ("film_id", column) if name not in names]
    if lacking:
        raise _unreadable(path, f"it has no column {' and none '.join(lacking)}")
    pairs = table.select(["film_id", column]).group_by(["film_id", column]).aggregate([])
    found = []
    for film_id, side in zip(pairs["film_id"].to_pylist(), pairs[column].to_pylist(), strict=True):
        if side and side not in SPLIT_NAMES:
            raise _unreadable(path, f"{side!r} is none of {', '.join(SPLIT_NAMES)}")
        if side:
            found.append((str(film_id), str(side)))
    return sorted(found)


def own_splits(manifests: Path) -> list[tuple[str, str]]:
    """Films with their sides, as the corpus' own table has them.

    Raises:
        OsslError: `table_missing`, `table_version`, `splits_unreadable`.
    """
    read_arrow(manifests, SPLITS, ["film_id"])
    return read_splits(manifests / f"{SPLITS.name}.parquet")


def find_leaks(sides: Iterable[tuple[str, str]], matches: Sequence[Match]) -> tuple[Leak, ...]:
    """All leaks of a split.

    Args:
        sides: films with their sides; a film that is left out is not among them.
        matches: what films share.
    """
    stands: dict[str, list[str]] = {}
    for film_id, side in sides:
        stands.setdefault(film_id, []).append(side)
    found = [
        Leak("film", film_id, on[0], film_id, other)
        for film_id, on in sorted(stands.items())
        for other in on[1:]
    ]
    for match in matches:
        across = [
            (side_a, side_b)
            for side_a in stands.get(match.film_a, [])
            for side_b in stands.get(match.film_b, [])
            if side_a != side_b
        ]
        for side_a, side_b in across[:1]:
            found.append(
                Leak(
                    match.kind, match.film_a, side_a, match.film_b, side_b,
                    match.clip_a, match.clip_b, match.shared,
                )
            )  # fmt: skip
    return tuple(found)


def _read(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow import csv

    try:
        if path.suffix.lower() == ".csv":
            texts = {name: pa.string() for name in ("film_id", "side", "split")}
            options = csv.ConvertOptions(column_types=texts, strings_can_be_null=True)
            return csv.read_csv(path, convert_options=options)
        known = pq.read_schema(path).names
        wanted = [name for name in ("film_id", "side", "split") if name in known]
        return pq.read_table(path, columns=wanted)
    except (pa.ArrowInvalid, OSError) as error:
        raise _unreadable(path, " ".join(str(error).split())) from error


def _unreadable(path: Path, why: str) -> OsslError:
    return OsslError(
        "splits_unreadable",
        f"{path} cannot be read as a split: {why}.",
        "Give a Parquet or CSV file with the columns film_id and side.",
    )
