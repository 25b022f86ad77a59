"""Bring stored features, codes and text up to date on the builder's engine.

Films are encoded one after the other in this process, so that a model is loaded once. The next
clips of a film are decoded while the model works.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ossl_builder.engine import records, schedule
from ossl_builder.engine.cache import Decision
from ossl_builder.engine.executors import inline
from ossl_builder.engine.schedule import Given, ItemState, Tell
from ossl_builder.engine.stage import Stage
from ossl_builder.errors import OsslError
from ossl_builder.models.hub import NOT_HERE
from ossl_builder.tables import Clip
from ossl_train.data.codes import (
    CODES_STAGE,
    TEXT_STAGE,
    ClipPrompt,
    CodesStageSettings,
    TextStageSettings,
    caption_model,
    codes_input_hash,
    prompt_of,
    text_input_hash,
)
from ossl_train.data.events import ClipCuts, cuts_of
from ossl_train.data.features import (
    FEATURES_STAGE,
    FeaturesStageSettings,
    features_input_hash,
)
from ossl_train.data.source import Source
from ossl_train.data.storage import store_folder
from ossl_train.data.video_encoder import EncoderShape, encoder_digest, encoder_shape
from ossl_train.data.windows import WindowsSettings, window_spans
from ossl_train.recipe import TrainRecipe

# Sizes of the published models, for estimates before a model is on this machine.
VIVIT_SHAPE = EncoderShape(32, 16, 196, 768)
BYTES_PER_S = 50 * 4 * 2  # of codes: frames per second, codebooks, 16 bits
BYTES_PER_PROMPT = 24 * 768 * 4


@dataclass(frozen=True)
class Job:
    """A stage with its input for each film, for one run of the scheduler.

    Attributes:
        root: the corpus or the export.
        stage, settings: the stage and its settings.
        rows: its input rows, by film.
        facts: the hash of what the result depends on, by film.
        size_bytes: the approximate size of the result, by film.
    """

    root: Path
    stage: Stage
    settings: Any
    rows: Mapping[str, tuple[Any, ...]]
    facts: Mapping[str, str]
    size_bytes: Mapping[str, int]

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The one stage."""
        return (self.stage,)

    def config(self, stage: Stage) -> Any:
        """The settings of the stage."""
        return self.settings

    def item(self, film_id: str, shaping: Mapping[str, dict[str, str]]) -> ItemState:
        """A film with its input rows."""
        (table,) = self.stage.reads
        return ItemState(
            root=self.root,
            item_id=film_id,
            home=store_folder(film_id),
            shaping=shaping,
            given={table: Given(self.facts[film_id], lambda: self.rows[film_id])},
        )


def features_jobs(source: Source, recipe: TrainRecipe) -> tuple[Job, ...]:
    """Return the job of `ossl train features`: features of all films in a split."""
    config = FeaturesStageSettings(**recipe.features.model_dump(), **recipe.windows.stored())
    clips = _clips(source)
    if encoder_digest(config.encoder, config.revision) == NOT_HERE:
        shape = VIVIT_SHAPE
    else:
        shape = encoder_shape(config.encoder, config.revision, config.frames)
    per_slot = shape.per_slot if config.pooling == "all" else 1
    size = (1 + shape.n_slots * per_slot) * shape.width * 2
    rows = (
        cuts_of(clips, source.root)
        if config.events
        else {film: tuple(map(ClipCuts, of_film)) for film, of_film in clips.items()}
    )
    job = Job(
        root=source.root,
        stage=FEATURES_STAGE,
        settings=config,
        rows=rows,
        facts={film: features_input_hash(of_film) for film, of_film in rows.items()},
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
            ClipPrompt(
                film,
                split_clip.clip.clip_id,
                prompt,
                caption_model(split_clip.label, recipe.prompts, split_clip.model_caption),
            )
            for split_clip in source.of_film(film)
            if (prompt := prompt_of(split_clip.label, recipe.prompts, split_clip.model_caption))
            is not None
        )
        for film in clips
    }
    return (
        Job(
            root=source.root,
            stage=CODES_STAGE,
            settings=CodesStageSettings(
                **model, **recipe.codes.model_dump(), **recipe.windows.stored()
            ),
            rows=clips,
            facts={film: codes_input_hash(rows) for film, rows in clips.items()},
            size_bytes={
                film: round(_total_s(rows, recipe.windows) * BYTES_PER_S)
                for film, rows in clips.items()
            },
        ),
        Job(
            root=source.root,
            stage=TEXT_STAGE,
            settings=TextStageSettings(**model, device=recipe.prompts.device),
            rows=prompts,
            facts={film: text_input_hash(rows) for film, rows in prompts.items()},
            size_bytes={film: len(rows) * BYTES_PER_PROMPT for film, rows in prompts.items()},
        ),
    )


def _total_s(clips: Sequence[Clip], windows: WindowsSettings) -> float:
    return sum(window.duration_s for clip in clips for window in window_spans(clip, windows))


def _clips(source: Source) -> dict[str, tuple[Any, ...]]:
    return {
        film: tuple(split_clip.clip for split_clip in source.of_film(film))
        for film in source.film_ids()
    }


def plan(jobs: Sequence[Job]) -> list[Decision]:
    """Decide for each film and stage whether it would run, with the reason."""
    return [decision for job in jobs for decision in schedule.plan(job, sorted(job.rows))]


def expected_bytes(jobs: Sequence[Job], decisions: Sequence[Decision]) -> int:
    """Return the approximate number of bytes that would be written."""
    sizes = {job.stage.name: job.size_bytes for job in jobs}
    return sum(
        sizes[decision.stage][decision.item_id]
        for decision in decisions
        if decision.action == "run"
    )


def prepare(jobs: Sequence[Job], tell: Tell) -> None:
    """Run what is stale, film by film in this process, so that a model is loaded once.

    The caller holds the lock of the corpus.

    Args:
        jobs: see `features_jobs` and `codes_jobs`.
        tell: gets film and event when an item starts, advances and ends.

    Raises:
        OsslError: an error that stops the whole run: `disk_small`, or the model cannot be loaded.
    """
    root = jobs[0].root
    needed, free = expected_bytes(jobs, plan(jobs)), shutil.disk_usage(root).free
    if needed > free:
        raise OsslError(
            "disk_small",
            f"About {needed / 1e9:.1f} GB are needed, and the disk that holds {root} has "
            f"{free / 1e9:.1f} GB free.",
            "Free disk space; or use `--set features.pooling=time_slots`, which needs 180 times "
            "less.",
        )
    for job in jobs:
        schedule.prepare(job, plan([job]))
        # The digest of a model decides what is stale. It is known only after the download.
        waiting = [decision.item_id for decision in plan([job]) if decision.action == "run"]
        schedule.run(job, waiting, tell, inline)


def results(root: Path, jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Return the result of each film in each stage, as plain values."""
    ends = []
    for job in jobs:
        for film_id in sorted(job.rows):
            record = records.read(root, job.stage.name, film_id)
            assert record is not None, "every film has a record"
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
