"""Bring the stores up to date on the builder's engine: decide film by film, and run what is stale.

Films are taken one after the other in this process, so that a model is loaded once; a film's next
clips are decoded while it works.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ossl_builder.engine import cache, records
from ossl_builder.engine.cache import Decision
from ossl_builder.engine.run import run_item
from ossl_builder.engine.schedule import Event, Finished, Progressed, Started
from ossl_builder.engine.stage import Stage
from ossl_builder.errors import OsslError
from ossl_train.data import vivit
from ossl_train.data.codes import CODES_STAGE, codes_facts
from ossl_train.data.features import FEATURES_STAGE, features_facts
from ossl_train.data.source import Source
from ossl_train.data.storage import home
from ossl_train.data.text import TEXT_STAGE, Prompted, prompt_of, text_facts
from ossl_train.data.windows import FeaturesWork, codes_work, features_work, text_work, window_spans
from ossl_train.model_paths import NOT_HERE
from ossl_train.recipe import TrainRecipe

# Sizes of the published models, for estimates before one is here.
VIVIT_SHAPE = (32, 16, 196, 768)
BYTES_PER_S = 50 * 4 * 2  # of codes: frames per second, codebooks, 16 bits
BYTES_PER_PROMPT = 24 * 768 * 4


@dataclass(frozen=True)
class Job:
    """A stage with what it reads of each film.

    Attributes:
        stage, config: the stage and what it is told.
        rows: by film, its rows.
        facts: by film, the hash of what of them shapes its result.
        size_bytes: by film, what it will write, about.
    """

    stage: Stage
    config: Any
    rows: Mapping[str, tuple[Any, ...]]
    facts: Mapping[str, str]
    size_bytes: Mapping[str, int]


def features_job(source: Source, recipe: TrainRecipe) -> Job:
    """Features of all films in a split."""
    config = features_work(recipe)
    clips = {film: tuple(one.clip for one in source.of_film(film)) for film in source.film_ids()}
    _, slots, per_slot, width = _shape(config)
    size = (1 + slots * (per_slot if config.pooling == "all" else 1)) * width * 2
    return Job(
        stage=FEATURES_STAGE,
        config=config,
        rows=clips,
        facts={film: features_facts(rows) for film, rows in clips.items()},
        size_bytes={
            film: sum(len(window_spans(clip, config.windows)) for clip in rows) * size
            for film, rows in clips.items()
        },
    )


def codes_jobs(source: Source, recipe: TrainRecipe) -> tuple[Job, Job]:
    """Codes of all films in a split, and the states of their prompts."""
    codes = codes_work(recipe)
    clips = {film: tuple(one.clip for one in source.of_film(film)) for film in source.film_ids()}
    prompts = {
        film: tuple(
            Prompted(film, one.clip.clip_id, words)
            for one in source.of_film(film)
            if (words := prompt_of(one.label, recipe.prompts)) is not None
        )
        for film in clips
    }
    return (
        Job(
            stage=CODES_STAGE,
            config=codes,
            rows=clips,
            facts={film: codes_facts(rows) for film, rows in clips.items()},
            size_bytes={
                film: round(sum(clip.duration_s for clip in rows) * BYTES_PER_S)
                for film, rows in clips.items()
            },
        ),
        Job(
            stage=TEXT_STAGE,
            config=text_work(recipe),
            rows=prompts,
            facts={film: text_facts(rows) for film, rows in prompts.items()},
            size_bytes={film: len(rows) * BYTES_PER_PROMPT for film, rows in prompts.items()},
        ),
    )


def _shape(config: FeaturesWork) -> tuple[int, int, int, int]:
    if vivit.digest(config.encoder, config.revision) == NOT_HERE:
        return VIVIT_SHAPE
    return vivit.shape(config.encoder, config.revision)


def plan(root: Path, jobs: Sequence[Job]) -> list[Decision]:
    """For each film and stage: whether it would run, and why."""
    return [
        Decision(job.stage.name, film_id, "run" if why else "fresh", why)
        for job in jobs
        for film_id, _, why in _stale(root, job)
    ]


def _stale(root: Path, job: Job) -> Iterator[tuple[str, dict[str, str], str]]:
    """Film, inputs, and why it must run; empty: it need not."""
    shaping = cache.shaping_of(job.stage, job.config)
    (table,) = job.stage.reads
    for film_id in sorted(job.rows):
        inputs = cache.inputs_of(job.stage, shaping, {table: job.facts[film_id]})
        record = records.read(root, job.stage.name, film_id)
        yield film_id, inputs, cache.why_stale(root, record, inputs)


def expected_bytes(jobs: Sequence[Job], decisions: Sequence[Decision]) -> int:
    """What would be written, about."""
    sizes = {job.stage.name: job.size_bytes for job in jobs}
    return sum(sizes[one.stage][one.item_id] for one in decisions if one.action == "run")


def prepare(root: Path, jobs: Sequence[Job], tell: Callable[[str, Event], None]) -> None:
    """Run what is stale; the caller holds the lock.

    Args:
        root: the corpus or the export.
        jobs: what is wanted.
        tell: is told what begins, goes on and ends.

    Raises:
        OsslError: what stops the whole run: a model that cannot be had, a full disk.
    """
    _check_room(root, expected_bytes(jobs, plan(root, jobs)))
    for job in jobs:
        if not any(why for _, _, why in _stale(root, job)):
            continue
        # Only with its model here can a stage say which model it is.
        job.stage.prepare(job.config)
        for film_id, inputs, why in list(_stale(root, job)):
            if why:
                tell(film_id, Started(job.stage.name))
                tell(film_id, Finished(_run(root, job, film_id, inputs, tell)))


def _run(
    root: Path,
    job: Job,
    film_id: str,
    inputs: dict[str, str],
    tell: Callable[[str, Event], None],
) -> records.Record:
    (table,) = job.stage.reads
    return run_item(
        job.stage,
        film_id,
        root,
        home(film_id),
        job.config,
        {table: job.rows[film_id]},
        inputs,
        lambda part: tell(film_id, Progressed(job.stage.name, part)),
    )


def _check_room(root: Path, needed: int) -> None:
    free = shutil.disk_usage(root).free
    if needed > free:
        raise OsslError(
            "disk_small",
            f"About {needed / 1e9:.1f} GB are needed, and the disk that holds {root} has "
            f"{free / 1e9:.1f} GB free.",
            "Make room; or use `--set features.pooling=time_slots`, which takes 180 times less.",
        )
