"""Clips measured once each, several at a time; a record for each says what was found."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

from ossl_builder import files, parse
from ossl_builder.engine.executors import Ended, Message
from ossl_builder.engine.executors.local import processes
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


def measure(root: Path, pairs: Sequence[Pair], n_workers: int, tell: Callable[[str], None]) -> None:
    """Measure clips and record the results; an interrupted run resumes.

    A clip that crashes a decoder is recorded as damaged; the other clips are measured.

    Args:
        tell: gets the id of each clip when it is recorded.

    Raises:
        OsslError: `media_missing`.
    """
    size = min(BATCH, ceil(len(pairs) / n_workers) or 1)
    left = {pair.clip_id: pair for pair in pairs}
    batches = {
        str(start): tuple(pairs[start : start + size]) for start in range(0, len(pairs), size)
    }

    def measured(message: Message | Ended) -> None:
        if isinstance(message, Message):
            left.pop(message.value, None)
            tell(message.value)
        elif message.error is not None and message.error.code != "worker_died":
            raise message.error

    def measured_alone(message: Message | Ended) -> None:
        error = message.error if isinstance(message, Ended) else None
        if error is not None and error.code == "worker_died":
            why = f"cannot be decoded: {error.message}"
            pair = left[message.item_id]
            _record(root, pair, {"which": "video", "why": why, "is_crash": True})
            tell(message.item_id)
        else:
            measured(message)

    processes(partial(_measure_batch, root, batches), list(batches), n_workers, measured)
    # A crash leaves the rest of its batch unmeasured. Each of these clips gets its own process, to
    # find the one that crashes.
    alone = {clip_id: (pair,) for clip_id, pair in left.items()}
    processes(partial(_measure_batch, root, alone), list(alone), n_workers, measured_alone)


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
                "media_missing", f"The file {path} no longer exists.", "Import again."
            ) from error
        found += [seen.st_size, seen.st_mtime_ns]
    return found
