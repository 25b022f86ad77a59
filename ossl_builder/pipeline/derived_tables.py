"""Write the tables and the verdicts from those records that match their inputs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from ossl_builder import files
from ossl_builder.corpus import Corpus
from ossl_builder.engine import cache, records, tables_io
from ossl_builder.engine.records import Record
from ossl_builder.engine.stage import Stage
from ossl_builder.rights import Verdict, verdict_of
from ossl_builder.rights import verdict as gate
from ossl_builder.stages.registry import STAGES
from ossl_builder.tables import FILMS, SOURCES

VERDICTS = "records/verdicts.json"


def verdicts_of(corpus: Corpus, today: date | None = None) -> dict[str, Verdict]:
    """Return the rights verdict on each film of a corpus, computed now.

    Args:
        corpus: the corpus.
        today: the date for which the verdict holds; None: today.
    """
    day = today or date.today()
    return {film_id: verdict_of(corpus.source(film_id), day) for film_id in corpus.film_ids()}


def record_verdicts(corpus: Corpus, today: date | None = None) -> dict[str, str]:
    """Compute the verdicts on all films and write `records/verdicts.json` if one has changed.

    The file stores the date on which each verdict was first reached here, so that it does not
    change every day. The caller must hold the corpus' lock.

    Returns:
        The verdict's word, by film id.
    """
    day = (today or date.today()).isoformat()
    path = corpus.root / VERDICTS
    before = files.read_json(path)
    entries = before if isinstance(before, dict) else {}
    words = {film_id: verdict.word for film_id, verdict in verdicts_of(corpus, today).items()}
    recorded = {
        film_id: {"verdict": word, "reached": _recorded_date(entries.get(film_id), word) or day}
        for film_id, word in words.items()
    }
    if recorded != before:
        text = json.dumps(recorded, indent=1, sort_keys=True)
        files.write_bytes(path, text.encode() + b"\n")
    return dict(words)


def _recorded_date(entry: object, word: str) -> str | None:
    """Return the recorded date of this verdict; None: no verdict, or another one, is recorded."""
    if isinstance(entry, dict) and entry.get("verdict") == word:
        day = entry.get("reached")
        return day if isinstance(day, str) else None
    return None


def current_records(corpus: Corpus, today: date | None = None) -> dict[str, dict[str, Record]]:
    """Return, by stage and film, the records whose inputs match the current upstream records.

    A record that was made from rows that have changed since is left out, so that each row of a
    table has its parent row. Films that must not be built because of their rights are left out.
    """
    current: dict[str, dict[str, Record]] = {stage.name: {} for stage in STAGES}
    for film_id in corpus.film_ids():
        source = corpus.source(film_id)
        if gate.build_refusal(source, today or date.today()) is not None:
            continue
        content = {SOURCES.name: cache.hash_rows(SOURCES, (source,))}
        for stage in STAGES:
            record = records.read(corpus.root, stage.name, film_id)
            if record is None or record.state != "done" or not _is_current(stage, record, content):
                continue
            content[stage.writes.name] = record.content
            current[stage.name][film_id] = record
    return current


def _is_current(stage: Stage, record: Record, content: Mapping[str, str]) -> bool:
    return all(
        table in content and record.inputs.get(f"rows of {table}") == content[table]
        for table in stage.reads
    )


def refresh_tables(corpus: Corpus, today: date | None = None) -> tuple[str, ...]:
    """Write the tables that have changed, with the current verdicts; return their names.

    A verdict is not part of a film's record: it changes with the date and makes no film stale.
    """
    words = record_verdicts(corpus, today)
    decided = {FILMS.name: {film_id: {"verdict": word} for film_id, word in words.items()}}
    return tables_io.write_tables(corpus.root, STAGES, current_records(corpus, today), decided)


@dataclass(frozen=True)
class End:
    """The state of a film after a sequence of stages.

    Attributes:
        film_id: the film.
        state: done, rejected, failed, or waiting (the last stage has not run).
        stage: the stage that failed or rejected the film; else the last stage.
        n_rows: number of rows of the last stage, if done.
        code, message, hint: why the film was rejected or failed.
    """

    film_id: str
    state: str
    stage: str
    n_rows: int = 0
    code: str = ""
    message: str = ""
    hint: str = ""


def end_of(corpus: Corpus, film_id: str, stages: Sequence[Stage]) -> End:
    """Return the state of a film: its first failure or rejection, or the last stage's result."""
    last = None
    refusal = gate.build_refusal(corpus.source(film_id), date.today())
    if refusal is not None:
        return End(film_id, "rejected", STAGES[0].name, 0, gate.REASON, refusal)
    for stage in stages:
        record = records.read(corpus.root, stage.name, film_id)
        if record is not None and record.state != "done":
            return end_by(record)
        last = record
    if last is None:
        return End(film_id, "waiting", stages[-1].name)
    return End(film_id, "done", stages[-1].name, last.n_rows)


def end_by(record: Record) -> End:
    """Return the state of a film from the record of a stage that failed or rejected it."""
    return End(
        record.item_id, record.state, record.stage, 0, record.code, record.message, record.hint
    )
