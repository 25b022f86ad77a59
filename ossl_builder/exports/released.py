"""The layouts in which OSSL v1 and v2 were released, so that their users can move over.

Sources: Kim et al., ISMIR 2025 (arXiv 2506.12573) with its code, and arXiv 2608.11576. Both have
WAV files beside MP4 files; here the WAV holds the clip's music.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ossl_builder import csv_cells, files
from ossl_builder.exports.link_or_copy import Checked
from ossl_builder.exports.samples import FILM_COLUMNS, Sample
from ossl_builder.files import inside

# What each WAV was made from, and its own hash: a second run goes on, and writes again what has
# changed or was damaged.
PROGRESS = ".waves.json"
# Frames of audio in memory at a time.
BLOCK = 1 << 18

V1_SHEETS = {"train": "train_meta.csv", "validation": "valid_meta.csv", "test": "test_meta.csv"}
# The published code reads the first four.
V1_COLUMNS = (
    "film_id", "clip_id", "mood", "caption", "ossl_clip_id", "title", "start_s", "end_s",
    "duration_s", "verdict",
)  # fmt: skip
# The published code adds mood and caption as texts; pandas reads an empty cell as a number.
NOTHING = " "


@dataclass(frozen=True)
class Placed:
    """Where a clip goes.

    Attributes:
        sample: the clip.
        stem: path of its MP4 relative to the export, without ending.
        wave: path of its WAV, without ending.
        number: what the clip is called within its film.
    """

    sample: Sample
    stem: str
    wave: str
    number: str


def v1_places(samples: Sequence[Sample]) -> list[Placed]:
    """`<film>_<n>.mp4` and `.wav` in one folder; n counts a film's clips from 0.

    A clip that is called so already, as those of the released corpus are, keeps its number.
    """
    placed = []
    counts: dict[str, int] = {}
    in_time = sorted(samples, key=lambda one: (one.facts["film_id"], one.facts["start_s"] or 0.0))
    for sample in in_time:
        film_id = sample.facts["film_id"]
        number = str(counts.get(film_id, 0))
        counts[film_id] = counts.get(film_id, 0) + 1
        prefix, _, own = sample.clip_id.rpartition("_")
        if prefix == film_id and own.isdigit():
            number = own
        placed.append(Placed(sample, f"{film_id}_{number}", f"{film_id}_{number}", number))
    return placed


def v2_places(samples: Sequence[Sample]) -> list[Placed]:
    """`<split>/{video,audio}/<movie_id>/<clip_id>`; without splits everything is `train`."""
    return [
        Placed(
            sample,
            f"{sample.split or 'train'}/video/{sample.facts['film_id']}/{sample.clip_id}",
            f"{sample.split or 'train'}/audio/{sample.facts['film_id']}/{sample.clip_id}",
            sample.clip_id,
        )
        for sample in samples
    ]


def wave_bytes(sample: Sample) -> int:
    """Bytes that the music of a clip has as stereo WAV of 16 bits, nearly."""
    return int(sample.facts["n_samples"]) * 4


def write_waves(out: Path, placed: Sequence[Placed]) -> Iterator[Placed]:
    """Write the music of each clip as WAV, where it is not there yet.

    Yields:
        Each clip when its WAV is in place.
    """
    known = _known(out)
    done: dict[str, list[str]] = {}
    for one in placed:
        name = f"{one.wave}.wav"
        path = inside(out, name)
        music = one.sample.facts["music_sha256"]
        entry = known.get(name)
        before, wave = entry if isinstance(entry, list) else ("", "")
        if before != music or not path.is_file() or files.sha256_file(path) != wave:
            _to_wave(one.sample.file("music"), path)
            wave = files.sha256_file(path)
        done[name] = [music, wave]
        files.write_bytes(out / PROGRESS, files.json_bytes(known | done))
        yield one


def _to_wave(source: Checked, target: Path) -> None:
    """The same samples at the same rate and depth, in another box."""
    import soundfile

    with (
        files.replacing(target) as temporary,
        soundfile.SoundFile(io.BytesIO(source.read())) as audio,
        soundfile.SoundFile(
            temporary, "w", audio.samplerate, audio.channels, audio.subtype, format="WAV"
        ) as wave,
    ):
        for block in audio.blocks(BLOCK, dtype="int32", always_2d=True):
            wave.write(block)


def write_v1_sheets(out: Path, placed: Sequence[Placed]) -> dict[str, int]:
    """Write `train_meta.csv`, `valid_meta.csv` and, unlike the release, `test_meta.csv`."""
    counts = {}
    for split, name in V1_SHEETS.items():
        own = [one for one in placed if (one.sample.split or "train") == split]
        rows = [
            {
                **one.sample.facts,
                "clip_id": one.number,
                "ossl_clip_id": one.sample.clip_id,
                "mood": one.sample.facts["mood"] or NOTHING,
                "caption": one.sample.facts["caption"] or NOTHING,
            }
            for one in own
        ]
        if rows or split != "test":
            counts[name] = _write(out / name, V1_COLUMNS, rows)
    return counts


def write_v2_sheets(out: Path, placed: Sequence[Placed]) -> dict[str, int]:
    """Write `metadata.csv`, a row per film, and `splits/<split>.txt`, a line per clip."""
    films: dict[str, dict[str, Any]] = {}
    lines: dict[str, list[str]] = {"train": [], "test": []}
    for one in placed:
        facts = one.sample.facts
        split = one.sample.split or "train"
        lines.setdefault(split, []).append(f"{facts['film_id']}/{one.sample.clip_id}\n")
        film = films.setdefault(
            facts["film_id"],
            {"movie_id": facts["film_id"], "split": split, "n_clips": 0, "duration_s": 0.0}
            | {name: facts[name] for name in FILM_COLUMNS},
        )
        film["n_clips"] += 1
        film["duration_s"] = round(film["duration_s"] + facts["duration_s"], 6)
    for split, clips in lines.items():
        files.write_bytes(out / "splits" / f"{split}.txt", "".join(clips).encode())
    columns = ("movie_id", "split", "n_clips", "duration_s", *FILM_COLUMNS)
    count = _write(out / "metadata.csv", columns, list(films.values()))
    return {
        "metadata.csv": count,
        **{f"splits/{split}.txt": len(own) for split, own in lines.items()},
    }


def _write(path: Path, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> int:
    with files.replacing(path) as temporary, temporary.open("w", newline="") as stream:
        written = csv_cells.Rows(stream)
        written.add(columns)
        for row in rows:
            written.add(row[name] for name in columns)
    return len(rows)


def _known(out: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = files.read_json(out / PROGRESS) or {}
    return found
