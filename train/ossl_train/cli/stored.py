"""What `ossl train features` and `ossl train codes` have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import typer

from ossl_builder.cli import output
from ossl_builder.corpus import Corpus
from ossl_builder.engine import records
from ossl_builder.engine.cache import Decision
from ossl_train.data.prepare import Job, expected_bytes, plan, prepare
from ossl_train.data.source import Source, read_source
from ossl_train.model_paths import with_models
from ossl_train.recipe import TrainRecipe, load_train_recipe, on_device

MakeJobs = Callable[[Source, TrainRecipe], Sequence[Job]]


def bring_up_to_date(
    corpus: Path,
    data: Path | None,
    recipe_name: str,
    overrides: Sequence[str],
    device: str | None,
    make_jobs: MakeJobs,
    dry_run: bool,
    json: bool,
) -> None:
    """Make what is stale and say how all films stand; end with the exit code that says so."""
    recipe = load_train_recipe(recipe_name, overrides)
    source = read_source(corpus, data, use_labels=recipe.prompts.use_labels)
    recipe = with_models(on_device(recipe, device), source.root, write=not dry_run)
    jobs = make_jobs(source, recipe)
    decisions = plan(source.root, jobs)
    _say_estimate(source, jobs, decisions)
    if dry_run:
        _show_plan(decisions, json)
        return
    watcher = output.Watcher(source.film_ids())
    with Corpus(source.root).locked(), watcher.watching():
        prepare(source.root, jobs, watcher.show)
    _conclude(source.root, jobs, json)


def _say_estimate(source: Source, jobs: Sequence[Job], decisions: Sequence[Decision]) -> None:
    hours = sum(one.clip.duration_s for one in source.clips) / 3600
    running = sum(one.action == "run" for one in decisions)
    size = expected_bytes(jobs, decisions) / 1e9
    names = " and ".join(job.stage.name for job in jobs)
    left_out = f" ({source.n_left_out} stand on none)" if source.n_left_out else ""
    output.say(
        f"{len(source.clips)} clips in a split{left_out}, {hours:.2f} h of "
        f"{len(source.film_ids())} films; {names}: {running} to be made, about {size:.3f} GB."
    )


def _show_plan(decisions: Sequence[Decision], json: bool) -> None:
    if json:
        output.as_json([vars(decision) for decision in decisions])
        return
    output.table(
        ("film", "stage", "action", "why"),
        [(d.item_id, d.stage, d.action, d.why) for d in decisions],
    )


def _conclude(root: Path, jobs: Sequence[Job], json: bool) -> None:
    ends = [_end(root, job, film_id) for job in jobs for film_id in sorted(job.rows)]
    if json:
        output.as_json(ends)
    for job in jobs:
        mine = [end for end in ends if end["stage"] == job.stage.name]
        done = [end for end in mine if end["state"] == "done"]
        left_out = sum(sum(end["left_out"].values()) for end in mine)
        output.say(
            f"{job.stage.name}: {len(done)} of {len(mine)} films done, "
            f"{sum(end['n_rows'] for end in mine)} rows"
            + (f", {left_out} left out." if left_out else ".")
        )
    failed = sum(end["state"] == "failed" for end in ends)
    if failed:
        raise typer.Exit(1 if failed == len(ends) else 3)


def _end(root: Path, job: Job, film_id: str) -> dict[str, Any]:
    record = records.read(root, job.stage.name, film_id)
    assert record is not None, "every film has ended"
    return {
        "film_id": film_id,
        "stage": job.stage.name,
        "state": record.state,
        "n_rows": record.n_rows,
        "left_out": record.rejects,
        "code": record.code,
        "message": record.message,
        "hint": record.hint,
    }
