"""How long `ossl split` takes, and how much memory, for tables of a million clips.

The tables are made up: 10,000 films of 100 clips of 30 s, with as many hashes as such clips have,
and one film in fifty having another's music or picture.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ossl_builder.engine.manifests import ROWS_PER_GROUP
from ossl_builder.stages.fingerprints_settings import FingerprintsSettings
from ossl_builder.stages.hashing import MOMENT_BITS
from ossl_builder.tables import CLIPS, FINGERPRINTS, LABELS, Table
from ossl_builder.tables.labels import QUADRANTS
from ossl_builder.workspace import create

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
    write(folder, CLIPS, named | {"duration_s": length})
    write(folder, LABELS, named | {"quadrant": moods})
    write_fingerprints(folder, named, n_films, settings, rng)


def write(folder: Path, table: Table, columns: dict[str, pa.Array]) -> None:
    path = folder / "manifests" / f"{table.name}.parquet"
    arrow = pa.table(columns).replace_schema_metadata(table.arrow_schema().metadata)
    pq.write_table(arrow, path, compression="zstd", row_group_size=ROWS_PER_GROUP)


def write_fingerprints(
    folder: Path,
    named: dict[str, pa.Array],
    n_films: int,
    settings: FingerprintsSettings,
    rng: np.random.Generator,
) -> None:
    """Film by film a group of rows is made; every TWINS-th film shares with the one before."""
    schema = FINGERPRINTS.arrow_schema()
    path = folder / "manifests" / f"{FINGERPRINTS.name}.parquet"
    per_s = {"audio_hashes": settings.audio_per_s, "picture_hashes": settings.picture_per_s}
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


def processor_s() -> float:
    """What all commands so far took of the processors."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--films", type=int, default=10_000)
    chosen = parser.parse_args(arguments)
    folder = chosen.work / f"split-{chosen.films}"
    make_corpus(folder, chosen.films)
    command = [sys.executable, "-m", "ossl_builder.cli.main", "-C", str(folder), "split"]
    for title, extra in (("split", []), ("split again", []), ("split --check", ["--check"])):
        began, worked = time.monotonic(), processor_s()
        subprocess.run([*command, *extra], check=True, capture_output=True)
        seconds = time.monotonic() - began
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        sys.stdout.write(
            f"{title} of {chosen.films * CLIPS_PER_FILM:,} clips of {chosen.films:,} films: "
            f"{seconds:.1f} s ({processor_s() - worked:.1f} s of processor time), "
            f"peak {peak / 1e9:.2f} GB (aim: under 10 s and 1 GB)\n"
        )


if __name__ == "__main__":
    main()
