"""The corpus: a folder with a recipe, films, records and tables."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ossl_builder import files, parse
from ossl_builder.errors import OsslError
from ossl_builder.tables import SOURCES, Source, checked_film_id

RECIPE = "ossl.yaml"
# This file marks a corpus whose clips were imported.
IMPORTED = "imported.json"

# All entries of a corpus that are read or written; those in FOLDERS contain one entry per film,
# table or stage.
FOLDERS = ("films", "manifests", "records", "annotations")
ENTRIES = (RECIPE, IMPORTED, *FOLDERS, "train", "report", ".lock", ".staging")

FIRST_RECIPE = """\
# The recipe of this corpus. Every key has a default; write down only what differs.
# `ossl settings` lists all keys. Examples:
#
# stems:
#   model: bundled        # small and fast, no download; default: htdemucs
# clips:
#   min_s: 10.0
#   max_s: 180.0

version: 1
"""


@dataclass(frozen=True)
class Corpus:
    """A corpus that exists on disk.

    Attributes:
        root: the corpus' folder.
    """

    root: Path

    @property
    def recipe_path(self) -> Path:
        """The path of its recipe, `ossl.yaml`."""
        return self.root / RECIPE

    @property
    def is_imported(self) -> bool:
        """Whether its clips were imported; such a corpus does not contain its films."""
        return (self.root / IMPORTED).is_file()

    def check_has_films(self) -> None:
        """Check that this corpus contains its films, so that clips can be built.

        Raises:
            OsslError: `corpus_imported`.
        """
        if self.is_imported:
            raise OsslError(
                "corpus_imported",
                f"The clips of {self.root} were imported; its films are not here.",
                "Nothing can be built or cleaned in it. `ossl verify`, `fingerprints`, `split`, "
                "`stats`, `query`, `report`, `export` and `train` work on it; films need a corpus "
                "of their own: `ossl init DIR`.",
            )

    @staticmethod
    def film_home(film_id: str) -> str:
        """Return a film's folder, relative to the corpus."""
        return f"films/{film_id}"

    def source_path(self, film_id: str) -> Path:
        """Return the path of the file that registers a film in the corpus."""
        return self.root / self.film_home(checked_film_id(film_id)) / "source.json"

    def film_ids(self) -> list[str]:
        """Return the ids of the corpus' films, sorted."""
        return sorted(path.parent.name for path in self.root.glob("films/*/source.json"))

    def source(self, film_id: str) -> Source:
        """Return what `ossl films add` recorded about a film.

        Raises:
            OsslError: `film_unknown`, `source_damaged`.
        """
        path = self.source_path(film_id)
        try:
            row: Source = SOURCES.from_json(parse.json_value(path.read_bytes()))
            SOURCES.validate([row])
        except FileNotFoundError as error:
            raise OsslError(
                "film_unknown",
                f"The corpus {self.root} has no film {film_id!r}.",
                "`ossl films list` shows what it has; `ossl films add` adds one.",
            ) from error
        except (ValueError, TypeError, AttributeError, OsslError) as error:
            raise OsslError(
                "source_damaged", f"{path} cannot be read.", "Add the film again."
            ) from error
        return row

    def record_source(self, *sources: Source) -> None:
        """Register films in the corpus; replace earlier records of the same ids.

        All are checked before the first is written.
        """
        SOURCES.validate(sources)
        for source in sources:
            text = json.dumps(SOURCES.to_json(source), indent=1, ensure_ascii=False)
            files.write_bytes(self.source_path(source.film_id), text.encode() + b"\n")

    def chosen(self, film_ids: Sequence[str]) -> list[str]:
        """Return the given films, or all films if none is given.

        Raises:
            OsslError: `film_unknown`, `source_damaged`.
        """
        for film_id in film_ids:
            self.source(film_id)
        return sorted(set(film_ids)) or self.film_ids()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the corpus for writing; the operating system releases it when the process ends.

        Raises:
            OsslError: `corpus_in_use`.
        """
        import filelock

        lock = filelock.FileLock(self.root / ".lock", timeout=0)
        try:
            lock.acquire()
        except filelock.Timeout as error:
            raise OsslError(
                "corpus_in_use",
                f"Another ossl process uses {self.root}.",
                "Wait until it ends, or stop it, and run the same command again.",
            ) from error
        try:
            yield
        finally:
            lock.release()


def create(root: Path, recipe: str = FIRST_RECIPE) -> Corpus:
    """Create a corpus without films.

    Args:
        root: the corpus' folder, new or empty.
        recipe: text of a valid recipe.

    Raises:
        OsslError: `corpus_exists`, `folder_not_empty`.
    """
    if (root / RECIPE).exists():
        raise OsslError("corpus_exists", f"{root} already is a corpus.", "Open it with `ossl -C`.")
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise OsslError(
            "folder_not_empty", f"{root} is not an empty folder.", "Choose another name."
        )
    (root / "films").mkdir(parents=True)
    (root / "manifests").mkdir()
    files.write_bytes(root / RECIPE, recipe.encode())
    return Corpus(root)


def open_corpus(root: Path) -> Corpus:
    """Open the corpus in a folder.

    Raises:
        OsslError: `no_corpus`, `path_outside`.
    """
    if not (root / RECIPE).is_file():
        raise OsslError(
            "no_corpus",
            f"{root} is not a corpus: it has no {RECIPE}.",
            "Create one with `ossl init DIR`, and open it with `ossl -C DIR`.",
        )
    files.check_folders(root.resolve(), ENTRIES, FOLDERS)
    return Corpus(root.resolve())
