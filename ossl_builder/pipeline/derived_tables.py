"""Build the tables and the verdicts from records that agree with each other."""

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
    """The verdict on each film of a corpus, reached anew.

    Args:
        today: the day of judgement; None: today.
    """
    day = today or date.today()
    return {film_id: verdict_of(corpus.source(film_id), day) for film_id in corpus.film_ids()}


def record_verdicts(corpus: Corpus, today: date | None = None) -> dict[str, str]:
    """Judge all films, and record each verdict that has changed with the day; the words, by film.

    The day is that on which the present word was first reached here, so that the record stays as
    it is from day to day. The caller holds the corpus' lock.
    """
    day = (today or date.today()).isoformat()
    path = corpus.root / VERDICTS
    before = files.read_json(path)
    known = before if isinstance(before, dict) else {}
    words = {film_id: verdict.word for film_id, verdict in verdicts_of(corpus, today).items()}
    recorded = {
        film_id: {"verdict": word, "reached": _reached(known.get(film_id), word) or day}
        for film_id, word in words.items()
    }
    if recorded != before:
        text = json.dumps(recorded, indent=1, sort_keys=True)
        files.write_bytes(path, text.encode() + b"\n")
    return dict(words)


def _reached(known: object, word: str) -> str | None:
    """The day that is recorded for this verdict; None: another verdict is, or none."""
    if isinstance(known, dict) and known.get("verdict") == word:
        day = known.get("reached")
        return day if isinstance(day, str) else None
    return None


def current_records(corpus: Corpus, today: date | None = None) -> dict[str, dict[str, Record]]:
    """For each stage, by film, the records that agree with those they were made from.

    What was made from scenes that have changed since is left out until it is made again: rows of
    a table always have their parents. A film whose rights do not let it be built is left out.
    """
    current: dict[str, dict[str, Record]] = {stage.name: {} for stage in STAGES}
    for film_id in corpus.film_ids():
        source = corpus.source(film_id)
        if gate.build_refusal(source, today or date.today()) is not None:
            continue
        content = {SOURCES.name: cache.hash_rows(SOURCES, (source,))}
        for stage in STAGES:
            record = records.read(corpus.root, stage.name, film_id)
            if record is None or record.state != "done" or not _agrees(stage, record, content):
                continue
            content[stage.writes.name] = record.content
            current[stage.name][film_id] = record
    return current


def _agrees(stage: Stage, record: Record, content: Mapping[str, str]) -> bool:
    return all(
        table in content and record.inputs.get(f"rows of {table}") == content[table]
        for table in stage.reads
    )


def refresh_tables(corpus: Corpus, today: date | None = None) -> tuple[str, ...]:
    """Write the tables that have changed, with the films' verdicts of the day; their names.

    A verdict is no part of a film's record: it changes with the day and makes no film stale.
    """
    words = record_verdicts(corpus, today)
    decided = {FILMS.name: {film_id: {"verdict": word} for film_id, word in words.items()}}
    return tables_io.write_tables(corpus.root, STAGES, current_records(corpus, today), decided)


@dataclass(frozen=True)
class End:
    """How a film stands after the stages asked for.

    `state` is done, rejected, failed, or waiting (nothing has been given to the last stage);
    `stage` is where it stands, `n_rows` what the last stage made.
    """

    film_id: str
    state: str
    stage: str
    n_rows: int = 0
    code: str = ""
    message: str = ""
    hint: str = ""


def end_of(corpus: Corpus, film_id: str, stages: Sequence[Stage]) -> End:
    """How a film stands: where it failed or was rejected first, or what the last stage made."""
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
    """How a film stands by the record of a stage that was not done."""
    return End(
        record.item_id, record.state, record.stage, 0, record.code, record.message, record.hint
    )
