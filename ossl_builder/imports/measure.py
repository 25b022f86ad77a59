"""Measure clips in parallel, once each, and record the results."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

from ossl_builder import files
from ossl_builder.engine.cache import read_value, write_value
from ossl_builder.engine.executors import Ended, Message
from ossl_builder.engine.executors.local import processes
from ossl_builder.errors import OsslError
from ossl_builder.media.clip_metrics import ClipAudio, ClipVideo, measure_audio, measure_video

VERSION = 1
# Clips per process, so that loading the decoders takes a small part of the time.
BATCH = 32


@dataclass(frozen=True)
class Pair:
    """The two files of a clip."""

    clip_id: str
    video: Path
    music: Path


@dataclass(frozen=True)
class Measured:
    """The measurements of a decoded clip, and the hashes of its files."""

    video: ClipVideo
    music: ClipAudio
    video_sha256: str
    music_sha256: str


@dataclass(frozen=True)
class Damage:
    """The unusable file of a clip, `video` or `music`, and the reason.

    `is_crash`: the measuring process crashed; another run may succeed.
    """

    which: str
    why: str
    is_crash: bool = False


def recorded(root: Path, pair: Pair) -> Measured | Damage | None:
    """Return the recorded result of a clip; None: no record, or size or date of a file changed.

    Raises:
        OsslError: `media_missing`.
    """
    record = read_value(_record_path(root, pair.clip_id), _key(pair))
    try:
        if "why" in record:
            return Damage(record["which"], record["why"], record.get("is_crash", False))
        return Measured(
            ClipVideo(**record["video"]), ClipAudio(**record["music"]), *record["sha256"]
        )
    except (KeyError, TypeError):
        return None


def unmeasured(root: Path, pairs: Sequence[Pair]) -> list[Pair]:
    """Return the clips to measure: new clips, changed clips, and clips that crashed."""
    pending = []
    for pair in pairs:
        result = recorded(root, pair)
        if result is None or (isinstance(result, Damage) and result.is_crash):
            pending.append(pair)
    return pending


def measure(root: Path, pairs: Sequence[Pair], n_workers: int, tell: Callable[[str], None]) -> None:
    """Measure clips and record the results; an interrupted run resumes.

    A clip that crashes a decoder is recorded as damaged; the other clips are measured.

    Args:
        root: the corpus.
        pairs: the clips.
        n_workers: the number of processes.
        tell: called with the id of each clip when it is recorded.

    Raises:
        OsslError: `media_missing`.
    """
    size = min(BATCH, ceil(len(pairs) / n_workers) or 1)
    unrecorded = {pair.clip_id: pair for pair in pairs}
    batches = {
        str(start): tuple(pairs[start : start + size]) for start in range(0, len(pairs), size)
    }

    def on_message(message: Message | Ended) -> None:
        if isinstance(message, Message):
            unrecorded.pop(message.value, None)
            tell(message.value)
        elif message.error is not None and message.error.code != "worker_died":
            raise message.error

    def on_message_alone(message: Message | Ended) -> None:
        error = message.error if isinstance(message, Ended) else None
        if error is not None and error.code == "worker_died":
            why = f"cannot be decoded: {error.message}"
            pair = unrecorded[message.item_id]
            _write_record(root, pair, {"which": "video", "why": why, "is_crash": True})
            tell(message.item_id)
        else:
            on_message(message)

    processes(partial(_measure_batch, root, batches), list(batches), n_workers, on_message)
    # A crash leaves the rest of its batch unmeasured. Each of these clips gets its own process, to
    # find the one that crashes.
    alone = {clip_id: (pair,) for clip_id, pair in unrecorded.items()}
    processes(partial(_measure_batch, root, alone), list(alone), n_workers, on_message_alone)


def _measure_batch(
    root: Path,
    batches: Mapping[str, tuple[Pair, ...]],
    name: str,
    send: Callable[[Any], None],
) -> None:
    """Measure and record a batch of clips; runs in a worker process."""
    for pair in batches[name]:
        _write_record(root, pair, _measure_pair(pair))
        send(pair.clip_id)


def _measure_pair(pair: Pair) -> dict[str, Any]:
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


def _write_record(root: Path, pair: Pair, result: dict[str, Any]) -> None:
    write_value(_record_path(root, pair.clip_id), _key(pair), result)


def _record_path(root: Path, clip_id: str) -> Path:
    return root / "records" / "import" / f"{clip_id}.json"


def _key(pair: Pair) -> str:
    """Return the key of a record: version, and size and modification time of both files."""
    signature = [VERSION]
    for path in (pair.video, pair.music):
        try:
            status = path.stat()
        except FileNotFoundError as error:
            raise OsslError(
                "media_missing", f"The file {path} no longer exists.", "Import again."
            ) from error
        signature += [status.st_size, status.st_mtime_ns]
    return files.sha256_json(signature)
