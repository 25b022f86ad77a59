"""A corpus: a folder with a recipe, films, records and tables."""

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
# Stands in a corpus whose clips were imported.
IMPORTED = "imported.json"

# What a corpus is read from and written to, and which of it holds many files of one kind.
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
    """A corpus that exists.

    Attributes:
        root: its folder.
    """

    root: Path

    @property
    def recipe_path(self) -> Path:
        """Its `ossl.yaml`."""
        return self.root / RECIPE

    @property
    def is_imported(self) -> bool:
        """Whether its clips were imported: its films are not here."""
        return (self.root / IMPORTED).is_file()

    def check_has_films(self) -> None:
        """See that this is a corpus that clips can be made in.

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
        """A film's folder, relative to the corpus."""
        return f"films/{film_id}"

    def source_path(self, film_id: str) -> Path:
        """Where it is recorded that the corpus has this film."""
        return self.root / self.film_home(checked_film_id(film_id)) / "source.json"

    def film_ids(self) -> list[str]:
        """Ids of the corpus' films, sorted."""
        return sorted(path.parent.name for path in self.root.glob("films/*/source.json"))

    def source(self, film_id: str) -> Source:
        """What `ossl films add` recorded of a film.

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
        """Record that the corpus has films; earlier records of the same ids are replaced.

        All are checked before the first is written.
        """
        SOURCES.validate(sources)
        for source in sources:
            text = json.dumps(SOURCES.to_json(source), indent=1, ensure_ascii=False)
            files.write_bytes(self.source_path(source.film_id), text.encode() + b"\n")

    def chosen(self, film_ids: Sequence[str]) -> list[str]:
        """The films named, or all of them if none is named, each checked to be here."""
        for film_id in film_ids:
            self.source(film_id)
        return sorted(set(film_ids)) or self.film_ids()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the corpus for writing; the system frees it when the process ends, however.

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
    """Make a corpus without films.

    Args:
        root: its folder, new or empty.
        recipe: text of its recipe, which is valid.

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
    """The corpus in a folder.

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
