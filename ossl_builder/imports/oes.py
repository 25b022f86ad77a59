"""Read OES, an evaluation set of OSSL v1: `meta.csv`, and `<number>_music.wav` for each row.

Known of its layout (Kim et al., ISMIR 2025, and what its published code reads): the columns `mood`
and `caption`, the music, and `<number>.pt`, features of the published code. The features are
pickles and are never opened. Not known: whether a column names the clip, whether numbers start at
0 or 1, and how videos are named. So this module accepts several forms, and says what it assumed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ossl_builder.errors import OsslError
from ossl_builder.imports.eval_set import (
    AUDIO,
    MOST_BYTES,
    VIDEO,
    EvalEntry,
    FoundSet,
    changed_names,
    short_text,
)
from ossl_builder.imports.release_format import (
    CLIP,
    FILM,
    Problem,
    read_sheet,
    usable_files,
    valid_ids,
)

LAYOUT = "oes"
SHEET = "meta.csv"
MUSIC = "_music"
# Columns that can name the clip. pandas writes its row numbers into a column without a name.
NAMES = ("clip_id", "id", "index", "file_name", "")
FILMS = ("film_id", "movie_id", "film", "movie")
NUMBER = re.compile(r"\d{1,9}")
Row = tuple[int, Mapping[str, str]]


def read_oes(folder: Path) -> FoundSet:
    """Read the contents of OES without opening media files or features.

    Raises:
        OsslError: `import_no_sheet`, `import_unreadable`, `import_no_clips`.
    """
    if not (folder / SHEET).is_file():
        raise OsslError(
            "import_no_sheet",
            f"{folder} has no {SHEET}.",
            "Give the folder of OES that has meta.csv and 0_music.wav.",
        )
    problems: list[Problem] = []
    music = _stems(folder, AUDIO, MUSIC, problems)
    if not music:
        raise OsslError(
            "import_no_clips",
            f"{folder} has no music such as 0_music.wav.",
            "Give the folder of OES that has meta.csv and 0_music.wav.",
        )
    videos = _stems(folder, VIDEO, "_video", problems) | _stems(folder, VIDEO, "", problems)
    rows, note = _rows_of(read_sheet(folder / SHEET, MOST_BYTES), list(music), problems)
    ids = valid_ids({stem: stem for stem in music}, CLIP)
    films = {
        stem: next(filter(None, map(cells.get, FILMS)), "") for stem, (_, cells) in rows.items()
    }
    film_ids = valid_ids({film: film for film in films.values() if film}, FILM)
    entries = []
    for stem, path in music.items():
        number, cells = rows.get(stem, (0, {}))
        where = f"{SHEET}, line {number}"
        if not number:
            problems.append(Problem(path, f"has no row in {SHEET}: it has no text", is_used=True))
        entries.append(
            EvalEntry(
                clip_id=ids[stem],
                music=path,
                video=videos.get(stem),
                film_id=film_ids.get(films.get(stem, "")),
                mood=short_text(cells.get("mood", ""), where, problems),
                caption=short_text(cells.get("caption", ""), where, problems),
            )
        )
    n_without = sum(entry.video is None for entry in entries)
    notes = [note, *changed_names(ids)]
    if n_without:
        notes.append(
            f"{n_without} of {len(entries)} clips have no video (0.mp4 or 0_video.mp4): music can "
            "be generated for them only without an adapter."
        )
    if not film_ids:
        notes.append("It is not known which clips are of one film.")
    return FoundSet(
        LAYOUT,
        tuple(sorted(entries, key=lambda entry: entry.clip_id)),
        tuple(problems),
        tuple(notes),
    )


def _stems(
    folder: Path, endings: tuple[str, ...], mark: str, problems: list[Problem]
) -> dict[str, str]:
    """Return the files with these suffixes, by what stands before the mark, numbers by size."""
    paths = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in endings and path.stem.endswith(mark) and path.name[0] != "."
    ]
    stems: dict[str, str] = {}
    for path, name in usable_files(folder, paths, problems):
        stem = path.stem[: len(path.stem) - len(mark)]
        if stem in stems:
            problems.append(Problem(name, f"is of the same clip as {stems[stem]}"))
        elif stem:
            stems[stem] = name
    return {stem: stems[stem] for stem in sorted(stems, key=_order)}


def _order(stem: str) -> tuple[bool, int, str]:
    is_number = bool(NUMBER.fullmatch(stem))
    return (not is_number, int(stem) if is_number else 0, stem)


def _rows_of(
    lines: list[tuple[int, dict[str, str]]], stems: list[str], problems: list[Problem]
) -> tuple[dict[str, Row], str]:
    """Return the row of each clip, and a sentence on how they were matched.

    A column matches if it names every file once. Else rows have the order of the files.
    """
    for column in NAMES:
        named = {_stem(cells.get(column, "")): (line, cells) for line, cells in lines}
        if named.keys() >= set(stems) and len(named) == len(lines):
            extra = [line for stem, (line, _) in named.items() if stem not in stems]
            problems += [Problem(f"{SHEET}, line {line}", "names music that is not here")
                         for line in extra]  # fmt: skip
            shown = f"column {column!r}" if column else "first column"
            return {stem: named[stem] for stem in stems}, f"Its {shown} names the clips."
    numbers = [int(stem) for stem in stems if NUMBER.fullmatch(stem)]
    first = 1 if 0 not in numbers and len(lines) in numbers else 0
    rows: dict[str, Row] = {}
    for position, (line, cells) in enumerate(lines, start=first):
        stem = next((one for one in stems if NUMBER.fullmatch(one) and int(one) == position), None)
        if stem is None:
            problems.append(Problem(f"{SHEET}, line {line}", f"has no music {position}{MUSIC}.wav"))
        else:
            rows[stem] = line, cells
    return rows, f"No column of {SHEET} names the clips: its first row is taken as that of {first}."


def _stem(cell: str) -> str:
    name = cell.replace("\\", "/").rpartition("/")[2]
    for ending in (*AUDIO, *VIDEO, ".pt"):
        name = name.removesuffix(ending)
    return name.removesuffix(".0").removesuffix(MUSIC)
