"""Fingerprints of imported clips: the one stage that needs clips only, and no film."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from ossl_builder.config import Recipe
from ossl_builder.corpus import Corpus
from ossl_builder.engine import cache, records, tables_io
from ossl_builder.engine.cache import Decision
from ossl_builder.engine.executors import local
from ossl_builder.engine.records import Record
from ossl_builder.engine.run import run_item
from ossl_builder.pipeline.build import Event, Finished, Started
from ossl_builder.stages.fingerprints.stage import FINGERPRINTS_STAGE
from ossl_builder.tables import CLIPS, Clip

STAGE = FINGERPRINTS_STAGE
ROWS = f"rows of {CLIPS.name}"


def plan(corpus: Corpus, recipe: Recipe, film_ids: Sequence[str]) -> Iterator[Decision]:
    """For each film that has clips: whether fingerprints would be taken, and why.

    Raises:
        OsslError: `table_missing`, `table_version`.
    """
    shaping = cache.shaping_of(STAGE, recipe.of(STAGE.name))
    for film_id, clips in _by_film(corpus).items():
        if film_id in film_ids:
            inputs = _inputs(shaping, clips)
            record = records.read(corpus.root, STAGE.name, film_id)
            why = cache.why_stale(corpus.root, record, inputs)
            yield Decision(STAGE.name, film_id, "run" if why else "fresh", why)


def take(
    corpus: Corpus, recipe: Recipe, film_ids: Sequence[str], n_workers: int
) -> Iterator[tuple[str, Event]]:
    """Take what is stale, and write the table; the caller holds the corpus' lock.

    Raises:
        OsslError: what stops the whole run (`disk_full`, `worker_died`).
    """
    todo = [one.item_id for one in plan(corpus, recipe, film_ids) if one.action == "run"]
    try:
        for said in local.run_all(partial(_take_film, corpus, recipe), todo, n_workers):
            if isinstance(said, local.Message):
                yield said.item_id, said.value
            elif said.error is not None:
                raise said.error
    finally:
        refresh(corpus)


def refresh(corpus: Corpus) -> None:
    """Write the table anew from the records that belong to the clips as they are now."""
    current: dict[str, Record] = {}
    for film_id, clips in _by_film(corpus).items():
        record = records.read(corpus.root, STAGE.name, film_id)
        if record is None or record.state != "done":
            continue
        if record.inputs.get(ROWS) == cache.hash_rows(CLIPS, clips):
            current[film_id] = record
    if current or (corpus.root / "manifests" / f"{STAGE.writes.name}.parquet").exists():
        tables_io.write_tables(corpus.root, (STAGE,), {STAGE.name: current})


def _by_film(corpus: Corpus) -> dict[str, tuple[Clip, ...]]:
    found: dict[str, list[Clip]] = {}
    for clip in tables_io.read_table(corpus.root / "manifests", CLIPS):
        found.setdefault(clip.film_id, []).append(clip)
    return {film_id: tuple(clips) for film_id, clips in found.items()}


def _clips_of(corpus: Corpus, film_id: str) -> tuple[Clip, ...]:
    import pyarrow.compute as pc

    table = tables_io.read_arrow(corpus.root / "manifests", CLIPS)
    own = table.filter(pc.equal(table["film_id"], film_id))
    return tuple(map(CLIPS.from_json, own.to_pylist()))


def _inputs(shaping: dict[str, str], clips: tuple[Clip, ...]) -> dict[str, str]:
    return cache.inputs_of(STAGE, shaping, {CLIPS.name: cache.hash_rows(CLIPS, clips)})


def _take_film(corpus: Corpus, recipe: Recipe, film_id: str, send: Callable[[Event], None]) -> None:
    """Run in a process of its own."""
    clips = _clips_of(corpus, film_id)
    config = recipe.of(STAGE.name)
    send(Started(STAGE.name))
    record = run_item(
        STAGE,
        film_id,
        corpus.root,
        corpus.film_home(film_id),
        config,
        {CLIPS.name: clips},
        _inputs(cache.shaping_of(STAGE, config), clips),
        lambda part: None,
    )
    send(Finished(record))
