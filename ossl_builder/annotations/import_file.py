"""Rows of answers from files of others: CSV, JSON lines, or a Label Studio export."""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ossl_builder import parse
from ossl_builder.annotations.label_config import answers_of, as_number
from ossl_builder.annotations.label_schema import LabelSchema
from ossl_builder.annotations.question import Question
from ossl_builder.csv_cells import plain
from ossl_builder.errors import OsslError

SEPARATORS = (",", ";", "\t")
# Columns beside the questions. Who it was stands in one of `annotator`, `email` and `name`.
COLUMNS = ("clip_id", "annotator", "email", "name", "updated_at", "schema", "state")
WHO = ("annotator", "email", "name")


@dataclass(frozen=True)
class ImportRow:
    """One person's answers for one clip, as they stand in a file; nothing is checked yet.

    Attributes:
        where: its place in the file: `row 3`; in a Label Studio export `task 7`, by the task's id.
        clip_id: the clip; empty: not said.
        who: `a01`, an e-mail address or a name; empty: not said.
        answers: question's name to what was given.
        state: as in a record.
        updated_at: as it stands there; empty: not said.
        schema: version of the questions it was given under; empty: not said.
        problems: what makes it no row at all.
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
    path: Path, taxonomy: LabelSchema, columns: Mapping[str, str]
) -> tuple[list[ImportRow], list[str]]:
    """The rows of a file, and the columns that mean nothing to us and were left out.

    Args:
        path: `.csv` or `.tsv`, with commas, semicolons or tabs; `.jsonl`, of records or plain
            rows; `.json`, a Label Studio export or a list of plain rows.
        taxonomy: the questions; a column of a question's name holds its answers.
        columns: our name to the file's, for columns that are called otherwise there.

    Raises:
        OsslError: `import_unreadable`, `import_columns`.
    """
    try:
        entries = list(_entries(path, {*columns.values(), *_known(taxonomy)}))
    except (OSError, ValueError, csv.Error) as error:
        said = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise OsslError(
            "import_unreadable",
            f"{path} cannot be read: {parse.cut(said, 200)}.",
            "Give a .csv, .jsonl or .json file in UTF-8 or UTF-16.",
        ) from error
    if any(_is_task(entry) for _, entry in entries):
        return [row for at, task in entries for row in _task(at, task, taxonomy)], []
    if entries and all(isinstance(entry.get("answers"), dict) for _, entry in entries):
        return [_record(at, entry) for at, entry in entries], []
    return _plain(path, entries, taxonomy, columns)


def _known(taxonomy: LabelSchema) -> list[str]:
    """The names of columns that mean something to us."""
    return [*COLUMNS, *(question.name for question in taxonomy.questions)]


def _is_task(entry: Mapping[str, Any]) -> bool:
    """Whether an entry is a task of a Label Studio export, though perhaps an incomplete one."""
    return isinstance(entry.get("annotations"), list) or isinstance(entry.get("data"), dict)


def _decoded(data: bytes) -> str:
    """Text in UTF-8 or UTF-16, as spreadsheets write it.

    Raises:
        UnicodeDecodeError: it is neither.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    # Without a mark: the first character of a header is ASCII.
    if data[1:2] == b"\0":
        return data.decode("utf-16-le")
    if data[:1] == b"\0":
        return data.decode("utf-16-be")
    return data.decode("utf-8-sig")


