"""Make the fingerprints of imported clips, which have no film."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ossl_builder.config import Recipe
from ossl_builder.corpus import Corpus
from ossl_builder.engine import cache, records, schedule, tables_io
from ossl_builder.engine.cache import Decision
from ossl_builder.engine.executors.local import processes
from ossl_builder.engine.records import Record
from ossl_builder.engine.schedule import Given, ItemState, Tell
from ossl_builder.engine.stage import Stage
from ossl_builder.stages.fingerprints.stage import FINGERPRINTS_STAGE
from ossl_builder.tables import CLIPS, Clip

STAGE = FINGERPRINTS_STAGE


@dataclass(frozen=True)
class ClipWork:
    """The fingerprints stage over the clips of an imported corpus, film by film.

    `clips` caches the clips by film; the clips of other films are read on demand.
    """

    corpus: Corpus
    recipe: Recipe
    clips: Mapping[str, tuple[Clip, ...]] = field(default_factory=dict)

    def __reduce__(self) -> tuple[Any, ...]:
        # A process that handles one film does not need the clips of all films.
        return ClipWork, (self.corpus, self.recipe)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The fingerprints stage."""
        return (STAGE,)

    @property
    def root(self) -> Path:
        """The folder of the corpus."""
        return self.corpus.root

    def config(self, stage: Stage) -> Any:
        """Return the settings of the stage."""
        return self.recipe.of(stage.name)

    def item(self, film_id: str, shaping: Mapping[str, dict[str, str]]) -> ItemState:
        """Return a film with the rows of its clips as the stage's input."""
        clips = self.clips.get(film_id) or _clips_of(self.corpus, film_id)
        return ItemState(
            root=self.root,
            item_id=film_id,
            home=self.corpus.film_home(film_id),
            shaping=shaping,
            given={CLIPS.name: Given(cache.hash_rows(CLIPS, clips), lambda: clips)},
        )


def plan(corpus: Corpus, recipe: Recipe, film_ids: Sequence[str]) -> list[Decision]:
    """Decide for each film that has clips whether its fingerprints must be made, and why.

    Raises:
        OsslError: `table_missing`, `table_version`.
    """
    clips = {film: rows for film, rows in _clips_by_film(corpus).items() if film in film_ids}
    return list(schedule.plan(ClipWork(corpus, recipe, clips), list(clips)))


def build(
    corpus: Corpus, recipe: Recipe, film_ids: Sequence[str], n_workers: int, tell: Tell
) -> None:
    """Make the fingerprints that are not up to date; write the table at the end, even on error.

    The caller must hold the corpus' lock.

    Raises:
        OsslError: an error that stops the whole run (`disk_full`).
    """
    waiting = [
        decision.item_id for decision in plan(corpus, recipe, film_ids) if decision.action == "run"
    ]
    try:
        schedule.run(ClipWork(corpus, recipe), waiting, tell, processes, n_workers)
    finally:
        refresh(corpus)


def refresh(corpus: Corpus) -> None:
    """Write the table from the records that were made from the current clips."""
    current: dict[str, Record] = {}
    for film_id, clips in _clips_by_film(corpus).items():
        record = records.read(corpus.root, STAGE.name, film_id)
        if record is None or record.state != "done":
            continue
        if record.inputs.get(f"rows of {CLIPS.name}") == cache.hash_rows(CLIPS, clips):
            current[film_id] = record
    if current or (corpus.root / "manifests" / f"{STAGE.writes.name}.parquet").exists():
        tables_io.write_tables(corpus.root, (STAGE,), {STAGE.name: current})


def _clips_by_film(corpus: Corpus) -> dict[str, tuple[Clip, ...]]:
    clips_of: dict[str, list[Clip]] = {}
    for clip in tables_io.read_table(corpus.root / "manifests", CLIPS):
        clips_of.setdefault(clip.film_id, []).append(clip)
    return {film_id: tuple(clips) for film_id, clips in clips_of.items()}


def _clips_of(corpus: Corpus, film_id: str) -> tuple[Clip, ...]:
    import pyarrow.compute as pc

    table = tables_io.read_arrow(corpus.root / "manifests", CLIPS)
    return tuple(
        map(CLIPS.from_json, table.filter(pc.equal(table["film_id"], film_id)).to_pylist())
    )
