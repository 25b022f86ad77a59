"""Read the format of OSSL v2: `{train,test}/{video,audio}/<movie_id>/<clip_id>.{mp4,wav}`.

Source: Kim, Novack, McAuley, Dong (arXiv 2608.11576). The release also has `metadata.csv`, a row
per film, and `splits/train.txt` and `splits/test.txt`. The format of their lines has not been
published, so this module accepts ids of films, ids of clips, and paths. It is also not known
whether the WAV contains only the music: it is used as the clip's music.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ossl_builder import parse
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

LAYOUT = "ossl-v2"
FOLDERS = {
    "train": "train",
    "test": "test",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
}
MEDIA = {"video": ".mp4", "audio": ".wav"}
MOVIE = ("movie_id", "film_id", "id")
TITLE = ("title", "movie_title", "name")
YEAR = ("year", "release_year")
Name = tuple[str, str]


@dataclass
class _Clip:
    """A clip by its files: its path for each kind, and the splits whose folders contain it."""

    paths: dict[str, str] = field(default_factory=dict)
    splits: list[str] = field(default_factory=list)


@dataclass
class _Lines:
    """The splits that the files in `splits/` assign to films and to clips."""

    movies: dict[str, list[str]] = field(default_factory=dict)
    clips: dict[Name, list[str]] = field(default_factory=dict)

    def of(self, name: Name) -> list[str]:
        return self.clips.get(name) or self.movies.get(name[0], [])


def read_v2(folder: Path) -> Found:
    """Read the contents of a release without opening media files.

    Raises:
        OsslError: `import_no_clips`, `import_unreadable`.
    """
    problems: list[Problem] = []
    clips = _read_clips(folder, problems)
    if not clips:
        raise OsslError(
            "import_no_clips",
            f"{folder} has no train/video/<movie>/<clip>.mp4, or anything like it.",
            "Give the folder of OSSL v2 that has train and test.",
        )
    lines = _read_split_lines(folder, clips, problems)
    film_rows = _read_film_rows(folder)
    films = valid_ids({movie: movie for movie, _ in clips}, FILM)
    ids = valid_ids({name: _clip_name(name, films[name[0]]) for name in clips}, CLIP)
    entries = []
    for name, clip in clips.items():
        if len(clip.paths) < len(MEDIA):
            problems.append(_missing_file(clip))
            continue
        splits = lines.of(name)
        problems += _split_problems(clip, splits, bool(lines.movies or lines.clips))
        entries.append(
            Entry(
                film_id=films[name[0]],
                clip_id=ids[name],
                video=clip.paths["video"],
                music=clip.paths["audio"],
                splits=tuple(splits or clip.splits),
            )
        )
    problems += _film_problems(film_rows, films)
    return Found(
        layout=LAYOUT,
        entries=tuple(sorted(entries, key=lambda entry: entry.clip_id)),
        films={films[movie]: _film(movie, films[movie], film_rows) for movie in films},
        problems=tuple(problems),
        notes=()
        if film_rows
        else ("There is no metadata.csv: the films' ids are used as titles.",),
    )


def _read_clips(folder: Path, problems: list[Problem]) -> dict[Name, _Clip]:
    clips: dict[Name, _Clip] = {}
    for split_folder, split in FOLDERS.items():
        for kind, ending in MEDIA.items():
            paths = (folder / split_folder / kind).glob("*/*")
            media = [path for path in paths if path.suffix.lower() == ending]
            for path, name in usable_files(folder, media, problems):
                clip = clips.setdefault((path.parent.name, path.stem), _Clip())
                clip.paths.setdefault(kind, name)
                clip.splits += [split] if split not in clip.splits else []
    return dict(sorted(clips.items()))


def _clip_name(name: Name, film_id: str) -> str:
    """Return the clip id; prefix the film id where it is not a prefix, so that ids are unique."""
    movie, clip = name
    return clip if clip.startswith((f"{movie}_", f"{movie}-")) else f"{film_id}_{clip}"


def _read_split_lines(folder: Path, clips: Mapping[Name, _Clip], problems: list[Problem]) -> _Lines:
    split_lines = _Lines()
    movies = {movie for movie, _ in clips}
    names_by_stem: dict[str, list[Name]] = {}
    for name in clips:
        names_by_stem.setdefault(name[1], []).append(name)
    for path in sorted((folder / "splits").glob("*.txt")):
        split = FOLDERS.get(path.stem)
        if split is None:
            continue
        for number, line in enumerate(_text(path).split("\n"), start=1):
            if not line.strip():
                continue
            parts = _parts(line)
            names = [(parts[0], parts[-1])] if len(parts) > 1 else []
            if len(parts) == 1 and parts[0] not in movies:
                names = names_by_stem.get(parts[0], [])
            if names and names[0] in clips and len(names) == 1:
                _add(split_lines.clips.setdefault(names[0], []), split)
            elif len(parts) == 1 and parts[0] in movies:
                _add(split_lines.movies.setdefault(parts[0], []), split)
            else:
                where = f"{path.relative_to(folder).as_posix()}, line {number}"
                problems.append(Problem(where, f"names {line.strip()!r}, which is not here"))
    return split_lines


def _text(path: Path) -> str:
    try:
        return parse.regular_bytes(path).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise OsslError(
            "import_unreadable", f"{path} cannot be read: {error}.", "Save it as text in UTF-8."
        ) from error


def _parts(line: str) -> list[str]:
    """Split a line, which can be a path, into `movie` or `clip`, or into `movie` and `clip`."""
    path = PurePosixPath(line.strip().replace("\\", "/"))
    named = path.with_suffix("") if path.suffix.lower() in MEDIA.values() else path
    return [part for part in named.parts[-2:] if part not in (*FOLDERS, *MEDIA, ".", "/")] or [""]


def _add(splits: list[str], split: str) -> None:
    if split not in splits:
        splits.append(split)


def _missing_file(clip: _Clip) -> Problem:
    ((kind, path),) = clip.paths.items()
    missing_kind = {"video": "audio", "audio": "video"}[kind]
    split, _, movie, name = PurePosixPath(path).parts
    missing_path = PurePosixPath(split, missing_kind, movie, name).with_suffix(MEDIA[missing_kind])
    return Problem(missing_path.as_posix(), f"is not here, though {path} is")


def _split_problems(clip: _Clip, splits: list[str], are_lines: bool) -> Iterator[Problem]:
    path = clip.paths["video"]
    if are_lines and not splits:
        yield Problem(path, "stands in no line under splits; its folder counts", is_used=True)
    elif splits and set(splits) != set(clip.splits):
        stated_splits = " and ".join(splits)
        yield Problem(
            path, f"is {stated_splits} by splits, which counts, and not its folder", is_used=True
        )


def _read_film_rows(folder: Path) -> dict[str, tuple[int, dict[str, str]]]:
    """Return line number and cells of each film in `metadata.csv`, by its id in that file."""
    path = folder / "metadata.csv"
    rows = read_sheet(path) if path.is_file() else []
    return {_first(cells, MOVIE) or next(iter(cells.values()), ""): (n, cells) for n, cells in rows}


def _first(cells: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((cells[name] for name in names if cells.get(name)), "")


def _film_problems(
    film_rows: Mapping[str, tuple[int, dict[str, str]]], films: Mapping[str, str]
) -> Iterator[Problem]:
    for movie, (number, _) in film_rows.items():
        if movie not in films:
            yield Problem(f"metadata.csv, line {number}", f"no clip of {movie!r} is here")
    for movie in films if film_rows else ():
        if movie not in film_rows:
            yield Problem("metadata.csv", f"has no row for {movie!r}", is_used=True)


def _film(
    movie: str, film_id: str, film_rows: Mapping[str, tuple[int, dict[str, str]]]
) -> ReleasedFilm:
    _, cells = film_rows.get(movie, (0, {}))
    year = _first(cells, YEAR).removesuffix(".0")
    return ReleasedFilm(
        film_id, movie, _first(cells, TITLE) or movie, int(year) if year.isdecimal() else None
    )
