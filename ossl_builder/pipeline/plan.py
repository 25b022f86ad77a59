"""Describe the work on films for the scheduler: stages, settings and recorded inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ossl_builder.config import Recipe
from ossl_builder.corpus import Corpus
from ossl_builder.engine import cache, schedule
from ossl_builder.engine.cache import Decision
from ossl_builder.engine.schedule import Given, ItemState
from ossl_builder.engine.stage import Stage
from ossl_builder.rights import verdict
from ossl_builder.stages.registry import STAGES
from ossl_builder.tables import SOURCES

WRITERS = {stage.writes.name: stage for stage in STAGES}


@dataclass(frozen=True)
class FilmWork:
    """Stages to run over the films of a corpus, by a recipe."""

    corpus: Corpus
    recipe: Recipe
    stage_names: tuple[str, ...]

    @property
    def root(self) -> Path:
        """The corpus' folder."""
        return self.corpus.root

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages to run, in order."""
        return tuple(stage for stage in STAGES if stage.name in self.stage_names)

    def config(self, stage: Stage) -> Any:
        """Return the settings of a stage."""
        return self.recipe.of(stage.name)

    def item(self, film_id: str, shaping: Mapping[str, dict[str, str]]) -> ItemState:
        """Return the state of a film after the stages that come before the ones to run."""
        source = self.corpus.source(film_id)
        source_rows = Given(cache.hash_rows(SOURCES, (source,)), lambda: (source,))
        film = ItemState(
            root=self.root,
            item_id=film_id,
            home=self.corpus.film_home(film_id),
            shaping=shaping,
            given={SOURCES.name: source_rows},
            writers=WRITERS,
            refusal=verdict.build_refusal(source, date.today()),
        )
        for stage in STAGES:
            if stage.name in self.stage_names:
                break
            film.accept(stage, film.record(stage))
        return film


def plan(
    corpus: Corpus, recipe: Recipe, film_ids: Sequence[str], stages: Sequence[Stage]
) -> list[Decision]:
    """Decide for each film and stage whether it must run, and why; run nothing."""
    return list(schedule.plan(work_of(corpus, recipe, stages), film_ids))


def work_of(corpus: Corpus, recipe: Recipe, stages: Sequence[Stage]) -> FilmWork:
    """Return the work of running these stages over the films of a corpus."""
    return FilmWork(corpus, recipe, tuple(stage.name for stage in stages))
