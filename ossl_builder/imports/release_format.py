"""What a released corpus holds, in any layout: clips, films, valid ids, and problems."""

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
    """A clip that has both its files.

    Attributes:
        film_id, clip_id: its ids in the corpus to be.
        video, music: its MP4 and WAV, relative to the folder.
        splits: every split that names it; several if the release is faulty, none if it names none.
        mood, caption: as they stand there; empty: there is none.
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


def usable_files(
    folder: Path, paths: Iterable[Path], problems: list[Problem]
) -> Iterator[tuple[Path, str]]:
    """Files that can be clips, each with its path below the folder in slashes; sorted.

    What is no regular file (a pipe would be waited for), or has a name that is no printable text
    (tables could not hold it), becomes a problem.
    """
    for path in sorted(paths):
        name = path.relative_to(folder).as_posix()
        if not name.isprintable():
            problems.append(Problem(legible(name), "has a name that is no printable text"))
        elif not path.is_file():
            problems.append(Problem(name, "is no regular file"))
        else:
            yield path, name


def read_sheet(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Line number and cells of each row; names of columns in small letters, blanks stripped.

    Raises:
        OsslError: `import_unreadable`.
    """
    try:
        text = parse.regular_bytes(path).decode("utf-8-sig")
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
        said = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise OsslError(
            "import_unreadable", f"{path} cannot be read: {said}.", "Save it as CSV in UTF-8."
        ) from error


Key = TypeVar("Key")

# A film's id names its folder, a clip's its files; white space would break lists of files.
FILM = re.compile(r"[^A-Za-z0-9-]+")
CLIP = re.compile(r"[^A-Za-z0-9._-]+")
LONGEST = {FILM: 64, CLIP: 128}
MARK = 8


def valid_ids(names: Mapping[Key, str], forbidden: re.Pattern[str]) -> dict[Key, str]:
    """An id for each thing, no two alike.

    A name that can be an id stays what it is. In others what is forbidden becomes hyphens; where
    that gives an id that is taken, or that is too long, a mark of eight digits follows it.
    """
    found: dict[Key, str] = {}
    taken: set[str] = set()
    plain = {key: forbidden.sub("-", name).strip("-._") for key, name in names.items()}
    for key in sorted(names, key=lambda key: (plain[key] != names[key], names[key], str(key))):
        wanted = plain[key]
        if not wanted or wanted in taken or len(wanted) > LONGEST[forbidden]:
            mark = hashlib.sha256(str(key).encode()).hexdigest()[:MARK]
            wanted = f"{wanted[: LONGEST[forbidden] - MARK - 1] or 'film'}-{mark}"
        taken.add(wanted)
        found[key] = wanted
    return found
