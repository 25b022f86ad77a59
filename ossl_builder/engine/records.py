"""Records: the result of one stage on one item, written after all its files.

A record has two files. The body, `records/<stage>/<item>.rows.json`, holds rows and rejects. The
head, `records/<stage>/<item>.json`, is small and holds how the run ended. The head alone decides
what is up to date, so that checking a thousand films takes a second.
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

# `file_lines` contains one of these if a path leads out of the corpus.
WAYS_OUT = (" /", " ../", "/../", "/..\n", " ..\n", "\\")

State = Literal["done", "rejected", "failed"]


class FileEntry(NamedTuple):
    """One file that a stage wrote; the path is relative to the corpus."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Record:
    """The result of one stage on one item.

    Attributes:
        stage, item_id: the stage and the item.
        state: done, rejected (for a stable reason, as `code`), or failed.
        inputs: everything that the result depends on, by name; see `engine.cache.inputs_of`.
        output: hash of rows, rejects and files; empty unless done.
        content: hash of the rows without descriptive columns, which later stages depend on. Rows
            contain the hashes of the files that later stages read.
        n_rows: number of rows.
        rejects: number of rejected candidates, by reason.
        warnings: `code` and `message` of each thing that was repaired or is doubtful.
        file_lines: the files written, one line each: SHA-256, size, path; see `files`.
        code, message, hint: why the item was rejected or failed.
        detail: the traceback of an unexpected failure.
        started, finished: times, ISO 8601, UTC.
        seconds: duration of the run.
        builder: version of ossl-builder.
        format: version of the record's file format.
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
        """The files written, parsed from `file_lines` on each access."""
        words = self.file_lines.split()
        return tuple(map(FileEntry, words[2::3], map(int, words[1::3]), words[::3]))


def file_lines(entries: Sequence[FileEntry]) -> str:
    """Return files as the text of `Record.file_lines`.

    Raises:
        ValueError: a path contains white space.
    """
    for entry in entries:
        if len(entry.path.split()) != 1:
            raise ValueError(f"white space in the file name {entry.path!r}")
    return "".join(f"{entry.sha256} {entry.size_bytes} {entry.path}\n" for entry in entries)


def head_path(corpus: Path, stage: str, item_id: str) -> Path:
    """Return the path of a record's head."""
    return corpus / "records" / stage / f"{item_id}.json"


def body_path(corpus: Path, stage: str, item_id: str) -> Path:
    """Return the path of a record's body, which holds rows and rejects."""
    return corpus / "records" / stage / f"{item_id}.rows.json"


def body_bytes(stage: Stage, rows: tuple[Any, ...], rejects: tuple[Reject, ...]) -> bytes:
    """Return rows and rejects as JSON, one per line, so that a diff is readable."""
    lines = [files.json_bytes(stage.writes.to_json(row)) for row in rows]
    reject_lines = [files.json_bytes(dataclasses.asdict(reject)) for reject in rejects]
    return b'{"rows":[\n%s\n],"rejects":[\n%s\n]}\n' % (
        b",\n".join(lines),
        b",\n".join(reject_lines),
    )


def output_hash(body: bytes, entries: tuple[FileEntry, ...]) -> str:
    """Return the hash of a record's body and of the files that the stage wrote."""
    names_and_hashes = [[entry.path, entry.sha256] for entry in entries]
    return files.sha256_json([hashlib.sha256(body).hexdigest(), names_and_hashes])


def write(corpus: Path, record: Record) -> None:
    """Write the head of a record. It is the last write: from then on the item is finished."""
    data = dataclasses.asdict(record)
    lines = data.pop("file_lines")
    text = files.json_bytes(data) + b"\n" + lines.encode()
    files.write_bytes(head_path(corpus, record.stage, record.item_id), text)


def read(corpus: Path, stage: str, item_id: str) -> Record | None:
    """Return the record of an item; None if it has none.

    Raises:
        OsslError: `record_damaged`, `corpus_version`.
    """
    path = head_path(corpus, stage, item_id)
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return _read_head(path, status.st_ino, status.st_mtime_ns, status.st_size)


# One command reads a record several times. A changed record has another inode or time, so the
# cache cannot return an old one.
@lru_cache(maxsize=16_384)
def _read_head(path: Path, inode: int, mtime_ns: int, size: int) -> Record:
    head, _, lines = path.read_bytes().partition(b"\n")
    try:
        data = parse.json_value(head)
        format_version = data.get("format")
    except (ValueError, AttributeError) as error:
        raise _damaged_error(path) from error
    if format_version != FORMAT:
        raise OsslError(
            "corpus_version",
            f"{path} has the record format {format_version!r}; this program reads {FORMAT}.",
            "Use the version of ossl-builder that wrote it, or delete the record to redo it.",
        )
    try:
        record = Record(file_lines=lines.decode(), **data)
    except (TypeError, ValueError) as error:
        raise _damaged_error(path) from error
    if any(part in record.file_lines for part in WAYS_OUT):
        raise _damaged_error(path)
    return record


def read_rows(corpus: Path, stage: Stage, item_id: str) -> tuple[Any, ...]:
    """Return the rows of an item that is done.

    Raises:
        OsslError: `record_damaged`, `path_outside`.
    """
    path = body_path(corpus, stage.name, item_id)
    try:
        body = parse.json_value(path.read_bytes())
    except (FileNotFoundError, ValueError) as error:
        raise _damaged_error(path) from error
    try:
        rows = tuple(stage.writes.from_json(row) for row in body["rows"])
    except (KeyError, TypeError) as error:  # other columns: another version wrote it
        raise _damaged_error(path) from error
    for value in stage.writes.misplaced(rows):
        raise files.outside(corpus, value)
    return rows


def _damaged_error(path: Path) -> OsslError:
    return OsslError(
        "record_damaged",
        f"{path} cannot be read.",
        "Delete it: the next build processes the item again.",
    )
