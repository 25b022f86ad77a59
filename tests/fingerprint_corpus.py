"""Corpora with tables and made-up fingerprints only: all that `ossl split` reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ossl_builder.engine.tables_io import write_parquet
from ossl_builder.stages.fingerprints.minhash import MOMENT_BITS
from ossl_builder.tables import CLIPS, FINGERPRINTS, LABELS, Fingerprint, Table

CLIP_S = 20.0


@dataclass
class FilmSpec:
    """A film: the lengths of its clips, and its mood.

    Attributes:
        film_id: its id; it also seeds its hashes.
        clips_s: lengths of its clips.
        quadrant: of all its clips; None: they are not labelled.
        shares: clip number to (film, clip number, kind) with which it shares hashes.
    """

    film_id: str
    clips_s: Sequence[float] = (CLIP_S, CLIP_S)
    quadrant: str | None = "Q1"
    shares: Mapping[int, tuple[str, int, str]] = field(default_factory=dict)

    def clip_id(self, number: int) -> str:
        return f"{self.film_id}_{number}"

    def hashes(self, number: int, kind: str) -> list[int]:
        """Hashes that no other clip has, with moments over its whole length."""
        seed = [*self.film_id.encode(), number, len(kind)]
        rng = np.random.default_rng(seed)
        what = rng.integers(0, 2**43, 40)
        when = rng.integers(0, round(self.clips_s[number] * 10), 40)
        return [int(value) for value in (what << MOMENT_BITS) | when]


def write_corpus(corpus: Path, films: Sequence[FilmSpec]) -> None:
    """Write or replace the tables clips, labels and fingerprints."""
    named = {film.film_id: film for film in films}
    numbered = [
        (film, number)
        for film in sorted(films, key=lambda film: film.film_id)
        for number in range(len(film.clips_s))
    ]
    ids = {
        "film_id": [film.film_id for film, _ in numbered],
        "clip_id": [film.clip_id(number) for film, number in numbered],
    }
    lengths = [film.clips_s[number] for film, number in numbered]
    write_table(corpus, CLIPS, ids | {"duration_s": lengths})
    moods = pa.array([film.quadrant for film, _ in numbered], pa.string())
    write_table(corpus, LABELS, ids | {"quadrant": moods})
    rows = []
    for film, number in numbered:
        hashes = {kind: film.hashes(number, kind) for kind in ("audio", "video")}
        if number in film.shares:
            other, place, kind = film.shares[number]
            # Half of the other clip's hashes, 3 s later.
            hashes[kind] += [value + 30 for value in named[other].hashes(place, kind)[:20]]
        found = {kind: tuple(sorted(set(values))) for kind, values in hashes.items()}
        rows.append(Fingerprint(film.film_id, film.clip_id(number), found["audio"], found["video"]))
    write_parquet(corpus / "manifests/fingerprints.parquet", FINGERPRINTS, [tuple(rows)])


def write_table(corpus: Path, table: Table, columns: Mapping[str, object]) -> None:
    """Some columns of a table, under its name and version."""
    folder = corpus / "manifests"
    folder.mkdir(parents=True, exist_ok=True)
    arrow = pa.table(dict(columns)).replace_schema_metadata(table.arrow_schema().metadata)
    pq.write_table(arrow, folder / f"{table.name}.parquet")
