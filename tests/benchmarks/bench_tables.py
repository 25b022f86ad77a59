"""Seconds and memory of commands that use only tables, for a million clips.

The tables are made up: 10,000 films of 100 clips of 30 s, with as many hashes as such clips have,
and one film in fifty having another's music or video.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ossl_builder.corpus import create
from ossl_builder.engine.tables_io import ROWS_PER_GROUP
from ossl_builder.stages.fingerprints.minhash import MOMENT_BITS
from ossl_builder.stages.fingerprints.stage import FingerprintsSettings
from ossl_builder.tables import CLIPS, FILMS, FINGERPRINTS, LABELS, Table
from ossl_builder.tables.labels import QUADRANTS
from tests.benchmarks.command_cost import ossl_cost

CLIP_S = 30
CLIPS_PER_FILM = 100
# The smallest hashes of a clip are kept, so they crowd in the lower part of the numbers.
WHAT = 2**40
TWINS = 50


def make_corpus(folder: Path, n_films: int) -> None:
    """A corpus of tables only, with the columns that `ossl split` reads."""
    if folder.exists():
        return
    create(folder)
    rng = np.random.default_rng(0)
    settings = FingerprintsSettings()
    films = np.repeat(np.arange(n_films), CLIPS_PER_FILM)
    film_ids = pa.array([f"film-{number:05d}" for number in films])
    numbers = np.tile(np.arange(CLIPS_PER_FILM), n_films)
    ids = pa.array(
        [f"film-{film:05d}_{n * 30000}-{(n + 1) * 30000}"
         for film, n in zip(films, numbers, strict=True)]
    )  # fmt: skip
    named = {"film_id": film_ids, "clip_id": ids}
    length = pa.array(rng.uniform(CLIP_S / 3, CLIP_S * 5 / 3, len(films)))
    moods = pa.array([QUADRANTS[mood] for mood in rng.integers(0, 4, len(films))])
    sources = pa.array(["none"] * len(films))
    write_whole(folder, CLIPS, named | {"duration_s": length})
    write_whole(folder, LABELS, named | {"quadrant": moods, "caption_source": sources})
    write_whole(folder, FILMS, {"film_id": pc.unique(film_ids)})
    write_fingerprints(folder, named, n_films, settings, rng)


def write_fingerprints(
    folder: Path,
    named: dict[str, pa.Array],
    n_films: int,
    settings: FingerprintsSettings,
    rng: np.random.Generator,
) -> None:
    """Make a group of rows per film; every TWINS-th film shares hashes with the one before."""
    schema = FINGERPRINTS.arrow_schema()
    path = folder / "manifests" / f"{FINGERPRINTS.name}.parquet"
    per_s = {"audio_hashes": settings.audio_per_s, "video_hashes": settings.video_per_s}
    films_at_once = ROWS_PER_GROUP // CLIPS_PER_FILM
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for first in range(0, n_films, films_at_once):
            films = min(films_at_once, n_films - first)
            rows = films * CLIPS_PER_FILM
            columns = {
                name: column.slice(first * CLIPS_PER_FILM, rows) for name, column in named.items()
            }
            for place, (name, rate) in enumerate(per_s.items()):
                each = round(rate * CLIP_S)
                what = rng.integers(0, WHAT, (rows, each))
                when = rng.integers(0, CLIP_S * 10, (rows, each))
                for film in range(1 + place, films, TWINS):
                    own = film * CLIPS_PER_FILM + 10
                    what[own, : each // 3] = what[own - CLIPS_PER_FILM, : each // 3]
                    when[own, : each // 3] = when[own - CLIPS_PER_FILM, : each // 3]
                hashes = np.sort((what << MOMENT_BITS) | when, axis=1)
                offsets = pa.array(np.arange(0, rows * each + 1, each, dtype=np.int32))
                columns[name] = pa.ListArray.from_arrays(offsets, pa.array(hashes.ravel()))
            writer.write_table(pa.table(columns, schema=schema))


def made_up(table: Table, named: dict[str, pa.Array], rng: np.random.Generator) -> pa.Table:
    """Every column of a table: hashes, paths and numbers that compress as badly as real ones."""
    n_rows = len(named["film_id"])
    columns = {}
    for field in table.arrow_schema():
        if field.name in named:
            columns[field.name] = named[field.name]
        elif field.name.endswith("sha256"):
            digits = rng.bytes(32 * n_rows).hex()
            columns[field.name] = pa.array([digits[64 * n : 64 * n + 64] for n in range(n_rows)])
        elif pa.types.is_string(field.type):
            columns[field.name] = pc.binary_join_element_wise(
                "films", named["film_id"], field.name, "/"
            )
        elif pa.types.is_boolean(field.type):
            columns[field.name] = pa.array(rng.integers(0, 2, n_rows) == 1)
        else:
            values = rng.uniform(1, 100, n_rows)
            columns[field.name] = pa.array(values).cast(field.type, safe=False)
    return pa.table(columns, schema=table.arrow_schema())


def write_whole(folder: Path, table: Table, named: dict[str, pa.Array]) -> None:
    """A table with all its columns, some rows at a time."""
    rng = np.random.default_rng(len(table.name))
    path = folder / "manifests" / f"{table.name}.parquet"
    n_rows = len(named["film_id"])
    with pq.ParquetWriter(path, table.arrow_schema(), compression="zstd") as writer:
        for first in range(0, n_rows, ROWS_PER_GROUP):
            part = {name: column.slice(first, ROWS_PER_GROUP) for name, column in named.items()}
            writer.write_table(made_up(table, part, rng))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--films", type=int, default=10_000)
    chosen = parser.parse_args(arguments)
    folder = chosen.work / f"tables-{chosen.films}"
    make_corpus(folder, chosen.films)
    out = chosen.work / "tables-exported"
    shutil.rmtree(out, ignore_errors=True)
    sys.stdout.write(
        f"{chosen.films * CLIPS_PER_FILM:,} clips of {chosen.films:,} films "
        "(aim: under 10 s and 1 GB each)\n"
    )
    for arguments in (
        ["split"],
        ["split", "--check"],
        ["stats"],
        ["export", "parquet", "--tables-only", "--allow-unverified", "--out", out],
    ):
        cost = ossl_cost(*arguments, corpus=folder)
        title = " ".join(map(str, arguments)).removesuffix(f" --out {out}")
        sys.stdout.write(
            f"  {title:<30} {cost.seconds:5.1f} s  ({cost.processor_s:4.1f} s of processor time)  "
            f"{cost.peak_mb / 1000:4.2f} GB\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
