"""The layout of OSSL v2: `{train,test}/{video,audio}/<movie_id>/<clip_id>.{mp4,wav}`.

Source: Kim, Novack, McAuley, Dong (arXiv 2608.11576). Beside the folders stand `metadata.csv`, a
row per film, and `splits/train.txt` and `splits/test.txt`; what a line of these is has not been
published, so ids of films, ids of clips and paths are all understood. Nor is it known whether the
WAV holds the music alone: it is taken for the clip's music.
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
    """A clip by its files: path by kind, and the splits whose folders hold it."""

    paths: dict[str, str] = field(default_factory=dict)
    splits: list[str] = field(default_factory=list)


@dataclass
class _Lines:
    """Splits that the lines under `splits/` give to films and to clips."""

    movies: dict[str, list[str]] = field(default_factory=dict)
    clips: dict[Name, list[str]] = field(default_factory=dict)

    def of(self, name: Name) -> list[str]:
        return self.clips.get(name) or self.movies.get(name[0], [])


def read_v2(folder: Path) -> Found:
    """See what is there, without opening media.

    Raises:
        OsslError: `import_no_clips`, `import_unreadable`.
    """
    problems: list[Problem] = []
    clips = _clips(folder, problems)
    if not clips:
        raise OsslError(
            "import_no_clips",
            f"{folder} has no train/video/<movie>/<clip>.mp4, or anything like it.",
            "Give the folder of OSSL v2 that has train and test.",
        )
    lines = _lines(folder, clips, problems)
    stated = _stated(folder)
    films = valid_ids({movie: movie for movie, _ in clips}, FILM)
    ids = valid_ids({name: _clip_name(name, films[name[0]]) for name in clips}, CLIP)
    entries = []
    for name, clip in clips.items():
        if len(clip.paths) < len(MEDIA):
            problems.append(_missing(clip))
            continue
        splits = lines.of(name)
        problems += _disagreement(clip, splits, bool(lines.movies or lines.clips))
        entries.append(
            Entry(
                film_id=films[name[0]],
                clip_id=ids[name],
                video=clip.paths["video"],
                music=clip.paths["audio"],
                splits=tuple(splits or clip.splits),
            )
        )
    problems += _of_films(stated, films)
    return Found(
        layout=LAYOUT,
        entries=tuple(sorted(entries, key=lambda one: one.clip_id)),
        films={films[movie]: _film(movie, films[movie], stated) for movie in films},
        problems=tuple(problems),
        notes=() if stated else ("There is no metadata.csv: ids stand for the films' titles.",),
    )


def _clips(folder: Path, problems: list[Problem]) -> dict[Name, _Clip]:
    found: dict[Name, _Clip] = {}
    for split_folder, split in FOLDERS.items():
        for kind, ending in MEDIA.items():
            every = (folder / split_folder / kind).glob("*/*")
            media = [path for path in every if path.suffix.lower() == ending]
            for path, name in usable_files(folder, media, problems):
                clip = found.setdefault((path.parent.name, path.stem), _Clip())
                clip.paths.setdefault(kind, name)
                clip.splits += [split] if split not in clip.splits else []
    return dict(sorted(found.items()))


def _clip_name(name: Name, film_id: str) -> str:
    """A clip's own id, after its film's where it does not begin with that: ids are unique here."""
    movie, clip = name
    return clip if clip.startswith((f"{movie}_", f"{movie}-")) else f"{film_id}_{clip}"


def _lines(folder: Path, clips: Mapping[Name, _Clip], problems: list[Problem]) -> _Lines:
    found = _Lines()
    movies = {movie for movie, _ in clips}
    of_stem: dict[str, list[Name]] = {}
    for name in clips:
        of_stem.setdefault(name[1], []).append(name)
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
                names = of_stem.get(parts[0], [])
            if names and names[0] in clips and len(names) == 1:
                _add(found.clips.setdefault(names[0], []), split)
            elif len(parts) == 1 and parts[0] in movies:
                _add(found.movies.setdefault(parts[0], []), split)
            else:
                where = f"{path.relative_to(folder).as_posix()}, line {number}"
                problems.append(Problem(where, f"names {line.strip()!r}, which is not here"))
    return found


def _text(path: Path) -> str:
    try:
        return parse.regular_bytes(path).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise OsslError(
            "import_unreadable", f"{path} cannot be read: {error}.", "Save it as text in UTF-8."
        ) from error


def _parts(line: str) -> list[str]:
    """`movie` or `clip`, or `movie` and `clip`, of a line, which may be a whole path."""
    path = PurePosixPath(line.strip().replace("\\", "/"))
    named = path.with_suffix("") if path.suffix.lower() in MEDIA.values() else path
    return [part for part in named.parts[-2:] if part not in (*FOLDERS, *MEDIA, ".", "/")] or [""]


def _add(splits: list[str], split: str) -> None:
    if split not in splits:
        splits.append(split)


def _missing(clip: _Clip) -> Problem:
    ((kind, path),) = clip.paths.items()
    other = {"video": "audio", "audio": "video"}[kind]
    split, _, movie, name = PurePosixPath(path).parts
    lacking = PurePosixPath(split, other, movie, name).with_suffix(MEDIA[other])
    return Problem(lacking.as_posix(), f"is not here, though {path} is")


def _disagreement(clip: _Clip, splits: list[str], are_lines: bool) -> Iterator[Problem]:
    path = clip.paths["video"]
    if are_lines and not splits:
        yield Problem(path, "stands in no line under splits; its folder counts", is_used=True)
    elif splits and set(splits) != set(clip.splits):
        said = " and ".join(splits)
        yield Problem(path, f"is {said} by splits, which counts, and not its folder", is_used=True)


def _stated(folder: Path) -> dict[str, tuple[int, dict[str, str]]]:
    """Line and cells of each film in `metadata.csv`, by its id there."""
    path = folder / "metadata.csv"
    rows = read_sheet(path) if path.is_file() else []
    return {_first(cells, MOVIE) or next(iter(cells.values()), ""): (n, cells) for n, cells in rows}


def _first(cells: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((cells[name] for name in names if cells.get(name)), "")


def _of_films(
    stated: Mapping[str, tuple[int, dict[str, str]]], films: Mapping[str, str]
) -> Iterator[Problem]:
    for movie, (number, _) in stated.items():
        if movie not in films:
            yield Problem(f"metadata.csv, line {number}", f"no clip of {movie!r} is here")
    for movie in films if stated else ():
        if movie not in stated:
            yield Problem("metadata.csv", f"has no row for {movie!r}", is_used=True)


def _film(
    movie: str, film_id: str, stated: Mapping[str, tuple[int, dict[str, str]]]
) -> ReleasedFilm:
    _, cells = stated.get(movie, (0, {}))
    year = _first(cells, YEAR).removesuffix(".0")
    return ReleasedFilm(
        film_id, movie, _first(cells, TITLE) or movie, int(year) if year.isdecimal() else None
    )
