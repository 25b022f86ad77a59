"""Read annotations from a file: CSV, JSON lines, or a Label Studio export."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ossl_builder import parse
from ossl_builder.annotations.label_config import answers_of, as_number
from ossl_builder.annotations.label_schema import LabelSchema, Question
from ossl_builder.csv_cells import plain
from ossl_builder.errors import OsslError

SEPARATORS = (",", ";", "\t")
# Columns beside the questions. One of `annotator`, `email` and `name` has the annotator.
COLUMNS = ("clip_id", "annotator", "email", "name", "updated_at", "schema", "state")
WHO = ("annotator", "email", "name")


@dataclass(frozen=True)
class ImportRow:
    """Answers of one annotator for one clip, as in the file; not checked yet.

    Attributes:
        where: its place in the file: `row 3`; in a Label Studio export `task 7`, by the task's id.
        clip_id: the clip; empty: not given.
        who: `a01`, an e-mail address or a name; empty: not given.
        answers: question name to answer.
        state: as in a record.
        updated_at: the time as text; empty: not given.
        schema: schema version; empty: not given.
        problems: why the row cannot be read.
    """

    where: str
    clip_id: str
    who: str
    answers: dict[str, Any]
    state: str = "answered"
    updated_at: str = ""
    schema: str = ""
    problems: tuple[str, ...] = ()


def read_rows(
    path: Path, schema: LabelSchema, columns: Mapping[str, str]
) -> tuple[list[ImportRow], list[str]]:
    """Return the rows of a file, and the names of ignored columns.

    Args:
        path: `.csv` or `.tsv`, with commas, semicolons or tabs; `.jsonl`, of records or plain
            rows; `.json`, a Label Studio export or a list of plain rows.
        schema: the label schema; a column with the name of a question contains its answers.
        columns: our name of a column to its name in the file, if they differ.

    Raises:
        OsslError: `import_unreadable`, `import_columns`.
    """
    try:
        entries = list(_entries(path, {*columns.values(), *_column_names(schema)}))
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise OsslError(
            "import_unreadable",
            f"{path} cannot be read: {parse.cut(reason, 200)}.",
            "Give a .csv, .jsonl or .json file in UTF-8 or UTF-16.",
        ) from error
    if any(_is_task(entry) for _, entry in entries):
        return [row for number, task in entries for row in _task(number, task, schema)], []
    if entries and all(isinstance(entry.get("answers"), dict) for _, entry in entries):
        return [_record(number, entry) for number, entry in entries], []
    return _plain(path, entries, schema, columns)


def _column_names(schema: LabelSchema) -> list[str]:
    """Return the names of all columns that can be read."""
    return [*COLUMNS, *(question.name for question in schema.questions)]


def _is_task(entry: Mapping[str, Any]) -> bool:
    """Whether an entry is a task of a Label Studio export, possibly incomplete."""
    return isinstance(entry.get("annotations"), list) or isinstance(entry.get("data"), dict)


def _decoded(data: bytes) -> str:
    """Decode text in UTF-8 or UTF-16, with or without a byte order mark.

    Raises:
        UnicodeDecodeError: the text is neither.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    # Without a byte order mark: the first character of a header is ASCII.
    if data[1:2] == b"\0":
        return data.decode("utf-16-le")
    if data[:1] == b"\0":
        return data.decode("utf-16-be")
    return data.decode("utf-8-sig")


