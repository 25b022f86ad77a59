"""Clips measured once each, several at a time; a record for each says what was found."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

from ossl_builder import files, parse
from ossl_builder.engine.executors import local
from ossl_builder.errors import OsslError
from ossl_builder.media.clip_metrics import ClipAudio, ClipVideo, measure_audio, measure_video

VERSION = 1
# A process takes so many clips, so that loading its decoders costs little beside them.
BATCH = 32


@dataclass(frozen=True)
class Pair:
    """The two files of a clip."""

    clip_id: str
    video: Path
    music: Path


@dataclass(frozen=True)
class Measured:
    """What decoding a clip has shown, and the hashes of its files."""

    video: ClipVideo
    music: ClipAudio
    video_sha256: str
    music_sha256: str


@dataclass(frozen=True)
class Damage:
    """Which of the two files cannot be used, `video` or `music`, and why.

    `is_crash`: the process ended over it, which another run may not.
    """

    which: str
    why: str
    is_crash: bool = False


def recorded(root: Path, pair: Pair) -> Measured | Damage | None:
    """What is known of a clip; None: nothing, or its files are others by size or date.

    Raises:
        OsslError: `media_missing`.
    """
    try:
        found = parse.json_value(_record_path(root, pair.clip_id).read_bytes())
        if found["version"] != VERSION or found["files"] != _signature(pair):
            return None
        if "why" in found:
            return Damage(found["which"], found["why"], found.get("is_crash", False))
        return Measured(ClipVideo(**found["video"]), ClipAudio(**found["music"]), *found["sha256"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def unmeasured(root: Path, pairs: Sequence[Pair]) -> list[Pair]:
    """The clips that are to be measured: new ones, changed ones, and those that crashed."""
    found = []
    for pair in pairs:
        known = recorded(root, pair)
        if known is None or (isinstance(known, Damage) and known.is_crash):
            found.append(pair)
    return found


def measure(root: Path, pairs: Sequence[Pair], n_workers: int) -> Iterator[str]:
    """Measure clips and record what was found; a run that was stopped goes on where it was.

    A clip at which a decoder crashes is damaged, and takes no other with it.

    Yields:
        The id of each clip when it is recorded.

    Raises:
        OsslError: `media_missing`.
    """
    size = min(BATCH, ceil(len(pairs) / n_workers) or 1)
    left = {pair.clip_id: pair for pair in pairs}
    batches = {
        str(start): tuple(pairs[start : start + size]) for start in range(0, len(pairs), size)
    }
    for clip_id, _ in _run(root, batches, n_workers):
        del left[clip_id]
        yield clip_id
    # What a crash has left over, each by itself: one of them was it.
    alone = {clip_id: (pair,) for clip_id, pair in left.items()}
    for clip_id, crash in _run(root, alone, n_workers, tell_crashes=True):
        if crash is not None:
            why = f"cannot be decoded: {crash}"
            _record(root, left[clip_id], {"which": "video", "why": why, "is_crash": True})
        yield clip_id


def _run(
    root: Path,
    batches: Mapping[str, tuple[Pair, ...]],
    n_workers: int,
    tell_crashes: bool = False,
) -> Iterator[tuple[str, str | None]]:
    """Clips that were recorded, and, if wanted, batches whose process crashed, with its end."""
    for said in local.run_all(partial(_measure_batch, root, batches), list(batches), n_workers):
        if isinstance(said, local.Message):
            yield said.value, None
        elif said.error is not None and said.error.code != "worker_died":
            raise said.error
        elif said.error is not None and tell_crashes:
            yield said.item_id, said.error.message


def _measure_batch(
    root: Path,
    batches: Mapping[str, tuple[Pair, ...]],
    name: str,
    send: Callable[[Any], None],
) -> None:
    """Run in a process of its own."""
    for pair in batches[name]:
        _record(root, pair, _found(pair))
        send(pair.clip_id)


def _found(pair: Pair) -> dict[str, Any]:
    try:
        video = measure_video(pair.video)
    except OsslError as error:
        return {"which": "video", "why": error.message}
    try:
        music = measure_audio(pair.music)
    except OsslError as error:
        return {"which": "music", "why": error.message}
    return {
        "video": dataclasses.asdict(video),
        "music": dataclasses.asdict(music),
        "sha256": [files.sha256_file(pair.video), files.sha256_file(pair.music)],
    }


def _record(root: Path, pair: Pair, found: dict[str, Any]) -> None:
    whole = {"version": VERSION, "files": _signature(pair), **found}
    files.write_bytes(_record_path(root, pair.clip_id), files.json_bytes(whole))


def _record_path(root: Path, clip_id: str) -> Path:
    return root / "records" / "import" / f"{clip_id}.json"


def _signature(pair: Pair) -> list[int]:
    """Size and date of both files: a file that has neither changed is not read again."""
    found = []
    for path in (pair.video, pair.music):
        try:
            seen = path.stat()
        except FileNotFoundError as error:
            raise OsslError(
                "media_missing", f"The file {path} has gone meanwhile.", "Import again."
            ) from error
        found += [seen.st_size, seen.st_mtime_ns]
    return found
