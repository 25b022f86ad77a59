"""Who the annotators are: `a01`, `a02`… everywhere, and a key that stays on this machine."""

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
# Only what may be published is let through: whatever else the program puts there, keys, tokens
# and marks, stays here.
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
    """The key of a corpus' annotators: who `a01` is.

    People are known by their e-mail address, whatever its case, or, without one, by their name.
    Ids are given in order and never again to another person, also where the key was lost and only
    the records are left.
    """

    def __init__(self, path: Path, people: dict[str, tuple[str, str]], taken: set[str]) -> None:
        self._path = path
        self._people = people
        self._taken = taken

    @classmethod
    def load(cls, corpus: Path) -> AnnotatorRegistry:
        """The key of a corpus; empty if it has none yet.

        Raises:
            OsslError: `annotators_damaged`.
        """
        path = corpus / records.FOLDER / FILE
        people: dict[str, tuple[str, str]] = {}
        try:
            with path.open(encoding="utf-8", newline="") as file:
                for line in csv.DictReader(file, strict=True):
                    if not ID.fullmatch(line["annotator"]) or line["annotator"] in people:
                        raise ValueError(f"{line['annotator']!r} is no id, or stands twice")
                    email, name = line["email"] or "", line["name"] or ""
                    people[line["annotator"]] = (csv_cells.plain(email), csv_cells.plain(name))
        except FileNotFoundError:
            pass
        except (ValueError, KeyError, TypeError, csv.Error) as error:
            raise OsslError(
                "annotators_damaged",
                f"{path} cannot be read: {error}.",
                f"Its columns are {', '.join(COLUMNS)}; mend it.",
            ) from error
        given = {one.annotator for one in records.read_all(corpus)}
        return cls(path, people, {one for one in given if ID.fullmatch(one)})

    @property
    def people(self) -> dict[str, tuple[str, str]]:
        """Id to (e-mail, name), sorted by id. For this machine only."""
        return dict(sorted(self._people.items(), key=lambda entry: _number(entry[0])))

    def is_known(self, annotator: str) -> bool:
        """Whether an id stands in the key or in a record."""
        return annotator in self._people or annotator in self._taken

    def reserve(self, annotators: Iterable[str]) -> None:
        """Give these ids to no new person: a file uses them already."""
        self._taken |= {one for one in annotators if ID.fullmatch(one)}

    def id_of(self, email: str = "", name: str = "") -> str:
        """The id of a person; a new one the first time.

        Raises:
            ValueError: neither e-mail nor name is given.
        """
        email, name = email.strip(), name.strip()
        if not email and not name:
            raise ValueError("an annotator needs an e-mail address or a name")
        for annotator, known in self._people.items():
            if email and known[0].casefold() == email.casefold():
                return annotator
            if not email and name.casefold() in (known[0].casefold(), known[1].casefold()):
                return annotator
        numbers = [_number(one) for one in (*self._people, *self._taken)]
        annotator = f"a{max(numbers, default=0) + 1:02d}"
        self._people[annotator] = (email, name)
        return annotator

    def save(self) -> None:
        """Write it, readable by its owner only, after making sure that git ignores it."""
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
    """Make git ignore what is private in an annotations folder; a user's own lines stay."""
    path = folder / GITIGNORE
    present = path.read_text(encoding="utf-8") if path.exists() else ""
    missing = [line for line in GITIGNORE_LINES if line not in present.splitlines()]
    if missing:
        before = present if not present or present.endswith("\n") else present + "\n"
        # Not `files.write_bytes`: this happens before the corpus is locked, and two processes at
        # once must not share the temporary file. Both write the same.
        temporary = path.with_name(f"{GITIGNORE}.{os.getpid()}{files.TEMPORARY}")
        temporary.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes((before + "\n".join(missing) + "\n").encode())
        temporary.replace(path)


def _number(annotator: str) -> int:
    return int(annotator[1:])
