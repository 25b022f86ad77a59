"""Annotations from files of others into the records."""

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
SHOWN_FAULTS = 100


@dataclass(frozen=True)
class Options:
    """How a file is to be understood.

    Attributes:
        columns: our name to the file's, for columns that are called otherwise there.
        people: a name in the file to who that is: an id, an e-mail address or a name.
        annotator: who all rows are from that do not say so.
        partial: required answers may be missing.
    """

    columns: Mapping[str, str]
    people: Mapping[str, str]
    annotator: str = ""
    partial: bool = False


@dataclass(frozen=True)
class Plan:
    """What an import would do.

    Attributes:
        to_write: annotations that are new or replace an older one.
        key: the annotators' key, with those who are new.
        added: how many are new.
        replaced: how many replace an older one.
        unchanged: how many stand there already.
        kept: (clip, annotator) where the record is newer, or the row without a date.
        unknown_clips: clips of the file that the corpus has not.
        flags: what should be looked at, a sentence each.
        unused_columns: columns of the file that were left out.
    """

    to_write: tuple[Annotation, ...]
    key: AnnotatorRegistry
    added: int
    replaced: int
    unchanged: int
    kept: tuple[tuple[str, str], ...]
    unknown_clips: tuple[str, ...]
    flags: tuple[str, ...]
    unused_columns: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """A row that is an annotation.

    Attributes:
        row: the row.
        annotation: what it says.
        updated_at: when, more exactly than a record says it.
        flags: what is odd about it.
    """

    row: ImportRow
    annotation: Annotation
    updated_at: datetime
    flags: tuple[str, ...]


def plan(
    corpus: Path, clips: Iterable[Clip], taxonomy: LabelSchema, path: Path, options: Options
) -> Plan:
    """Read and check a file; nothing is written.

    A row without a date counts as old as the file, and never replaces what was not imported.

    Raises:
        OsslError: `import_unreadable`; `import_columns`; `import_invalid`, with every bad row.
    """
    rows, unused = read_rows(path, taxonomy, options.columns)
    film_of = {clip.clip_id: clip.film_id for clip in clips}
    here = [row for row in rows if row.clip_id in film_of or not row.clip_id or row.problems]
    file_date = datetime.fromtimestamp(min(path.stat().st_mtime, time.time()), UTC)
    key = AnnotatorRegistry.load(corpus)
    # An id of the file means somebody: people who come with a name only get others.
    key.reserve(_who(row, options) for row in rows)
    problems: list[str] = []
    flags: list[str] = []
    newest: dict[tuple[str, str], Found] = {}
    for row in here:
        found = _annotation(row, film_of, taxonomy, options, key, file_date)
        if isinstance(found, list):
            problems += [f"{row.where}: {problem}" for problem in found]
            continue
        flags += [f"{row.where}: {flag}" for flag in found.flags]
        problems += _keep_newest(newest, found)
    if problems:
        shown = problems[:SHOWN_FAULTS]
        if len(problems) > len(shown):
            shown.append(f"and {len(problems) - len(shown)} more")
        raise OsslError(
            "import_invalid",
            f"{path.name} holds {len(problems)} faults, and nothing was imported:\n"
            + "".join(f"  {problem}\n" for problem in shown),
            "Mend them, or leave these rows out; --partial lets required answers be missing.",
        )
    unknown = sorted({row.clip_id for row in rows if row.clip_id} - set(film_of))
    return _against_records(corpus, key, newest.values(), unknown, flags, unused)


def carry_out(corpus: Path, planned: Plan) -> None:
    """Write what was planned. The caller holds the corpus' lock."""
    # The key first: a record whose annotator nobody can name is worse than a name without record.
    if planned.to_write:
        planned.key.save()
    records.put(corpus, planned.to_write)


def _annotation(
    row: ImportRow,
    film_of: Mapping[str, str],
    taxonomy: LabelSchema,
    options: Options,
    key: AnnotatorRegistry,
    file_date: datetime,
) -> Found | list[str]:
    """A row as an annotation; or what is wrong with it."""
    if row.problems:
        return list(row.problems)
    received = validation.receive(taxonomy, row.answers, options.partial)
    is_answered = row.state == "answered"
    problems = list(received.problems) if is_answered else []
    if not row.clip_id:
        problems.append("it names no clip")
    if row.state not in STATES:
        problems.append(f"its state is {parse.shown(row.state)}, not one of {', '.join(STATES)}")
    if is_answered and not received.answers and not problems:
        problems.append("it answers nothing")
    if row.schema not in ("", taxonomy.version):
        problems.append(f"it was given under {parse.cut(row.schema)}, not {taxonomy.version}")
    who = _who(row, options)
    if not who:
        problems.append("it does not say who it is from (--annotator names one for all)")
    try:
        updated_at = parse.moment(row.updated_at) if row.updated_at else file_date
    except ValueError:
        problems.append(
            f"{parse.shown(row.updated_at)} is no date as ISO 8601 writes it, from 1970 to today"
        )
    if problems:
        return problems
    annotation = Annotation(
        film_id=film_of[row.clip_id],
        clip_id=row.clip_id,
        annotator=_id_of(who, key),
        schema=taxonomy.version,
        state=row.state,
        answers={} if row.state == "skipped" else received.answers,
        source=SOURCE,
        updated_at=updated_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    return Found(row, annotation, updated_at, received.flags)


def _id_of(who: str, key: AnnotatorRegistry) -> str:
    if annotators.ID.fullmatch(who):
        return who
    return key.id_of(email=who) if "@" in who else key.id_of(name=who)


def _who(row: ImportRow, options: Options) -> str:
    """Who a row is from, as an id, an e-mail address or a name; empty: it is not told."""
    who = row.who or options.annotator
    return options.people.get(who, who)


def _keep_newest(newest: dict[tuple[str, str], Found], found: Found) -> list[str]:
    """Remember the newest row of a clip and annotator; what is wrong if none is the newest."""
    before = newest.get(found.annotation.key)
    if before is not None:
        if found.updated_at < before.updated_at or found.annotation == before.annotation:
            return []
        if found.updated_at == before.updated_at:
            same = f"{before.row.where} is of the same clip, person and date"
            return [f"{found.row.where}: {same}"]
    newest[found.annotation.key] = found
    return []


def _against_records(
    corpus: Path,
    key: AnnotatorRegistry,
    found: Iterable[Found],
    unknown: Sequence[str],
    flags: Sequence[str],
    unused: Sequence[str],
) -> Plan:
    known = {record.key: record for record in records.read_all(corpus)}
    to_write, kept, added, unchanged = [], [], 0, 0
    for one in found:
        annotation = one.annotation
        before = known.get(annotation.key)
        if before is None:
            added += 1
            to_write.append(annotation)
        elif _says_the_same(before, annotation):
            unchanged += 1
        elif before.updated_at >= annotation.updated_at or (
            not one.row.updated_at and before.source != SOURCE
        ):
            kept.append(annotation.key)
        else:
            to_write.append(annotation)
    return Plan(
        to_write=tuple(to_write),
        key=key,
        added=added,
        replaced=len(to_write) - added,
        unchanged=unchanged,
        kept=tuple(sorted(kept)),
        unknown_clips=tuple(unknown),
        flags=tuple(flags),
        unused_columns=tuple(unused),
    )


def _says_the_same(one: Annotation, other: Annotation) -> bool:
    same = replace(other, updated_at=one.updated_at, source=one.source, film_id=one.film_id)
    return replace(one, carried_from=None) == same