def _lines(text: str, column_names: Collection[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line number and cells of each line; the separator is found by the header.

    Raises:
        ValueError, csv.Error: the text is not a table, or a column's name occurs twice.
    """
    first = text.lstrip("\r\n").partition("\n")[0]

    def rank(separator: str) -> tuple[int, int]:
        names = [name.strip() for name in next(csv.reader([first], delimiter=separator), [])]
        return sum(name in column_names for name in names), len(names)

    separator = max(SEPARATORS, key=rank)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    header = [name.strip() for name in next((row for row in rows if row), [])]
    duplicates = [name for name, count in Counter(header).items() if name and count > 1]
    if duplicates:
        raise ValueError(f"it has the column {parse.shown(duplicates[0])} twice")
    for row in rows:
        if len(row) > len(header):
            raise ValueError(f"line {rows.line_num} has more cells than the first line")
        cells = dict.fromkeys(header, "") | dict(zip(header, row, strict=False))
        nameless = [cell for name, cell in zip(header, row, strict=False) if not name]
        if any(cell.strip() for cell in nameless):
            raise ValueError(f"line {rows.line_num} has a cell in a column without a name")
        cells.pop("", None)
        if row:
            yield rows.line_num, {name: plain(cell) for name, cell in cells.items()}


def _entries(path: Path, column_names: Collection[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line number and values of each entry."""
    text = _decoded(parse.regular_bytes(path))
    match path.suffix.casefold():
        case ".csv" | ".tsv":
            yield from _lines(text, column_names)
        case ".jsonl":
            for number, text_line in enumerate(text.split("\n"), start=1):
                if text_line.strip():
                    yield number, _object(_parsed(text_line, f"line {number}"), number)
        case ".json":
            values = parse.json_value(text, is_strict=True)
            if not isinstance(values, list):
                raise ValueError("it does not contain a list")
            for number, value in enumerate(values, start=1):
                yield number, _object(value, number)
        case other:
            raise ValueError(f"{other or 'a name without an extension'} is an unknown format")


def _parsed(text: str, where: str) -> Any:
    try:
        return parse.json_value(text, is_strict=True)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _object(value: Any, number: int) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"entry {number} is not an object")
    return value


def _task(number: int, task: Mapping[str, Any], schema: LabelSchema) -> Iterable[ImportRow]:
    """Yield the annotations of one task of a Label Studio export."""
    data = task.get("data") if isinstance(task.get("data"), dict) else {}
    assert isinstance(data, dict)
    where = f"task {parse.cut(str(task.get('id', number)))}"
    clip_id = str(data.get("clip_id") or "")
    annotations = task.get("annotations")
    if not isinstance(annotations, list):
        yield ImportRow(where, clip_id, "", {}, problems=("it has no list of annotations",))
        return
    for annotation in annotations:
        result = annotation.get("result") if isinstance(annotation, dict) else None
        if not isinstance(annotation, dict) or not _is_result(result):
            yield ImportRow(where, clip_id, "", {}, problems=("an annotation has no answers",))
            continue
        is_skip = bool(annotation.get("was_cancelled"))
        yield ImportRow(
            where=where,
            clip_id=clip_id,
            who=_person(annotation.get("completed_by")),
            answers={} if is_skip else answers_of(schema, result or ()),
            state="skipped" if is_skip else "answered",
            updated_at=str(annotation.get("updated_at") or annotation.get("created_at") or ""),
            schema=str(data.get("schema") or ""),
        )


def _is_result(result: Any) -> bool:
    return result is None or (
        isinstance(result, list) and all(isinstance(entry, dict) for entry in result)
    )


def _person(person: Any) -> str:
    if isinstance(person, dict):
        name = f"{person.get('first_name') or ''} {person.get('last_name') or ''}".strip()
        return str(person.get("email") or name or person.get("id") or "")
    return "" if person is None else str(person)


def _record(number: int, entry: Mapping[str, Any]) -> ImportRow:
    def text(name: str, without: str = "") -> str:
        return str(entry.get(name) or without)

    return ImportRow(
        where=f"row {number}",
        clip_id=text("clip_id"),
        who=text("annotator"),
        answers={
            name: tuple(answer) if isinstance(answer, list) else answer
            for name, answer in entry["answers"].items()
        },
        state=text("state", "answered"),
        updated_at=text("updated_at"),
        schema=text("schema"),
    )


def _plain(
    path: Path,
    entries: Sequence[tuple[int, dict[str, Any]]],
    schema: LabelSchema,
    columns: Mapping[str, str],
) -> tuple[list[ImportRow], list[str]]:
    in_file = sorted({name for _, entry in entries for name in entry})
    names = _column_names(schema)
    problems = [f"{name!r} is not one of our columns" for name in columns if name not in names]
    problems += [f"it has no column {name!r}" for name in columns.values() if name not in in_file]
    name_in_file = {name: columns.get(name, name) for name in names}
    if entries and name_in_file["clip_id"] not in in_file:
        problems.append("it has no column clip_id")
    if problems:
        raise OsslError(
            "import_columns",
            f"The columns of {path} do not fit: {'; '.join(problems)}.",
            f"It has the columns {', '.join(in_file)}. Rename them with --map clip_id=COLUMN; our "
            f"columns are {', '.join(names)}.",
        )
    used = set(name_in_file.values())
    rows = [_plain_row(number, entry, schema, name_in_file) for number, entry in entries]
    return rows, [name for name in in_file if name not in used]


def _plain_row(
    number: int, entry: Mapping[str, Any], schema: LabelSchema, name_in_file: Mapping[str, str]
) -> ImportRow:
    def cell(name: str) -> str:
        return str(entry.get(name_in_file[name]) or "").strip()

    return ImportRow(
        where=f"row {number}",
        clip_id=cell("clip_id"),
        who=next((cell(name) for name in WHO if cell(name)), ""),
        answers={
            question.name: _answer(question, entry[name_in_file[question.name]])
            for question in schema.questions
            if name_in_file[question.name] in entry
        },
        state=cell("state") or "answered",
        updated_at=cell("updated_at"),
        schema=cell("schema"),
    )


def _answer(question: Question, value: Any) -> Any:
    """Parse a cell: `7` or `7.0` for a scale, `epic; sad` for several choices."""
    if isinstance(value, str):
        value = value.strip()
        if value.startswith("{") and question.kind == "choices":
            # Label Studio's own CSV contains several choices as JSON.
            with contextlib.suppress(ValueError):
                value = parse.json_value(value)
    if isinstance(value, dict):
        value = value.get("choices", value)
    if question.kind == "scale":
        text = str(value).removesuffix(".0").removesuffix(",0")
        return as_number(text) if text else None
    if question.kind == "choices" and isinstance(value, str):
        return tuple(word.strip() for word in value.split(";") if word.strip())
    if question.kind == "choices" and isinstance(value, list):
        return tuple(value)
    return value
