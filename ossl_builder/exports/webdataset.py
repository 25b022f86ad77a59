"""WebDataset: tar shards in which the files of one key are one sample, and an index of them."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ossl_builder import files
from ossl_builder.exports import shards as sharding
from ossl_builder.exports.shards import Shard

VERSION = 1
MAX_BYTES = 1_000_000_000
INDEX = "index.json"


def shard_name(split: str, number: int, count: int) -> str:
    """`train-000000.tar`; without splits everything is `train`."""
    return f"{split or 'train'}-{number:06}.tar"


def write(path: Path, shard: Shard) -> None:
    """Write one tar: for each clip `<clip_id>.json`, `.mp4`, `.music.flac`, …, in one order.

    Owner, time and mode of the entries are fixed, so that equal samples give equal bytes.
    """
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for sample in shard.samples:
            key = sample.clip_id.replace(".", "_")
            told = json.dumps(sample.facts, ensure_ascii=False, sort_keys=True).encode()
            archive.addfile(_entry(f"{key}.json", len(told)), io.BytesIO(told))
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
    """Write `index.json`: for each shard its split, samples, hours, size and SHA-256."""
    hashes = sharding.hashes(out)
    entries: list[dict[str, Any]] = [
        {
            "shard": shard.name,
            "split": shard.samples[0].split,
            "samples": len(shard.samples),
            "duration_s": round(sum(one.facts["duration_s"] for one in shard.samples), 6),
            "size_bytes": (out / shard.name).stat().st_size,
            "sha256": hashes[shard.name],
            "clips": [one.clip_id for one in shard.samples],
        }
        for shard in shards
    ]
    text = json.dumps({"version": VERSION, "shards": entries}, indent=1, ensure_ascii=False)
    files.write_bytes(out / INDEX, text.encode() + b"\n")
