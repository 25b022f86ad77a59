"""Import annotations from a file into the records."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from ossl_builder import parse
from ossl_builder.annotations import annotators, records, validation
from ossl_builder.annotations.annotators import AnnotatorRegistry
from ossl_builder.annotations.import_file import ImportRow, read_rows
from ossl_builder.annotations.label_schema import LabelSchema
from ossl_builder.annotations.records import STATES, Annotation
from ossl_builder.errors import OsslError
from ossl_builder.tables import Clip

SOURCE = "import"
SHOWN_PROBLEMS = 100


@dataclass(frozen=True)
class ImportOptions:
    """Options for reading a file.

    Attributes:
        columns: our name of a column to its name in the file, if they differ.
        people: a name in the file to the annotator: an id, an e-mail address or a name.
        annotator: the annotator of rows that name none.
        partial: required answers may be missing.
    """

    columns: Mapping[str, str]
    people: Mapping[str, str]
    annotator: str = ""
    partial: bool = False


@dataclass(frozen=True)
class ImportPlan:
    """What an import will do.

    Attributes:
        to_write: annotations that are new or replace an older one.
        registry: the annotators, with new ones.
        added: number of new annotations.
        replaced: number that replace an older one.
        unchanged: number that exist already.
        kept: (clip, annotator) whose record is newer, or whose row has no date.
        unknown_clips: clips of the file that the corpus does not have.
        flags: what to review, a sentence each.
        unused_columns: columns of the file that were ignored.
    """

    to_write: tuple[Annotation, ...]
    registry: AnnotatorRegistry
    added: int
    replaced: int
    unchanged: int
    kept: tuple[tuple[str, str], ...]
    unknown_clips: tuple[str, ...]
    flags: tuple[str, ...]
    unused_columns: tuple[str, ...]


@dataclass(frozen=True)
class ParsedRow:
    """A valid row.

    Attributes:
        row: the row.
        annotation: its annotation.
        updated_at: its time, more exact than in the annotation.
        flags: what to review.
    """

    row: ImportRow
    annotation: Annotation
    updated_at: datetime
    flags: tuple[str, ...]


def plan_import(
    corpus: Path, clips: Iterable[Clip], schema: LabelSchema, path: Path, options: ImportOptions
) -> ImportPlan:
    """Read and check a file. Writes nothing.

    A row without a date gets the date of the file, and replaces only imported annotations.

    Raises:
        OsslError: `import_unreadable`; `import_columns`; `import_invalid`, with every invalid row.
    """
    rows, unused = read_rows(path, schema, options.columns)
    film_of = {clip.clip_id: clip.film_id for clip in clips}
    relevant = [row for row in rows if row.clip_id in film_of or not row.clip_id or row.problems]
    file_date = datetime.fromtimestamp(min(path.stat().st_mtime, time.time()), UTC)
    registry = AnnotatorRegistry.load(corpus)
    # People who are named in the file must not get ids that the file uses for others.
    registry.reserve(_who(row, options) for row in rows)
    problems: list[str] = []
    flags: list[str] = []
    newest: dict[tuple[str, str], ParsedRow] = {}
    for row in relevant:
        parsed = _parse_row(row, film_of, schema, options, registry, file_date)
        if isinstance(parsed, list):
            problems += [f"{row.where}: {problem}" for problem in parsed]
            continue
        flags += [f"{row.where}: {flag}" for flag in parsed.flags]
        problems += _keep_newest(newest, parsed)
    if problems:
        shown = problems[:SHOWN_PROBLEMS]
        if len(problems) > len(shown):
            shown.append(f"and {len(problems) - len(shown)} more")
        raise OsslError(
            "import_invalid",
            f"{path.name} has {len(problems)} errors. Nothing was imported:\n"
            + "".join(f"  {problem}\n" for problem in shown),
            "Correct or delete these rows. With --partial, required answers may be missing.",
        )
    unknown = sorted({row.clip_id for row in rows if row.clip_id} - set(film_of))
    return _against_records(corpus, registry, newest.values(), unknown, flags, unused)


def apply_import(corpus: Path, planned: ImportPlan) -> None:
    """Write the planned annotations. The caller holds the corpus' lock."""
    # The registry first: a name without records is better than a record without a name.
    if planned.to_write:
        planned.registry.save()
    records.upsert(corpus, planned.to_write)


