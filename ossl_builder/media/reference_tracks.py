"""Recordings of a soundtrack in a folder: list, hash and decode them.

Time 0 of a recording is its first decoded sample, as in players, whatever delay its container
states.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ossl_builder import files
from ossl_builder.engine.cache import cached_value
from ossl_builder.errors import OsslError, Rejected
from ossl_builder.media.audio_reader import FilmAudio
from ossl_builder.media.demux import MediaFile, open_media, stream_at
from ossl_builder.media.stream_choice import inspect

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Audio = NDArray[np.float32]

KINDS = (
    ".aac", ".aif", ".aiff", ".ape", ".flac", ".m4a", ".mka", ".mp3", ".oga", ".ogg", ".opus",
    ".wav", ".wma", ".wv",
)  # fmt: skip


def names(folder: str | None) -> list[str]:
    """Return the recordings' paths, relative to the folder, with forward slashes, sorted.

    Raises:
        OsslError: `no_recordings`.
    """
    root = None if folder is None else Path(folder).expanduser()
    paths = [] if root is None else sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.suffix.lower() in KINDS and path.is_file()
    )  # fmt: skip
    if not paths:
        where = "cues.recordings names no folder" if root is None else f"{root} holds none"
        raise OsslError(
            "no_recordings",
            f"The rule `soundtrack` needs recordings, but {where}.",
            "Put the soundtrack's recordings (FLAC, MP3, Ogg, WAV …) into a folder, and give it as "
            "`--set cues.recordings=FOLDER`, or use `--set cues.rule=energy`.",
        )
    return paths


def path_of(folder: str | None, name: str) -> Path:
    """Return the path of a recording."""
    return Path(folder or ".").expanduser() / name


def fingerprint(folder: str | None) -> str | None:
    """Return the SHA-256 over the recordings' names and contents; None: there are none.

    Each file's hash is cached in the user's cache folder, with its size and modification time.
    """
    try:
        tracks = names(folder)
    except OsslError:  # the stage itself reports the error
        return None
    return files.sha256_json([[name, _sha256_of(path_of(folder, name))] for name in tracks])


def _sha256_of(path: Path) -> str:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    path, status = path.resolve(), path.stat()
    cached = f"{base}/ossl-builder/recordings/{files.sha256_json(str(path))[:16]}.json"
    key = f"{status.st_size} {status.st_mtime_ns}"
    try:
        return cached_value(Path(cached), key, lambda: files.sha256_file(path), str)
    except OSError:  # no cache can be written: each command hashes the file again
        return files.sha256_file(path)


def audio_of(folder: str | None, name: str, rate: int) -> Audio:
    """Return a recording as mono audio, [samples].

    Args:
        folder: the folder of recordings.
        name: the recording's path, relative to the folder.
        rate: sample rate of the result, in Hz.

    Raises:
        OsslError: `recording_unreadable`.
    """
    import numpy as np

    path = path_of(folder, name)
    try:
        media = inspect(path)
        if media.audio is None:
            raise Rejected("no_audio", f"{path.name} has no audio stream.")
        # Drop a cover or video, so that it does not define time 0.
        media = MediaFile(path, None, media.audio, media.has_time_jumps)
        with open_media(path) as container:
            stream = stream_at(container, media.audio, media.path.name)
            start_s = (stream.start_time or 0) * (stream.time_base or 0)
        blocks = list(FilmAudio(media, rate, 1).blocks())
    except (OsslError, Rejected) as error:
        raise OsslError(
            "recording_unreadable",
            f"The recording {path} cannot be decoded.",
            "Replace it, or remove it from the folder.",
        ) from error
    samples = np.concatenate(blocks, axis=1)[0] if blocks else np.zeros(0, np.float32)
    return samples[max(0, round(float(start_s) * rate)) :]


def each(
    folder: str | None, rate: int, progress: Callable[[float], None]
) -> Iterator[tuple[str, Audio]]:
    """Yield name and audio of each recording; call `progress` with the fraction done."""
    tracks = names(folder)
    for number, name in enumerate(tracks):
        yield name, audio_of(folder, name, rate)
        progress((number + 1) / len(tracks))
