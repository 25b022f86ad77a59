"""Divide samples into shards of similar size, and write only the shards that have changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ossl_builder import __version__, files
from ossl_builder.engine.cache import MadeFiles
from ossl_builder.exports.samples import Sample

CHECKSUMS = "checksums.sha256"
# The finished shards with the digests of their content, so that a second run resumes.
PROGRESS = ".shards.json"


@dataclass(frozen=True)
class Shard:
    """Samples of one split that are written into one file.

    Attributes:
        name: the file, relative to the export's folder.
        samples: the samples in the file.
        digest: hash of the samples' table values; equal digests mean equal bytes.
    """

    name: str
    samples: tuple[Sample, ...]
    digest: str


def plan(
    samples: Sequence[Sample], max_bytes: int, name: Callable[[str, int, int], str], version: int
) -> list[Shard]:
    """Divide samples into shards, separately for each split, in their order.

    Args:
        samples: the samples.
        max_bytes: the largest media size of a shard; a single larger sample gets its own shard.
        name: makes the file name from split, shard number and number of shards of the split.
        version: version of the format; raised when equal samples are written as other bytes.
    """
    shards = []
    for split in dict.fromkeys(sample.split for sample in samples):
        groups: list[list[Sample]] = [[]]
        filled = 0
        for sample in (candidate for candidate in samples if candidate.split == split):
            size = sample.size_bytes()
            if groups[-1] and filled + size > max_bytes:
                groups.append([])
                filled = 0
            groups[-1].append(sample)
            filled += size
        shards += [
            Shard(name(split, number, len(groups)), tuple(group), _digest(group, version))
            for number, group in enumerate(groups)
        ]
    return shards


def _digest(samples: Sequence[Sample], version: int) -> str:
    facts = [[sample.facts, sorted(sample.media)] for sample in samples]
    return files.sha256_json([version, __version__, facts])


def write_all(
    out: Path, shards: Sequence[Shard], write: Callable[[Path, Shard], None]
) -> Iterator[Shard]:
    """Write the shards that are not up to date; remove those of an earlier plan.

    Args:
        out: the export's folder.
        shards: the planned shards.
        write: writes one shard to a temporary path, which is then renamed.

    Yields:
        Each shard when it is in place.
    """
    made_files = _shard_records(out)
    superseded = made_files.names() - {shard.name for shard in shards}
    for name in superseded:
        (out / name).unlink(missing_ok=True)
    made_files.forget(superseded)
    for shard in shards:
        if not made_files.is_fresh(shard.name, shard.digest, check_bytes=True):
            with files.replacing(out / shard.name) as temporary:
                write(temporary, shard)
            made_files.add(shard.name, shard.digest)
            made_files.save()
        yield shard
    made_files.save()


def hashes(out: Path) -> dict[str, str]:
    """Return the SHA-256 of each finished shard, by its name."""
    return _shard_records(out).checksums()


def write_checksums(out: Path, names: Sequence[str]) -> None:
    """Write `checksums.sha256` for the shards and the other files of an export."""
    checksums = {**hashes(out), **{name: files.sha256_file(out / name) for name in names}}
    lines = [f"{checksums[name]}  {name}\n" for name in sorted(checksums)]
    files.write_bytes(out / CHECKSUMS, "".join(lines).encode())


def _shard_records(out: Path) -> MadeFiles:
    return MadeFiles(out, out / PROGRESS)