def _parse_row(
    row: ImportRow,
    film_of: Mapping[str, str],
    schema: LabelSchema,
    options: ImportOptions,
    registry: AnnotatorRegistry,
    file_date: datetime,
) -> ParsedRow | list[str]:
    """Return the annotation of a row, or its problems."""
    if row.problems:
        return list(row.problems)
    checked = validation.check_answers(schema, row.answers, options.partial)
    is_answered = row.state == "answered"
    problems = list(checked.problems) if is_answered else []
    if not row.clip_id:
        problems.append("it has no clip_id")
    if row.state not in STATES:
        problems.append(f"its state is {parse.shown(row.state)}, not one of {', '.join(STATES)}")
    if is_answered and not checked.answers and not problems:
        problems.append("it has no answers")
    if row.schema not in ("", schema.version):
        problems.append(f"its schema version is {parse.cut(row.schema)}, not {schema.version}")
    who = _who(row, options)
    if not who:
        problems.append("it names no annotator (--annotator gives one for all such rows)")
    try:
        updated_at = parse.moment(row.updated_at) if row.updated_at else file_date
    except ValueError:
        problems.append(f"{parse.shown(row.updated_at)} is not an ISO 8601 date from 1970 to today")
    if problems:
        return problems
    annotation = Annotation(
        film_id=film_of[row.clip_id],
        clip_id=row.clip_id,
        annotator=_annotator_id(who, registry),
        schema=schema.version,
        state=row.state,
        answers={} if row.state == "skipped" else checked.answers,
        source=SOURCE,
        updated_at=updated_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    return ParsedRow(row, annotation, updated_at, checked.flags)


def _annotator_id(who: str, registry: AnnotatorRegistry) -> str:
    if annotators.ID.fullmatch(who):
        return who
    return registry.id_of(email=who) if "@" in who else registry.id_of(name=who)


def _who(row: ImportRow, options: ImportOptions) -> str:
    """Return the annotator of a row: an id, an e-mail address or a name; empty: not given."""
    who = row.who or options.annotator
    return options.people.get(who, who)


def _keep_newest(newest: dict[tuple[str, str], ParsedRow], parsed: ParsedRow) -> list[str]:
    """Store a row if it is the newest of its clip and annotator; return problems."""
    before = newest.get(parsed.annotation.key)
    if before is not None:
        if parsed.updated_at < before.updated_at or parsed.annotation == before.annotation:
            return []
        if parsed.updated_at == before.updated_at:
            same = f"{before.row.where} has the same clip, annotator and date"
            return [f"{parsed.row.where}: {same}"]
    newest[parsed.annotation.key] = parsed
    return []


def _against_records(
    corpus: Path,
    registry: AnnotatorRegistry,
    parsed_rows: Iterable[ParsedRow],
    unknown: Sequence[str],
    flags: Sequence[str],
    unused: Sequence[str],
) -> ImportPlan:
    by_key = {record.key: record for record in records.read_all(corpus)}
    to_write, kept, added, unchanged = [], [], 0, 0
    for parsed in parsed_rows:
        annotation = parsed.annotation
        before = by_key.get(annotation.key)
        if before is None:
            added += 1
            to_write.append(annotation)
        elif _is_equal(before, annotation):
            unchanged += 1
        elif before.updated_at >= annotation.updated_at or (
            not parsed.row.updated_at and before.source != SOURCE
        ):
            kept.append(annotation.key)
        else:
            to_write.append(annotation)
    return ImportPlan(
        to_write=tuple(to_write),
        registry=registry,
        added=added,
        replaced=len(to_write) - added,
        unchanged=unchanged,
        kept=tuple(sorted(kept)),
        unknown_clips=tuple(unknown),
        flags=tuple(flags),
        unused_columns=tuple(unused),
    )


def _is_equal(record: Annotation, imported: Annotation) -> bool:
    """Return whether two annotations differ only in time, source and film."""
    same = replace(
        imported, updated_at=record.updated_at, source=record.source, film_id=record.film_id
    )
    return replace(record, carried_from=None) == same
