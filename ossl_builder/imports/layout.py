"""What a released corpus holds, whatever its layout: clips, films, and what is wrong with it."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ossl_builder.engine.cells import plain
from ossl_builder.errors import OsslError


@dataclass(frozen=True)
class Entry:
    """A clip that has both its files.

    Attributes:
        film_id, clip_id: its ids in the corpus to be.
        video, music: its MP4 and WAV, relative to the folder.
        sides: every side it is named on; several where a split is faulty, none where none is said.
        mood, caption: as they stand there; empty: there is none.
    """

    film_id: str
    clip_id: str
    video: str
    music: str
    sides: tuple[str, ...] = ()
    mood: str | None = None
    caption: str | None = None


@dataclass(frozen=True)
class ReleasedFilm:
    """What a release says of a film; `name` is what it is called there."""

    film_id: str
    name: str
    title: str
    year: int | None = None


@dataclass(frozen=True)
class Problem:
    """What is missing or damaged.

    Attributes:
        path: the file, or the line of a sheet, relative to the folder.
        why: what is wrong with it.
        is_used: whether the clip is taken all the same.
    """

    path: str
    why: str
    is_used: bool = False


@dataclass(frozen=True)
class Found:
    """A released corpus as it lies there; no media file has been opened.

    Attributes:
        layout: `ossl-v1` or `ossl-v2`.
        entries: its clips, in the order of their ids.
        films: by id.
        problems: what is missing.
        notes: sentences on the whole.
    """

    layout: str
    entries: tuple[Entry, ...]
    films: Mapping[str, ReleasedFilm]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]


def read_sheet(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Line number and cells of each row; names of columns in small letters, blanks stripped.

    Raises:
        OsslError: `import_unreadable`.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines = csv.DictReader(stream)
            return [
                (
                    lines.line_num,
                    {
                        name.strip().lower(): plain((cell or "").strip())
                        for name, cell in line.items()
                        if isinstance(name, str) and not isinstance(cell, list)
                    },
                )
                for line in lines
            ]
    except (OSError, ValueError, csv.Error) as error:
        said = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise OsslError(
            "import_unreadable", f"{path} cannot be read: {said}.", "Save it as CSV in UTF-8."
        ) from error
