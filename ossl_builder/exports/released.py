"""Write the formats in which OSSL v1 and v2 were released, for code that reads these formats.

Sources: Kim et al., ISMIR 2025 (arXiv 2506.12573) with its code, and arXiv 2608.11576. Both have a
WAV file for each MP4 file; here the WAV file contains the clip's music.
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

# The hash of each WAV and of its source. A second run resumes, and writes again the files that
# have changed or are damaged.
PROGRESS = ".waves.json"
# Frames of audio in memory at a time.
BLOCK = 1 << 18

V1_SHEETS = {"train": "train_meta.csv", "validation": "valid_meta.csv", "test": "test_meta.csv"}
# The published code reads the first four.
V1_COLUMNS = (
    "film_id", "clip_id", "mood", "caption", "ossl_clip_id", "title", "start_s", "end_s",
    "duration_s", "verdict",
)  # fmt: skip
# The published code concatenates mood and caption; pandas would read an empty cell as a number.
NOTHING = " "


@dataclass(frozen=True)
class Placed:
    """The paths of a clip in the export.

    Attributes:
        sample: the clip.
        stem: path of its MP4 relative to the export, without suffix.
        wave: path of its WAV relative to the export, without suffix.
        number: name of the clip within its film.
    """

    sample: Sample
    stem: str
    wave: str
    number: str


def v1_places(samples: Sequence[Sample]) -> list[Placed]:
    """Return the paths `<film>_<n>.mp4` and `.wav`; n counts a film's clips from 0.

    A clip whose id already has this form keeps its number, as the clips of the released corpus do.
    """
    placed = []
    counts: dict[str, int] = {}
    in_time = sorted(
        samples, key=lambda sample: (sample.facts["film_id"], sample.facts["start_s"] or 0.0)
    )
    for sample in in_time:
        film_id = sample.facts["film_id"]
        number = str(counts.get(film_id, 0))
        counts[film_id] = counts.get(film_id, 0) + 1
        prefix, _, clip_number = sample.clip_id.rpartition("_")
        if prefix == film_id and clip_number.isdigit():
            number = clip_number
        placed.append(Placed(sample, f"{film_id}_{number}", f"{film_id}_{number}", number))
    return placed


def v2_places(samples: Sequence[Sample]) -> list[Placed]:
    """Return the paths `<split>/{video,audio}/<movie_id>/<clip_id>`; no split counts as `train`."""
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
    """Estimate the size in bytes of a clip's music as 16-bit stereo WAV."""
    return int(sample.facts["n_samples"]) * 4


def write_waves(out: Path, placed: Sequence[Placed]) -> Iterator[Placed]:
    """Write the music of each clip as WAV, unless the file is up to date.

    Yields:
        Each clip when its WAV is in place.
    """
    previous = _read_progress(out)
    done: dict[str, list[str]] = {}
    for clip in placed:
        name = f"{clip.wave}.wav"
        path = inside(out, name)
        music = clip.sample.facts["music_sha256"]
        entry = previous.get(name)
        before, wave = entry if isinstance(entry, list) else ("", "")
        if before != music or not path.is_file() or files.sha256_file(path) != wave:
            _write_wave(clip.sample.file("music"), path)
            wave = files.sha256_file(path)
        done[name] = [music, wave]
        files.write_bytes(out / PROGRESS, files.json_bytes(previous | done))
        yield clip


def _write_wave(source: Checked, target: Path) -> None:
    """Convert an audio file to WAV with the same samples, sample rate and bit depth."""
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
    """Write `train_meta.csv`, `valid_meta.csv` and `test_meta.csv` (not in the release)."""
    counts = {}
    for split, name in V1_SHEETS.items():
        split_clips = [clip for clip in placed if (clip.sample.split or "train") == split]
        rows = [
            {
                **clip.sample.facts,
                "clip_id": clip.number,
                "ossl_clip_id": clip.sample.clip_id,
                "mood": clip.sample.facts["mood"] or NOTHING,
                "caption": clip.sample.facts["caption"] or NOTHING,
            }
            for clip in split_clips
        ]
        if rows or split != "test":
            counts[name] = _write(out / name, V1_COLUMNS, rows)
    return counts


def write_v2_sheets(out: Path, placed: Sequence[Placed]) -> dict[str, int]:
    """Write `metadata.csv`, a row per film, and `splits/<split>.txt`, a line per clip."""
    films: dict[str, dict[str, Any]] = {}
    lines: dict[str, list[str]] = {"train": [], "test": []}
    for clip in placed:
        facts = clip.sample.facts
        split = clip.sample.split or "train"
        lines.setdefault(split, []).append(f"{facts['film_id']}/{clip.sample.clip_id}\n")
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
        **{f"splits/{split}.txt": len(split_lines) for split, split_lines in lines.items()},
    }


def _write(path: Path, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> int:
    with files.replacing(path) as temporary, temporary.open("w", newline="") as stream:
        writer = csv_cells.Rows(stream)
        writer.add(columns)
        for row in rows:
            writer.add(row[name] for name in columns)
    return len(rows)


def _read_progress(out: Path) -> dict[str, list[str]]:
    progress: dict[str, list[str]] = files.read_json(out / PROGRESS) or {}
    return progress
