"""Read folders of audio files, and audio in windows that cover the whole file."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence
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
    """Return the files of a folder by clip id, sorted; subfolders are ignored.

    Raises:
        OsslError: `folder_missing`, `no_files`, `clip_twice`.
    """
    if not folder.is_dir():
        raise OsslError("folder_missing", f"There is no folder {folder}.", "Check the path.")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in endings or path.name.startswith("."):
            continue
        if path.stem in files:
            raise OsslError(
                "clip_twice",
                f"{folder} has {files[path.stem].name} and {path.name} for one clip.",
                "Keep one file for each clip.",
            )
        files[path.stem] = path
    if not files:
        raise OsslError(
            "no_files",
            f"{folder} has no files that end in {', '.join(sorted(endings))}.",
            "Give a folder with one file for each clip.",
        )
    return files


def system_names(folders: Sequence[Path], taken: Collection[str] = ()) -> list[str]:
    """Name folders by the shortest ends of their paths that differ.

    Args:
        folders: a folder for each system.
        taken: names that no folder may have.

    Raises:
        OsslError: `name_twice`, if a folder is given twice.
    """
    resolved = [folder.resolve() for folder in folders]
    for index, folder in enumerate(resolved):
        if folder in resolved[:index]:
            raise OsslError(
                "name_twice",
                f"The folder {folders[index]} is given twice.",
                "Give the folder of each system once.",
            )
    for length in itertools.count(1):
        names = ["/".join(folder.parts[-length:]) for folder in resolved]
        if len(set(names)) == len(names) and not set(names) & set(taken):
            break
    return names


def mono_blocks(path: Path, rate: int) -> Iterator[Mono]:
    """Yield the audio of a file in mono blocks, full scale 1.

    Args:
        path: an audio or video file.
        rate: sample rate of the blocks, in Hz.

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
            "Generate or copy the file again.",
        ) from error
    if audio.damaged:
        raise OsslError(
            "audio_unreadable",
            f"{path.name} is damaged at {audio.damaged[0].start_s:.2f} s: there is a gap, or "
            "samples are not finite numbers.",
            "Generate or copy the file again.",
        )


def covering_windows(blocks: Iterable[Mono], length: int) -> Iterator[Mono]:
    """Yield windows that together cover all samples, in order.

    The last window ends with the audio, so it overlaps the one before it. Audio that is shorter
    than a window is one short window. Nothing is random.

    Args:
        blocks: audio of one channel.
        length: of a window, in samples.
    """
    import numpy as np

    before: Mono | None = None
    buffered: Mono = np.zeros(0, np.float32)
    for block in blocks:
        buffered = np.concatenate((buffered, block))
        while len(buffered) >= length:
            before, buffered = buffered[:length], buffered[length:]
            yield before
    if len(buffered):
        yield buffered if before is None else np.concatenate((before, buffered))[-length:]


def first_seconds(path: Path, seconds: float, rate: int) -> Mono:
    """Return the first `seconds` of a file, or all of it if it is shorter."""
    import numpy as np

    wanted = round(seconds * rate)
    parts: list[Mono] = []
    for block in mono_blocks(path, rate):
        parts.append(block)
        if sum(map(len, parts)) >= wanted:
            break
    return np.concatenate(parts)[:wanted] if parts else np.zeros(0, np.float32)
