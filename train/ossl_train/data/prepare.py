"""Bring stored features, codes and text up to date on the builder's engine.

Films are encoded one after the other in this process, so that a model is loaded once. The next
clips of a film are decoded while the model works.
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
from ossl_builder.models.hub import NOT_HERE
from ossl_train.data.codes import (
    CODES_STAGE,
    TEXT_STAGE,
    ClipPrompt,
    CodesStageSettings,
    TextStageSettings,
    codes_input_hash,
    prompt_of,
    text_input_hash,
)
from ossl_train.data.features import (
    FEATURES_STAGE,
    FeaturesStageSettings,
    encoder_digest,
    encoder_shape,
    features_input_hash,
)
from ossl_train.data.source import Source
from ossl_train.data.storage import store_folder
from ossl_train.data.windows import window_spans
from ossl_train.recipe import TrainRecipe

# Sizes of the published models, for estimates before a model is on this machine.
VIVIT_SHAPE = (32, 16, 196, 768)
BYTES_PER_S = 50 * 4 * 2  # of codes: frames per second, codebooks, 16 bits
BYTES_PER_PROMPT = 24 * 768 * 4


@dataclass(frozen=True)
class Job:
    """A stage with its input for each film.

    Attributes:
        stage, config: the stage and its settings.
        rows: its input rows, by film.
        facts: the hash of what the result depends on, by film.
        size_bytes: the approximate size of the result, by film.
    """

    stage: Stage
    config: Any
    rows: Mapping[str, tuple[Any, ...]]
    facts: Mapping[str, str]
    size_bytes: Mapping[str, int]


def features_jobs(source: Source, recipe: TrainRecipe) -> tuple[Job, ...]:
    """Return the job of `ossl train features`: features of all films in a split."""
    config = FeaturesStageSettings(**recipe.features.model_dump(), **recipe.windows.model_dump())
    clips = _clips(source)
    if encoder_digest(config.encoder, config.revision) == NOT_HERE:
        _, slots, per_slot, width = VIVIT_SHAPE
    else:
        _, slots, per_slot, width = encoder_shape(config.encoder, config.revision)
    size = (1 + slots * (per_slot if config.pooling == "all" else 1)) * width * 2
    job = Job(
        stage=FEATURES_STAGE,
        config=config,
        rows=clips,
        facts={film: features_input_hash(rows) for film, rows in clips.items()},
        size_bytes={
            film: sum(len(window_spans(clip, config)) for clip in rows) * size
            for film, rows in clips.items()
        },
    )
    return (job,)


def codes_jobs(source: Source, recipe: TrainRecipe) -> tuple[Job, ...]:
    """Return the jobs of `ossl train codes`: codes of all films in a split, and prompt states."""
    model: dict[str, Any] = recipe.model.model_dump(include={"source", "backbone"})
    clips = _clips(source)
    prompts = {
        film: tuple(
            ClipPrompt(film, one.clip.clip_id, prompt)
            for one in source.of_film(film)
            if (prompt := prompt_of(one.label, recipe.prompts)) is not None
        )
        for film in clips
    }
    return (
        Job(
            stage=CODES_STAGE,
            config=CodesStageSettings(
                **model, **recipe.codes.model_dump(), **recipe.windows.model_dump()
            ),
            rows=clips,
            facts={film: codes_input_hash(rows) for film, rows in clips.items()},
            size_bytes={
                film: round(sum(clip.duration_s for clip in rows) * BYTES_PER_S)
                for film, rows in clips.items()
            },
        ),
        Job(
            stage=TEXT_STAGE,
            config=TextStageSettings(**model, device=recipe.prompts.device),
            rows=prompts,
            facts={film: text_input_hash(rows) for film, rows in prompts.items()},
            size_bytes={film: len(rows) * BYTES_PER_PROMPT for film, rows in prompts.items()},
        ),
    )


def _clips(source: Source) -> dict[str, tuple[Any, ...]]:
    return {film: tuple(one.clip for one in source.of_film(film)) for film in source.film_ids()}


def plan(root: Path, jobs: Sequence[Job]) -> list[Decision]:
    """Decide for each film and stage whether it would run, with the reason."""
    return [
        Decision(job.stage.name, film_id, "run" if why else "fresh", why)
        for job in jobs
        for film_id, _, why in _decisions(root, job)
    ]


def _decisions(root: Path, job: Job) -> Iterator[tuple[str, dict[str, str], str]]:
    """Yield film, inputs, and the reason to run; the reason is empty if it is up to date."""
    shaping = cache.shaping_of(job.stage, job.config)
    (table,) = job.stage.reads
    for film_id in sorted(job.rows):
        inputs = cache.inputs_of(job.stage, shaping, {table: job.facts[film_id]})
        record = records.read(root, job.stage.name, film_id)
        yield film_id, inputs, cache.why_stale(root, record, inputs)


def expected_bytes(jobs: Sequence[Job], decisions: Sequence[Decision]) -> int:
    """Return the approximate number of bytes that would be written."""
    sizes = {job.stage.name: job.size_bytes for job in jobs}
    return sum(sizes[one.stage][one.item_id] for one in decisions if one.action == "run")


def prepare(root: Path, jobs: Sequence[Job], report: Callable[[str, Event], None]) -> None:
    """Run what is stale; the caller holds the lock of the corpus.

    Args:
        root: the corpus or the export.
        jobs: see `features_jobs` and `codes_jobs`.
        report: called with film and event when an item starts, advances and ends.

    Raises:
        OsslError: what stops the whole run: `disk_small`, a model that cannot be loaded.
    """
    needed, free = expected_bytes(jobs, plan(root, jobs)), shutil.disk_usage(root).free
    if needed > free:
        raise OsslError(
            "disk_small",
            f"About {needed / 1e9:.1f} GB are needed, and the disk that holds {root} has "
            f"{free / 1e9:.1f} GB free.",
            "Free disk space; or use `--set features.pooling=time_slots`, which needs 180 times "
            "less.",
        )
    for job in jobs:
        if not any(why for _, _, why in _decisions(root, job)):
            continue
        # The digest of a model, which decides what is stale, is known only once it is loaded.
        job.stage.prepare(job.config)
        for film_id, inputs, why in list(_decisions(root, job)):
            if why:
                report(film_id, Started(job.stage.name))
                report(film_id, Finished(_run(root, job, film_id, inputs, report)))


def _run(
    root: Path,
    job: Job,
    film_id: str,
    inputs: dict[str, str],
    report: Callable[[str, Event], None],
) -> records.Record:
    (table,) = job.stage.reads
    return run_item(
        job.stage,
        film_id,
        root,
        store_folder(film_id),
        job.config,
        {table: job.rows[film_id]},
        inputs,
        lambda part: report(film_id, Progressed(job.stage.name, part)),
    )


def results(root: Path, jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Return how each film ended in each stage, as plain values."""
    ends = []
    for job in jobs:
        for film_id in sorted(job.rows):
            record = records.read(root, job.stage.name, film_id)
            assert record is not None, "every film has ended"
            ends.append(
                {
                    "film_id": film_id,
                    "stage": job.stage.name,
                    "state": record.state,
                    "n_rows": record.n_rows,
                    "left_out": record.rejects,
                    "code": record.code,
                    "message": record.message,
                    "hint": record.hint,
                }
            )
    return ends
