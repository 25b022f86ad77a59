"""Write WebDataset: tar shards, in which files with one key form a sample, and an index."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ossl_builder import files
from ossl_builder.exports import shards as shard_files
from ossl_builder.exports.shards import Shard

VERSION = 1
MAX_BYTES = 1_000_000_000
INDEX = "index.json"


def shard_name(split: str, number: int, count: int) -> str:
    """Return a shard's file name, `train-000000.tar`; no split counts as `train`."""
    return f"{split or 'train'}-{number:06}.tar"


def write(path: Path, shard: Shard) -> None:
    """Write one tar file: for each clip `<clip_id>.json`, `.mp4`, `.music.flac`, …, in fixed order.

    Owner, time and mode of the entries are constant, so that equal samples give equal bytes.
    """
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for sample in shard.samples:
            key = sample.clip_id.replace(".", "_")
            facts = json.dumps(sample.facts, ensure_ascii=False, sort_keys=True).encode()
            archive.addfile(_entry(f"{key}.json", len(facts)), io.BytesIO(facts))
            for role, source in sample.media.items():
                ending = "mp4" if role == "video" else f"{role}{source.suffix}"
                data = sample.file(role).read()
                archive.addfile(_entry(f"{key}.{ending}", len(data)), io.BytesIO(data))


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size = size
    entry.mode = 0o644
    return entry


def write_index(out: Path, shards: Sequence[Shard]) -> None:
    """Write `index.json`: split, clips, duration in s, size in bytes and SHA-256 of each shard."""
    hashes = shard_files.hashes(out)
    entries: list[dict[str, Any]] = [
        {
            "shard": shard.name,
            "split": shard.samples[0].split,
            "samples": len(shard.samples),
            "duration_s": round(sum(sample.facts["duration_s"] for sample in shard.samples), 6),
            "size_bytes": (out / shard.name).stat().st_size,
            "sha256": hashes[shard.name],
            "clips": [sample.clip_id for sample in shard.samples],
        }
        for shard in shards
    ]
    text = json.dumps({"version": VERSION, "shards": entries}, indent=1, ensure_ascii=False)
    files.write_bytes(out / INDEX, text.encode() + b"\n")
