"""Annotators have ids, `a01`, `a02`…; only a file that git ignores has their names."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable
from pathlib import Path

from ossl_builder import csv_cells, files
from ossl_builder.annotations import records
from ossl_builder.errors import OsslError

FILE = "annotators.csv"
COLUMNS = ("annotator", "email", "name")
ID = re.compile(r"a[0-9]{2,9}")

GITIGNORE = ".gitignore"
# An allow list: all other files of the program in this folder, such as keys, stay private.
GITIGNORE_LINES = (
    "# Written by ossl: only records and questions belong into git, never who the annotators are.",
    "/*",
    "!/.gitignore",
    "!/*.jsonl",
    "!/moods.yaml",
    "!/label_config.xml",
    "!/guidelines.md",
    "!/README.md",
)


class AnnotatorRegistry:
    """Maps annotator ids to e-mail addresses and names.

    People are identified by their e-mail address, in any case, or, without one, by their name.
    Ids are assigned in order and never to a second person, even if this file was lost and only
    the records are left.
    """

    def __init__(self, path: Path, people: dict[str, tuple[str, str]], used_ids: set[str]) -> None:
        self._path = path
        self._people = people
        self._used_ids = used_ids

    @classmethod
    def load(cls, corpus: Path) -> AnnotatorRegistry:
        """Read the registry of a corpus; empty if there is no file.

        Raises:
            OsslError: `annotators_damaged`.
        """
        path = corpus / records.FOLDER / FILE
        people: dict[str, tuple[str, str]] = {}
        try:
            with path.open(encoding="utf-8", newline="") as file:
                for line in csv.DictReader(file, strict=True):
                    if not ID.fullmatch(line["annotator"]) or line["annotator"] in people:
                        raise ValueError(f"{line['annotator']!r} is not an id, or is there twice")
                    email, name = line["email"] or "", line["name"] or ""
                    people[line["annotator"]] = (csv_cells.plain(email), csv_cells.plain(name))
        except FileNotFoundError:
            pass
        except (ValueError, KeyError, TypeError, csv.Error) as error:
            raise OsslError(
                "annotators_damaged",
                f"{path} cannot be read: {error}.",
                f"Correct the file. Its columns are {', '.join(COLUMNS)}.",
            ) from error
        in_records = {record.annotator for record in records.read_all(corpus)}
        return cls(path, people, {name for name in in_records if ID.fullmatch(name)})

    @property
    def people(self) -> dict[str, tuple[str, str]]:
        """Id to (e-mail address, name), sorted by id. Private: never publish it."""
        return dict(sorted(self._people.items(), key=lambda entry: _number(entry[0])))

    def is_known(self, annotator: str) -> bool:
        """Return whether an id is in the registry or in a record."""
        return annotator in self._people or annotator in self._used_ids

    def reserve(self, annotators: Iterable[str]) -> None:
        """Mark ids as used, so that no new person gets them."""
        self._used_ids |= {name for name in annotators if ID.fullmatch(name)}

    def id_of(self, email: str = "", name: str = "") -> str:
        """Return the id of a person; a new id for a new person.

        Raises:
            ValueError: both are empty.
        """
        email, name = email.strip(), name.strip()
        if not email and not name:
            raise ValueError("an annotator needs an e-mail address or a name")
        for annotator, person in self._people.items():
            if email and person[0].casefold() == email.casefold():
                return annotator
            if not email and name.casefold() in (person[0].casefold(), person[1].casefold()):
                return annotator
        numbers = [_number(used) for used in (*self._people, *self._used_ids)]
        annotator = f"a{max(numbers, default=0) + 1:02d}"
        self._people[annotator] = (email, name)
        return annotator

    def save(self) -> None:
        """Write the file, readable only by its owner, and make git ignore it."""
        keep_out_of_git(self._path.parent)
        text = io.StringIO()
        written = csv_cells.Rows(text)
        written.add(COLUMNS)
        for annotator, person in self.people.items():
            written.add((annotator, *person))
        with files.replacing(self._path) as temporary:
            temporary.touch(mode=0o600)
            temporary.chmod(0o600)
            temporary.write_text(text.getvalue(), encoding="utf-8")


def keep_out_of_git(folder: Path) -> None:
    """Make git ignore the private files of an annotations folder; the user's lines are kept."""
    path = folder / GITIGNORE
    present = path.read_text(encoding="utf-8") if path.exists() else ""
    missing = [line for line in GITIGNORE_LINES if line not in present.splitlines()]
    if missing:
        before = present if not present or present.endswith("\n") else present + "\n"
        # Not `files.write_bytes`: the corpus is not locked yet, so each process needs its own
        # temporary file. All processes write the same content.
        temporary = path.with_name(f"{GITIGNORE}.{os.getpid()}{files.TEMPORARY}")
        temporary.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes((before + "\n".join(missing) + "\n").encode())
        temporary.replace(path)


def _number(annotator: str) -> int:
    return int(annotator[1:])
