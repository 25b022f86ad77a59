"""Write the page on which systems are compared by ear; it needs no network and no other script."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from ossl_builder import __version__, files
from ossl_builder.errors import OsslError
from ossl_builder.report import stem_comparison
from ossl_builder.templates import html_renderer

TEMPLATES = Path(__file__).with_name("templates")
PAGE = "systems.html"
LARGEST_PAGE = 400_000_000
"""Bytes of a page with its media in it: browsers do not open much larger ones."""
SCRIPT = "<script>"
READ = 3 << 18
"""Bytes that are encoded at a time; a multiple of 3, so that base64 needs no padding between."""
TYPES = {".flac": "audio/flac", ".mp4": "video/mp4"}


@dataclass(frozen=True)
class System:
    """A column of the comparison.

    Attributes:
        name: what the button shows.
        note: a fact about it, for the top of the page; may be empty.
    """

    name: str
    note: str = ""


@dataclass(frozen=True)
class Sound:
    """The music of one system for one clip.

    Attributes:
        system: name of the system.
        file: FLAC; all files of a clip have the same loudness and length.
        lufs: loudness before that, in LUFS; None: silent.
    """

    system: str
    file: Path
    lufs: float | None


@dataclass(frozen=True)
class ComparedClip:
    """A clip, or a part of it, with the music of the systems.

    Attributes:
        name, title: its name, and the title of its film.
        prompts: the texts that the music was generated from.
        video: an MP4.
        start_s: where the music begins in the video, in seconds.
        sounds: in the order of the systems; a system can be missing.
    """

    name: str
    title: str
    prompts: tuple[str, ...]
    video: Path
    start_s: float
    sounds: tuple[Sound, ...]

    @property
    def media(self) -> list[Path]:
        """The files that the page plays."""
        return [self.video, *(sound.file for sound in self.sounds)]


def write_page(
    path: Path,
    title: str,
    systems: Sequence[System],
    clips: Sequence[ComparedClip],
    *,
    embeds: bool,
) -> None:
    """Write the page.

    Args:
        path: the page; it is replaced atomically.
        title: its title.
        systems: all systems, in the order of the keys.
        clips: in the order of the page.
        embeds: write the media into the page itself. Else it refers to them by relative URLs.

    Raises:
        OsslError: `page_too_large`, `disk_full`.
    """
    media = dict.fromkeys(file for clip in clips for file in clip.media) if embeds else {}
    ids = {file: f"m{number}" for number, file in enumerate(media)}
    check_size(ids)
    numbers = {system.name: number for number, system in enumerate(systems, start=1)}
    values = {
        "builder": __version__,
        "title": title,
        "systems": systems,
        "clips": [_clip_values(clip, numbers, ids, path.parent) for clip in clips],
    }
    text = html_renderer(TEMPLATES, stem_comparison.TEMPLATES)(PAGE, values)
    # The media are written before the script, which runs as soon as it is read.
    head, script, tail = text.rpartition(SCRIPT)
    with (
        files.explained_full_disk(path.parent),
        files.replacing(path) as temporary,
        temporary.open("wb") as page,
    ):
        page.write(head.encode())
        for file, name in ids.items():
            _write_media(page, file, name)
        page.write((script + tail).encode())


def _clip_values(
    clip: ComparedClip, numbers: dict[str, int], ids: dict[Path, str], folder: Path
) -> dict[str, Any]:
    return {
        "name": clip.name,
        "title": clip.title,
        "prompts": clip.prompts,
        "start_s": f"{clip.start_s:.4f}",
        "video": _place(clip.video, ids, folder),
        "sounds": [
            {
                "system": sound.system,
                "number": numbers[sound.system],
                "lufs": sound.lufs,
                **_place(sound.file, ids, folder),
            }
            for sound in clip.sounds
        ],
    }


def _place(file: Path, ids: dict[Path, str], folder: Path) -> dict[str, str]:
    """Return where the page finds a file: the id of an element, or a relative URL."""
    if file in ids:
        return {"id": ids[file], "url": ""}
    return {"id": "", "url": quote(Path(os.path.relpath(file, folder)).as_posix())}


def _write_media(page: BinaryIO, file: Path, name: str) -> None:
    kind = TYPES[file.suffix]
    page.write(f'<script type="text/plain" id="{name}" data-type="{kind}">'.encode())
    for part in _parts(file):
        page.write(base64.b64encode(part))
    page.write(b"</script>\n")


def _parts(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while part := stream.read(READ):
            yield part


def check_size(media: Iterable[Path]) -> None:
    """Check that a page can have these files in it.

    Raises:
        OsslError: `page_too_large`.
    """
    size = sum(file.stat().st_size for file in media) * 4 // 3
    if size > LARGEST_PAGE:
        raise OsslError(
            "page_too_large",
            f"The page would have {size / 1e6:.0f} MB, and browsers open at most "
            f"{LARGEST_PAGE / 1e6:.0f} MB.",
            "Use fewer --clips.",
        )
