"""The contents of a released corpus in any format: clips, films, valid ids, and problems."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ossl_builder import parse
from ossl_builder.csv_cells import plain
from ossl_builder.errors import OsslError
from ossl_builder.net.http import legible


@dataclass(frozen=True)
class Entry:
    """A clip that has both files.

    Attributes:
        film_id, clip_id: its ids in the new corpus.
        video, music: its MP4 and WAV, relative to the release's folder.
        splits: all splits that name it; several if the release contradicts itself; can be empty.
        mood, caption: the texts of the release; None: the release has none.
    """

    film_id: str
    clip_id: str
    video: str
    music: str
    splits: tuple[str, ...] = ()
    mood: str | None = None
    caption: str | None = None


@dataclass(frozen=True)
class ReleasedFilm:
    """A film of a release; `name` is its id in the release."""

    film_id: str
    name: str
    title: str
    year: int | None = None


@dataclass(frozen=True)
class Problem:
    """A missing or damaged file, or a wrong line.

    Attributes:
        path: the file, or the line of a sheet, relative to the release's folder.
        why: the problem.
        is_used: whether the clip is imported nevertheless.
    """

    path: str
    why: str
    is_used: bool = False


@dataclass(frozen=True)
class Found:
    """The contents of a released corpus; no media file has been opened.

    Attributes:
        layout: `ossl-v1` or `ossl-v2`.
        entries: the clips, sorted by id.
        films: the films by id.
        problems: the missing files and wrong lines.
        notes: sentences about the whole release.
    """

    layout: str
    entries: tuple[Entry, ...]
    films: Mapping[str, ReleasedFilm]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]


def usable_files(
    folder: Path, paths: Iterable[Path], problems: list[Problem]
) -> Iterator[tuple[Path, str]]:
    """Yield the files that can be clips, sorted, each with its relative path with slashes.

    A file becomes a problem if it is not regular (reading a pipe would block) or if its name is
    not printable (tables cannot contain such a name).
    """
    for path in sorted(paths):
        name = path.relative_to(folder).as_posix()
        if not name.isprintable():
            problems.append(Problem(legible(name), "has a name that is no printable text"))
        elif not path.is_file():
            problems.append(Problem(name, "is no regular file"))
        else:
            yield path, name


def read_sheet(path: Path, max_bytes: int | None = None) -> list[tuple[int, dict[str, str]]]:
    """Return line number and cells of each row, with lower-case column names and stripped cells.

    Args:
        path: a CSV file in UTF-8.
        max_bytes: maximum size; None: no limit.

    Raises:
        OsslError: `import_unreadable`.
    """
    try:
        text = parse.regular_bytes(path, max_bytes).decode("utf-8-sig")
        lines = csv.DictReader(io.StringIO(text, newline=""))
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
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise OsslError(
            "import_unreadable", f"{path} cannot be read: {reason}.", "Save it as CSV in UTF-8."
        ) from error


Key = TypeVar("Key")

# A film's id names its folder, a clip's id names its files. White space would break file lists.
FILM = re.compile(r"[^A-Za-z0-9-]+")
CLIP = re.compile(r"[^A-Za-z0-9._-]+")
LONGEST = {FILM: 64, CLIP: 128}
MARK = 8


def valid_ids(names: Mapping[Key, str], forbidden: re.Pattern[str]) -> dict[Key, str]:
    """Return a unique id for each key.

    A name that is a valid id does not change. In other names, forbidden characters become
    hyphens. If the result is already used, empty or too long, a hash of eight digits is appended.
    """
    ids: dict[Key, str] = {}
    used_ids: set[str] = set()
    candidates = {key: forbidden.sub("-", name).strip("-._") for key, name in names.items()}
    for key in sorted(names, key=lambda key: (candidates[key] != names[key], names[key], str(key))):
        new_id = candidates[key]
        if not new_id or new_id in used_ids or len(new_id) > LONGEST[forbidden]:
            mark = hashlib.sha256(str(key).encode()).hexdigest()[:MARK]
            new_id = f"{new_id[: LONGEST[forbidden] - MARK - 1] or 'film'}-{mark}"
        used_ids.add(new_id)
        ids[key] = new_id
    return ids