def _lines(text: str, known: Collection[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and cells of each line of a table; the header says what separates cells.

    Raises:
        ValueError, csv.Error: it is no table, or a column's name is given twice.
    """
    first = text.lstrip("\r\n").partition("\n")[0]

    def rank(separator: str) -> tuple[int, int]:
        names = [name.strip() for name in next(csv.reader([first], delimiter=separator), [])]
        return sum(name in known for name in names), len(names)

    separator = max(SEPARATORS, key=rank)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    header = [name.strip() for name in next((row for row in rows if row), [])]
    twice = [name for name, count in Counter(header).items() if name and count > 1]
    if twice:
        raise ValueError(f"it has the column {parse.shown(twice[0])} twice")
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


def _entries(path: Path, known: Collection[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and values of each entry."""
    text = _decoded(parse.regular_bytes(path))
    match path.suffix.casefold():
        case ".csv" | ".tsv":
            yield from _lines(text, known)
        case ".jsonl":
            for number, text_line in enumerate(text.split("\n"), start=1):
                if text_line.strip():
                    yield number, _object(_parsed(text_line, f"line {number}"), number)
        case ".json":
            values = parse.json_value(text, is_strict=True)
            if not isinstance(values, list):
                raise ValueError("it holds no list")
            for number, value in enumerate(values, start=1):
                yield number, _object(value, number)
        case other:
            raise ValueError(f"{other or 'a name without an ending'} is no format that is known")


def _parsed(text: str, where: str) -> Any:
    try:
        return parse.json_value(text, is_strict=True)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _object(value: Any, number: int) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"entry {number} is no object")
    return value


def _task(number: int, task: Mapping[str, Any], taxonomy: LabelSchema) -> Iterable[ImportRow]:
    """The annotations of one task of a Label Studio export."""
    data = task.get("data") if isinstance(task.get("data"), dict) else {}
    assert isinstance(data, dict)
    where = f"task {parse.cut(str(task.get('id', number)))}"
    clip_id = str(data.get("clip_id") or "")
    annotations = task.get("annotations")
    if not isinstance(annotations, list):
        yield ImportRow(where, clip_id, "", {}, problems=("it has no list of annotations",))
        return
    for given in annotations:
        result = given.get("result") if isinstance(given, dict) else None
        if not isinstance(given, dict) or not _is_result(result):
            yield ImportRow(where, clip_id, "", {}, problems=("an annotation has no answers",))
            continue
        is_skip = bool(given.get("was_cancelled"))
        yield ImportRow(
            where=where,
            clip_id=clip_id,
            who=_person(given.get("completed_by")),
            answers={} if is_skip else answers_of(taxonomy, result or ()),
            state="skipped" if is_skip else "answered",
            updated_at=str(given.get("updated_at") or given.get("created_at") or ""),
            schema=str(data.get("schema") or ""),
        )


def _is_result(result: Any) -> bool:
    return result is None or (
        isinstance(result, list) and all(isinstance(entry, dict) for entry in result)
    )


def _person(person: Any) -> str:
    if isinstance(person, dict):
        named = f"{person.get('first_name') or ''} {person.get('last_name') or ''}".strip()
        return str(person.get("email") or named or person.get("id") or "")
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
    taxonomy: LabelSchema,
    columns: Mapping[str, str],
) -> tuple[list[ImportRow], list[str]]:
    there = sorted({name for _, entry in entries for name in entry})
    known = _known(taxonomy)
    problems = [f"there is nothing called {name!r} here" for name in columns if name not in known]
    problems += [f"it has no column {name!r}" for name in columns.values() if name not in there]
    called = {name: columns.get(name, name) for name in known}
    if entries and called["clip_id"] not in there:
        problems.append("it has no column clip_id")
    if problems:
        raise OsslError(
            "import_columns",
            f"{path} does not fit: {'; '.join(problems)}.",
            f"It has the columns {', '.join(there)}; name them with --map clip_id=COLUMN, "
            f"where the names here are {', '.join(known)}.",
        )
    used = set(called.values())
    rows = [_plain_row(number, entry, taxonomy, called) for number, entry in entries]
    return rows, [name for name in there if name not in used]


def _plain_row(
    number: int, entry: Mapping[str, Any], taxonomy: LabelSchema, called: Mapping[str, str]
) -> ImportRow:
    def cell(name: str) -> str:
        return str(entry.get(called[name]) or "").strip()

    return ImportRow(
        where=f"row {number}",
        clip_id=cell("clip_id"),
        who=next((cell(name) for name in WHO if cell(name)), ""),
        answers={
            question.name: _answer(question, entry[called[question.name]])
            for question in taxonomy.questions
            if called[question.name] in entry
        },
        state=cell("state") or "answered",
        updated_at=cell("updated_at"),
        schema=cell("schema"),
    )


def _answer(question: Question, given: Any) -> Any:
    """A cell as an answer: `7` or `7.0` for a scale, `epic; sad` for several choices."""
    if isinstance(given, str):
        given = given.strip()
        if given.startswith("{") and question.kind == "choices":
            given = _choices(given)
    if isinstance(given, dict):
        given = given.get("choices", given)
    if question.kind == "scale":
        text = str(given).removesuffix(".0").removesuffix(",0")
        return as_number(text) if text else None
    if question.kind == "choices" and isinstance(given, str):
        return tuple(one.strip() for one in given.split(";") if one.strip())
    if question.kind == "choices" and isinstance(given, list):
        return tuple(given)
    return given


def _choices(text: str) -> Any:
    # As Label Studio's own CSV holds several choices.
    try:
        return parse.json_value(text)
    except ValueError:
        return text
