"""Leaks: material that is in two splits, whoever made the splits."""

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
        kind: `film` (one film in two splits), `audio` or `frame` (two films share it).
        film_a: the film, or one of the two.
        split_a: the split it is in.
        film_b: the other film, or the same.
        split_b: the split of that film.
        clip_a: a clip of `film_a` that shares it; empty: the whole film.
        clip_b: the one of `film_b`.
        shared: hashes that these two share.
    """

    kind: str
    film_a: str
    split_a: str
    film_b: str
    split_b: str
    clip_a: str = ""
    clip_b: str = ""
    shared: int = 0

    def sentence(self) -> str:
        """The leak in words."""
        if self.kind == "film":
            return f"{self.film_a} is in {self.split_a} and in {self.split_b}."
        return (
            f"{self.film_a} ({self.split_a}) and {self.film_b} ({self.split_b}) share "
            f"{SHARED[self.kind]}: {self.clip_a} and {self.clip_b} have {self.shared} hashes "
            "in common."
        )


def read_splits(path: Path) -> list[tuple[str, str]]:
    """Films with their splits, as a table of any origin has them: a row per film, or per clip.

    Args:
        path: Parquet, or CSV with a head line; columns `film_id` and `split`.

    Raises:
        OsslError: `splits_unreadable`, naming the column or the split that is wrong.
    """
    table = _read(path)
    names = table.column_names
    lacking = [name for name in ("film_id", "split") if name not in names]
    if lacking:
        raise _unreadable(path, f"it has no column {' and none '.join(lacking)}")
    pairs = table.group_by(["film_id", "split"]).aggregate([])
    found = []
    columns = (pairs[name].to_pylist() for name in ("film_id", "split"))
    for film_id, split in zip(*columns, strict=True):
        if split and split not in SPLIT_NAMES:
            raise _unreadable(path, f"{split!r} is none of {', '.join(SPLIT_NAMES)}")
        if split:
            found.append((str(film_id), str(split)))
    return sorted(found)


def own_splits(manifests: Path) -> list[tuple[str, str]]:
    """Films with their splits, as the corpus' own table has them.

    Raises:
        OsslError: `table_missing`, `table_version`, `splits_unreadable`.
    """
    read_arrow(manifests, SPLITS, ["film_id"])
    return read_splits(manifests / f"{SPLITS.name}.parquet")


def find_leaks(splits: Iterable[tuple[str, str]], matches: Sequence[Match]) -> tuple[Leak, ...]:
    """All leaks of a split.

    Args:
        splits: films with their splits; a film that is left out is not among them.
        matches: what films share.
    """
    stands: dict[str, list[str]] = {}
    for film_id, split in splits:
        stands.setdefault(film_id, []).append(split)
    found = [
        Leak("film", film_id, on[0], film_id, other)
        for film_id, on in sorted(stands.items())
        for other in on[1:]
    ]
    for match in matches:
        across = [
            (split_a, split_b)
            for split_a in stands.get(match.film_a, [])
            for split_b in stands.get(match.film_b, [])
            if split_a != split_b
        ]
        for split_a, split_b in across[:1]:
            found.append(
                Leak(
                    match.kind, match.film_a, split_a, match.film_b, split_b,
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
            texts = {name: pa.string() for name in ("film_id", "split")}
            options = csv.ConvertOptions(column_types=texts, strings_can_be_null=True)
            return csv.read_csv(path, convert_options=options)
        known = pq.read_schema(path).names
        wanted = [name for name in ("film_id", "split") if name in known]
        return pq.read_table(path, columns=wanted)
    except (pa.ArrowInvalid, OSError) as error:
        raise _unreadable(path, " ".join(str(error).split())) from error


def _unreadable(path: Path, why: str) -> OsslError:
    return OsslError(
        "splits_unreadable",
        f"{path} cannot be read as a split: {why}.",
        "Give a Parquet or CSV file with the columns film_id and split.",
    )
