"""A folder of recordings: which there are, what they hold, what they sound like.

A recording's time begins with its first decoded sample, as players count, whatever delay its
container notes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from ossl_builder import files, parse
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
    """Paths of the recordings, relative to the folder, with forward slashes, sorted.

    Raises:
        OsslError: `no_recordings`.
    """
    place = None if folder is None else Path(folder).expanduser()
    found = [] if place is None else sorted(
        path.relative_to(place).as_posix()
        for path in place.rglob("*")
        if path.suffix.lower() in KINDS and path.is_file()
    )  # fmt: skip
    if not found:
        where = "cues.recordings names no folder" if place is None else f"{place} holds none"
        raise OsslError(
            "no_recordings",
            f"The rule `soundtrack` needs recordings, but {where}.",
            "Put the soundtrack's recordings (FLAC, MP3, Ogg, WAV …) into a folder, and give it as "
            "`--set cues.recordings=FOLDER`, or use `--set cues.rule=energy`.",
        )
    return found


def path_of(folder: str | None, name: str) -> Path:
    """Where a recording lies."""
    return Path(folder or ".").expanduser() / name


def fingerprint(folder: str | None) -> str | None:
    """SHA-256 over the recordings' names and contents; None if there are none.

    Each file's hash is remembered, in the user's cache, with its size and time of change.
    """
    try:
        found = names(folder)
    except OsslError:  # whoever runs the stage tells why
        return None
    place = Path(folder or ".").expanduser().resolve()
    memory = _cache() / f"{sha256(str(place).encode()).hexdigest()[:16]}.json"
    known = _remembered(memory)
    seen = {}
    for name in found:
        status = (place / name).stat()
        entry = known.get(name, ["", 0, 0])
        if entry[1:] != [status.st_size, status.st_mtime_ns]:
            entry = [files.sha256_file(place / name), status.st_size, status.st_mtime_ns]
        seen[name] = entry
    if seen != known:
        _remember(memory, seen)
    return files.sha256_json([[name, seen[name][0]] for name in found])


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "ossl-builder" / "recordings"


def _remembered(memory: Path) -> dict[str, list[str | int]]:
    try:
        found = parse.json_value(memory.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _remember(memory: Path, seen: dict[str, list[str | int]]) -> None:
    try:
        files.write_bytes(memory, files.json_bytes(seen))
    except OSError:  # without a cache each command hashes again
        return


def audio_of(folder: str | None, name: str, rate: int) -> Audio:
    """A recording as mono audio, [samples].

    Args:
        rate: sample rate wanted, in Hz.

    Raises:
        OsslError: `recording_unreadable`.
    """
    import numpy as np

    path = path_of(folder, name)
    try:
        media = inspect(path)
        if media.audio is None:
            raise Rejected("no_audio", f"{path.name} has no audio stream.")
        # A cover or a video beside the audio has no say in when a recording begins.
        media = MediaFile(path, None, media.audio, media.has_time_jumps)
        with open_media(path) as container:
            stream = stream_at(container, media.audio, media.path.name)
            begins = (stream.start_time or 0) * (stream.time_base or 0)
        blocks = list(FilmAudio(media, rate, 1).blocks())
    except (OsslError, Rejected) as error:
        raise OsslError(
            "recording_unreadable",
            f"The recording {path} cannot be decoded.",
            "Replace it, or remove it from the folder.",
        ) from error
    whole = np.concatenate(blocks, axis=1)[0] if blocks else np.zeros(0, np.float32)
    return whole[max(0, round(float(begins) * rate)) :]


def each(
    folder: str | None, rate: int, heard: Callable[[float], None]
) -> Iterator[tuple[str, Audio]]:
    """Name and audio of each recording, one in memory at a time; tells the part done."""
    found = names(folder)
    for number, name in enumerate(found):
        yield name, audio_of(folder, name, rate)
        heard((number + 1) / len(found))
