"""Shards: a long row of samples in files of about one size, written once and never again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ossl_builder import __version__, files
from ossl_builder.engine.cache import MadeFiles
from ossl_builder.exports.samples import Sample

CHECKSUMS = "checksums.sha256"
# What is in place, and of which content: makes a second run go on instead of beginning again.
PROGRESS = ".shards.json"


@dataclass(frozen=True)
class Shard:
    """Some samples of one split that go into one file.

    Attributes:
        name: the file, relative to the export's folder.
        samples: what it holds.
        digest: hash of that content, by the tables; the same digest means the same bytes.
    """

    name: str
    samples: tuple[Sample, ...]
    digest: str


def plan(
    samples: Sequence[Sample], max_bytes: int, name: Callable[[str, int, int], str], version: int
) -> list[Shard]:
    """Divide samples into shards, each split for itself, in their order.

    Args:
        max_bytes: media a shard holds at most, but for one sample that is larger by itself.
        name: from split, number and count of the split's shards to the file's name.
        version: raised when the layout writes other bytes for the same samples.
    """
    shards = []
    for split in dict.fromkeys(sample.split for sample in samples):
        groups: list[list[Sample]] = [[]]
        filled = 0
        for sample in (one for one in samples if one.split == split):
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
    """Write the shards that are not there yet; remove those of an earlier plan.

    Args:
        write: writes one shard to a temporary path, which is then renamed.

    Yields:
        Each shard when it is in place.
    """
    made = _made_shards(out)
    superseded = made.names() - {shard.name for shard in shards}
    for name in superseded:
        (out / name).unlink(missing_ok=True)
    made.forget(superseded)
    for shard in shards:
        if not made.is_fresh(shard.name, shard.digest, check_bytes=True):
            with files.replacing(out / shard.name) as temporary:
                write(temporary, shard)
            made.add(shard.name, shard.digest)
            made.save()
        yield shard
    made.save()


def hashes(out: Path) -> dict[str, str]:
    """SHA-256 of each shard that is in place, by its name."""
    return _made_shards(out).checksums()


def write_checksums(out: Path, names: Sequence[str]) -> None:
    """Write `checksums.sha256` over the shards and other files of an export."""
    found = {**hashes(out), **{name: files.sha256_file(out / name) for name in names}}
    lines = [f"{found[name]}  {name}\n" for name in sorted(found)]
    files.write_bytes(out / CHECKSUMS, "".join(lines).encode())


def _made_shards(out: Path) -> MadeFiles:
    return MadeFiles(out, out / PROGRESS)
