"""Folders of audio, and their files' audio in windows that cover all of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ossl_builder.errors import OsslError, Rejected

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Mono = NDArray[np.float32]

AUDIO = frozenset({".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus", ".aac", ".aif", ".aiff"})
VIDEO = frozenset({".mp4", ".mkv", ".mov", ".webm", ".avi", ".mpg", ".mpeg", ".m4v", ".ogv"})


def files_in(folder: Path, endings: frozenset[str] = AUDIO) -> dict[str, Path]:
    """A folder's files by clip id, sorted; what is in its folders is not looked at.

    Raises:
        OsslError: `folder_missing`, `no_files`, `clip_twice`.
    """
    if not folder.is_dir():
        raise OsslError("folder_missing", f"There is no folder {folder}.", "Check its name.")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in endings or path.name.startswith("."):
            continue
        if path.stem in found:
            raise OsslError(
                "clip_twice",
                f"{folder} has {found[path.stem].name} and {path.name}: which one is meant?",
                "Leave one file for each clip.",
            )
        found[path.stem] = path
    if not found:
        raise OsslError(
            "no_files",
            f"{folder} has no files that end in {', '.join(sorted(endings))}.",
            "Name the folder that holds one file for each clip.",
        )
    return found


def mono_blocks(path: Path, rate: int) -> Iterator[Mono]:
    """A file's audio in blocks of one channel, full scale being 1.

    Args:
        path: an audio or video file.
        rate: wanted sample rate, in Hz.

    Raises:
        OsslError: `audio_unreadable`.
    """
    from ossl_builder.media.audio_reader import FilmAudio

    audio = FilmAudio(path, rate, 1)
    try:
        for block in audio.blocks():
            yield block[0]
    except (OSError, OsslError, Rejected) as error:
        raise OsslError(
            "audio_unreadable",
            f"{path.name} has no audio that can be decoded.",
            "Generate or copy it again.",
        ) from error
    if audio.damaged:
        raise OsslError(
            "audio_unreadable",
            f"{path.name} is damaged at {audio.damaged[0].start_s:.2f} s: it has a gap there, or "
            "samples that are no numbers.",
            "Generate or copy it again; a figure of it would mean nothing.",
        )


def covering_windows(blocks: Iterable[Mono], length: int) -> Iterator[Mono]:
    """Windows that together cover all samples, in order.

    The last window ends with the audio, so it overlaps the one before it. Audio that is shorter
    than a window gives one short window. Nothing is drawn at random.

    Args:
        blocks: audio of one channel.
        length: of a window, in samples.
    """
    import numpy as np

    before: Mono | None = None
    held: Mono = np.zeros(0, np.float32)
    for block in blocks:
        held = np.concatenate((held, block))
        while len(held) >= length:
            before, held = held[:length], held[length:]
            yield before
    if len(held):
        yield held if before is None else np.concatenate((before, held))[-length:]


def first_seconds(path: Path, seconds: float, rate: int) -> Mono:
    """The first `seconds` of a file, or all of it if it is shorter."""
    import numpy as np

    wanted = round(seconds * rate)
    taken: list[Mono] = []
    for block in mono_blocks(path, rate):
        taken.append(block)
        if sum(map(len, taken)) >= wanted:
            break
    return np.concatenate(taken)[:wanted] if taken else np.zeros(0, np.float32)
