"""Records: what was done to an item, one per stage and item, written last.

A record is two files: `records/<stage>/<item>.rows.json` with rows and rejects, and the small
`records/<stage>/<item>.json` that says how it ended. The small one alone decides what is fresh,
so that a corpus of a thousand films is looked through in a second.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ossl_builder import files, parse
from ossl_builder.engine.stage import Reject, Stage
from ossl_builder.errors import OsslError

FORMAT = 1

# What the lines of files of a record would have in them if a path led out of the corpus.
WAYS_OUT = (" /", " ../", "/../", "/..\n", " ..\n", "\\")

State = Literal["done", "rejected", "failed"]


class FileEntry(NamedTuple):
    """A file that a stage made; the path is relative to the corpus."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Record:
    """How one item ended in one stage.

    Attributes:
        stage, item_id: of what.
        state: done, rejected (understood and not wanted), or failed.
        inputs: everything that shapes the result, by name: see `engine.freshness`.
        output: hash of rows, rejects and files; empty unless done.
        content: hash of what later stages depend on: rows without descriptive columns. Rows carry
            the hashes of the files that matter to others.
        n_rows: number of rows.
        rejects: reason to number of rejected candidates.
        warnings: what was repaired or is doubtful: `code` and `message` of each.
        file_lines: the files made, a line each: SHA-256, size, path; see `files`.
        code, message, hint: why it was rejected or failed.
        detail: for a failure nobody foresaw, its traceback.
        started, finished: dates, ISO 8601, UTC.
        seconds: time it took.
        builder: version of ossl-builder.
    """

    stage: str
    item_id: str
    state: State
    inputs: dict[str, str]
    output: str = ""
    content: str = ""
    n_rows: int = 0
    rejects: dict[str, int] = dataclasses.field(default_factory=dict)
    warnings: list[dict[str, str]] = dataclasses.field(default_factory=list)
    file_lines: str = ""
    code: str = ""
    message: str = ""
    hint: str = ""
    detail: str = ""
    started: str = ""
    finished: str = ""
    seconds: float = 0.0
    builder: str = ""
    format: int = FORMAT

    @property
    def files(self) -> tuple[FileEntry, ...]:
        """The files made. They are read from their lines only where somebody asks."""
        words = self.file_lines.split()
        return tuple(map(FileEntry, words[2::3], map(int, words[1::3]), words[::3]))


def file_lines(entries: Sequence[FileEntry]) -> str:
    """Files as lines, for `Record.file_lines`; no path may hold white space."""
    for entry in entries:
        if len(entry.path.split()) != 1:
            raise ValueError(f"white space in the file name {entry.path!r}")
    return "".join(f"{entry.sha256} {entry.size_bytes} {entry.path}\n" for entry in entries)


def head_path(corpus: Path, stage: str, item_id: str) -> Path:
    """Where the small part of a record lies."""
    return corpus / "records" / stage / f"{item_id}.json"


def body_path(corpus: Path, stage: str, item_id: str) -> Path:
    """Where rows and rejects of a record lie."""
    return corpus / "records" / stage / f"{item_id}.rows.json"


def body_bytes(stage: Stage, rows: tuple[Any, ...], rejects: tuple[Reject, ...]) -> bytes:
    """Rows and rejects as JSON: one per line, so that a difference can be read."""
    lines = [files.json_bytes(stage.writes.to_json(row)) for row in rows]
    refused = [files.json_bytes(dataclasses.asdict(reject)) for reject in rejects]
    return b'{"rows":[\n%s\n],"rejects":[\n%s\n]}\n' % (b",\n".join(lines), b",\n".join(refused))


def output_hash(body: bytes, entries: tuple[FileEntry, ...]) -> str:
    """Hash of everything a stage made of an item."""
    named = [[entry.path, entry.sha256] for entry in entries]
    return files.sha256_json([hashlib.sha256(body).hexdigest(), named])


def write(corpus: Path, record: Record) -> None:
    """Write the small part of a record: from here on the item is finished."""
    data = dataclasses.asdict(record)
    lines = data.pop("file_lines")
    text = files.json_bytes(data) + b"\n" + lines.encode()
    files.write_bytes(head_path(corpus, record.stage, record.item_id), text)


def read(corpus: Path, stage: str, item_id: str) -> Record | None:
    """The record of an item, or None if it has none.

    Raises:
        OsslError: `record_damaged`, `corpus_version`.
    """
    path = head_path(corpus, stage, item_id)
    try:
        seen = path.stat()
    except FileNotFoundError:
        return None
    return _parsed(path, seen.st_ino, seen.st_mtime_ns, seen.st_size)


# One command looks at a record several times; a record that changes is another file.
@lru_cache(maxsize=16_384)
def _parsed(path: Path, inode: int, mtime_ns: int, size: int) -> Record:
    head, _, lines = path.read_bytes().partition(b"\n")
    try:
        data = parse.json_value(head)
        found = data.get("format")
    except (ValueError, AttributeError) as error:
        raise _damaged(path) from error
    if found != FORMAT:
        raise OsslError(
            "corpus_version",
            f"{path} has the record format {found!r}; this program reads {FORMAT}.",
            "Use the version of ossl-builder that wrote it, or delete the record to redo it.",
        )
    try:
        record = Record(file_lines=lines.decode(), **data)
    except (TypeError, ValueError) as error:
        raise _damaged(path) from error
    if any(part in record.file_lines for part in WAYS_OUT):
        raise _damaged(path)
    return record


def read_rows(corpus: Path, stage: Stage, item_id: str) -> tuple[Any, ...]:
    """The rows of an item that is done.

    Raises:
        OsslError: `record_damaged`, `path_outside`.
    """
    try:
        rows = tuple(stage.writes.from_json(row) for row in _body(corpus, stage, item_id)["rows"])
    except (KeyError, TypeError) as error:  # other columns: another version wrote it
        raise _damaged(body_path(corpus, stage.name, item_id)) from error
    for value in stage.writes.misplaced(rows):
        raise files.outside(corpus, value)
    return rows


def _body(corpus: Path, stage: Stage, item_id: str) -> Any:
    path = body_path(corpus, stage.name, item_id)
    try:
        return parse.json_value(path.read_bytes())
    except (FileNotFoundError, ValueError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> OsslError:
    return OsslError(
        "record_damaged",
        f"{path} cannot be read.",
        "Delete it: the next build processes the item again.",
    )
