"""Decide for a film which stages must run, from the records of what is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from ossl_builder.config import Recipe
from ossl_builder.corpus import Corpus
from ossl_builder.engine import cache, records
from ossl_builder.engine.cache import Decision
from ossl_builder.engine.records import Record
from ossl_builder.engine.stage import Stage
from ossl_builder.pipeline.stages import STAGES, writer_of
from ossl_builder.rights import verdict
from ossl_builder.tables import SOURCES

# For each stage, by name, what shapes its results for all films alike.
Shaping = Mapping[str, dict[str, str]]


@dataclass
class FilmAtWork:
    """What is known of a film while its stages are gone through.

    `refusal` says why its rights do not let it be built today; None: they do. The day decides it
    anew each time, so it is in no key and no record.
    """

    corpus: Corpus
    shaping: Shaping
    film_id: str
    refusal: str | None = None
    content: dict[str, str] = field(default_factory=dict)

    def inputs(self, stage: Stage) -> dict[str, str]:
        """Everything that shapes what the stage makes of the film."""
        return cache.inputs_of(stage, self.shaping[stage.name], self.content)

    def record(self, stage: Stage) -> Record | None:
        """How the stage ended with the film when it last ran."""
        return records.read(self.corpus.root, stage.name, self.film_id)

    def decide(self, stage: Stage) -> Decision:
        """Whether the stage would run on the film as things stand."""
        if self.refusal is not None and SOURCES.name in stage.reads:
            return Decision(stage.name, self.film_id, "refused", self.refusal)
        lacking = [table for table in stage.reads if table not in self.content]
        if lacking:
            why = f"has no {' and no '.join(lacking)}"
            return Decision(stage.name, self.film_id, "blocked", why)
        why = cache.why_stale(self.corpus.root, self.record(stage), self.inputs(stage))
        return Decision(stage.name, self.film_id, "run" if why else "fresh", why)

    def take(self, stage: Stage, record: Record | None) -> None:
        """Let later stages build on what this stage made of the film."""
        if record is not None and record.state == "done" and self.refusal is None:
            self.content[stage.writes.name] = record.content

    def rows(self, stage: Stage) -> dict[str, tuple[Any, ...]]:
        """What the stage is given of the film, by table."""
        return {
            table: (self.corpus.source(self.film_id),)
            if table == SOURCES.name
            else records.read_rows(self.corpus.root, writer_of(table), self.film_id)
            for table in stage.reads
        }


def shaping_of(recipe: Recipe, stages: Sequence[Stage]) -> Shaping:
    """What shapes the results of these stages by a recipe."""
    return {stage.name: cache.shaping_of(stage, recipe.of(stage.name)) for stage in stages}


def film_before(
    corpus: Corpus, shaping: Shaping, film_id: str, stages: Sequence[Stage]
) -> FilmAtWork:
    """A film with what the stages before `stages` made of it."""
    source = corpus.source(film_id)
    film = FilmAtWork(corpus, shaping, film_id, verdict.build_refusal(source, date.today()))
    film.content[SOURCES.name] = cache.hash_rows(SOURCES, (source,))
    for stage in STAGES:
        if stage in stages:
            break
        film.take(stage, film.record(stage))
    return film
