"""Read the format of OSSL v1: CSV sheets, and clips such as `AA_0.mp4` and `AA_0.wav`.

Source: Kim et al., ISMIR 2025 (arXiv 2506.12573), and what its published code reads: `film_id`,
`clip_id`, `mood` and `caption` of `train_meta.csv` and `valid_meta.csv`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ossl_builder.errors import OsslError
from ossl_builder.imports.release_format import (
    CLIP,
    FILM,
    Entry,
    Found,
    Problem,
    ReleasedFilm,
    read_sheet,
    usable_files,
    valid_ids,
)

LAYOUT = "ossl-v1"
# The third is written by this program. The fourth is a variant with a column `file_name` and
# without splits.
SHEETS = {
    "train_meta.csv": "train",
    "valid_meta.csv": "validation",
    "test_meta.csv": "test",
    "updated_meta.csv": "",
}
Name = tuple[str, str]


@dataclass
class _Row:
    """A clip in the sheets: its first line, the cells of that line, and all its splits."""

    where: str
    cells: dict[str, str]
    splits: list[str] = field(default_factory=list)


def read_v1(folder: Path) -> Found:
    """Read the contents of a release without opening media files.

    Raises:
        OsslError: `import_no_sheet`, `import_columns`, `import_unreadable`.
    """
    sheets = [name for name in SHEETS if (folder / name).is_file()]
    if not sheets:
        raise OsslError(
            "import_no_sheet",
            f"{folder} has none of {', '.join(SHEETS)}.",
            "Give the folder of OSSL v1 that has its CSV files and clips.",
        )
    problems: list[Problem] = []
    rows = _read_rows(folder, sheets, problems)
    films = valid_ids({film: film for film, _ in rows}, FILM)
    clips = valid_ids({name: f"{films[name[0]]}_{name[1]}" for name in rows}, CLIP)
    media = {ending: _files_by_stem(folder, ending, problems) for ending in ("mp4", "wav")}
    entries = []
    for name, row in rows.items():
        stem = "_".join(name)
        video, music = media["mp4"].get(stem), media["wav"].get(stem)
        if video is None or music is None:
            problems.append(_missing_file(stem, row, video, music))
            continue
        entries.append(
            Entry(
                film_id=films[name[0]],
                clip_id=clips[name],
                video=video,
                music=music,
                splits=tuple(row.splits),
                mood=row.cells.get("mood") or None,
                caption=row.cells.get("caption") or None,
            )
        )
    problems += _files_without_row(media, {"_".join(name) for name in rows})
    return Found(
        layout=LAYOUT,
        entries=tuple(sorted(entries, key=lambda entry: entry.clip_id)),
        films={films[film]: _film(film, films[film], rows) for film in films},
        problems=tuple(problems),
        notes=tuple(_notes(sheets)),
    )


def _read_rows(folder: Path, sheets: list[str], problems: list[Problem]) -> dict[Name, _Row]:
    """Return the clips that the sheets name."""
    rows: dict[Name, _Row] = {}
    for sheet in sheets:
        split = SHEETS[sheet]
        names_in_sheet: set[Name] = set()
        for number, cells in read_sheet(folder / sheet):
            where = f"{sheet}, line {number}"
            _check_columns(folder / sheet, cells)
            name = _row_name(cells)
            if name is None:
                problems.append(Problem(where, "names no clip"))
            elif name in names_in_sheet:
                problems.append(Problem(where, f"names {'_'.join(name)} once more", is_used=True))
            else:
                names_in_sheet.add(name)
                row = rows.setdefault(name, _Row(where, cells))
                row.splits += [split] if split else []
    return rows


def _check_columns(path: Path, cells: dict[str, str]) -> None:
    if "file_name" not in cells and not {"film_id", "clip_id"} <= cells.keys():
        raise OsslError(
            "import_columns",
            f"{path} has neither film_id and clip_id nor file_name: it has {', '.join(cells)}.",
            "Give its columns the names they had when it was released.",
        )


def _row_name(cells: dict[str, str]) -> Name | None:
    """Return film and number of a row; `0.0`, which some programs write, is read as `0`."""
    film, clip = cells.get("film_id", ""), cells.get("clip_id", "")
    if not (film and clip) and cells.get("file_name"):
        name = PurePosixPath(cells["file_name"].replace("\\", "/")).name
        film, _, clip = _without_suffix(name).rpartition("_")
    clip = clip.removeprefix(f"{film}_")
    whole = clip.removesuffix(".0")
    return (film, whole if whole.isdigit() else clip) if film and clip else None


def _without_suffix(name: str) -> str:
    return name[:-4] if name[-4:].lower() in (".mp4", ".wav") else name


def _files_by_stem(folder: Path, ending: str, problems: list[Problem]) -> dict[str, str]:
    """Return the files with a suffix, by stem; of two equal stems, the one in the upper folder."""
    paths_by_stem: dict[str, str] = {}
    paths = [path for path in folder.rglob("*") if path.suffix.lower() == f".{ending}"]
    usable = usable_files(folder, paths, problems)
    for path, name in sorted(usable, key=lambda pair: (len(pair[0].parts), pair[0])):
        paths_by_stem.setdefault(path.stem, name)
    return paths_by_stem


def _missing_file(stem: str, row: _Row, video: str | None, music: str | None) -> Problem:
    if video is None and music is None:
        return Problem(f"{stem}.mp4", f"is not here, nor {stem}.wav; {row.where} names the clip")
    if video is None:
        return Problem(f"{stem}.mp4", f"is not here, though {music} is")
    return Problem(f"{stem}.wav", f"is not here, though {video} is")


def _files_without_row(media: dict[str, dict[str, str]], named: set[str]) -> Iterator[Problem]:
    for stem in sorted((media["mp4"].keys() | media["wav"].keys()) - named):
        path = media["mp4"].get(stem) or media["wav"][stem]
        yield Problem(path, "stands in no sheet")


def _film(name: str, film_id: str, rows: dict[Name, _Row]) -> ReleasedFilm:
    titles = (row.cells.get("title") for (film, _), row in rows.items() if film == name)
    return ReleasedFilm(film_id, name, next(filter(None, titles), name))


def _notes(sheets: list[str]) -> Iterator[str]:
    if "train_meta.csv" not in sheets and "valid_meta.csv" not in sheets:
        yield "No sheet lists the clips for training: assign the films with `ossl split`."
    elif "valid_meta.csv" not in sheets:
        yield (
            "There is no valid_meta.csv, so no film is in the split validation; "
            "`ossl split --forget FILM` assigns a film anew."
        )
