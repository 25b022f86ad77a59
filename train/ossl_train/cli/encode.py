"""`ossl train features` and `ossl train codes`: encode video, music and prompts once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ossl_builder.cli import output
from ossl_builder.cli.run_output import Watcher, show_plan
from ossl_train.cli import options

if TYPE_CHECKING:
    from ossl_builder.engine.cache import Decision
    from ossl_train.data.prepare import Job
    from ossl_train.data.source import Source
    from ossl_train.recipe import TrainRecipe

    MakeJobs = Callable[[Source, TrainRecipe], Sequence[Job]]

FEATURES_EXAMPLE = "Example: ossl -C corpus train features --recipe small --dry-run"
CODES_EXAMPLE = "Example: ossl -C corpus train codes --recipe small --device cuda"


def features(
    context: typer.Context,
    recipe: options.RecipeName = "small",
    data: options.Data = None,
    overrides: options.Set = None,
    device: options.Device = None,
    dry_run: options.DryRun = False,
    json: options.AsJson = False,
) -> None:
    """Encode the video of every window of all clips in a split. Skip what is up to date.

    The exit code is 0 if all films are done, 1 if all failed, 3 if some failed.
    """
    from ossl_train.data.prepare import features_jobs

    _encode(context.obj, data, recipe, overrides or (), device, features_jobs, dry_run, json)


def codes(
    context: typer.Context,
    recipe: options.RecipeName = "small",
    data: options.Data = None,
    overrides: options.Set = None,
    device: options.Device = None,
    dry_run: options.DryRun = False,
    json: options.AsJson = False,
) -> None:
    """Encode the music of every window, and every prompt. Skip what is up to date.

    The exit code is 0 if all films are done, 1 if all failed, 3 if some failed.
    """
    from ossl_train.data.prepare import codes_jobs

    _encode(context.obj, data, recipe, overrides or (), device, codes_jobs, dry_run, json)


def _encode(
    corpus: Path,
    data: Path | None,
    recipe_name: str,
    overrides: Sequence[str],
    device: str | None,
    make_jobs: MakeJobs,
    dry_run: bool,
    json: bool,
) -> None:
    from ossl_builder.corpus import Corpus
    from ossl_train.data.prepare import plan, prepare, results
    from ossl_train.data.source import read_source
    from ossl_train.pretrained import with_models
    from ossl_train.recipe import load_train_recipe, on_device

    recipe = load_train_recipe(recipe_name, overrides)
    source = read_source(corpus, data, **recipe.prompts.tables())
    recipe = with_models(on_device(recipe, device), source.root, write=not dry_run)
    jobs = make_jobs(source, recipe)
    decisions = plan(jobs)
    _say_estimate(source, jobs, decisions)
    if dry_run:
        show_plan(decisions, json)
        return
    watcher = Watcher(source.film_ids())
    with Corpus(source.root).locked(), watcher.watching():
        prepare(jobs, watcher.show)
    _show_results(jobs, results(source.root, jobs), json)


def _say_estimate(source: Source, jobs: Sequence[Job], decisions: Sequence[Decision]) -> None:
    from ossl_train.data.prepare import expected_bytes

    hours = sum(split_clip.clip.duration_s for split_clip in source.clips) / 3600
    running = sum(decision.action == "run" for decision in decisions)
    size = expected_bytes(jobs, decisions) / 1e9
    names = " and ".join(job.stage.name for job in jobs)
    left_out = f" ({source.n_left_out} in no split)" if source.n_left_out else ""
    output.say(
        f"{len(source.clips)} clips in a split{left_out}, {hours:.2f} h of "
        f"{len(source.film_ids())} films; {names}: {running} to encode, about {size:.3f} GB."
    )


def _show_results(jobs: Sequence[Job], ends: Sequence[dict[str, Any]], json: bool) -> None:
    if json:
        output.as_json(ends)
    for job in jobs:
        of_stage = [end for end in ends if end["stage"] == job.stage.name]
        done = [end for end in of_stage if end["state"] == "done"]
        left_out = sum(sum(end["left_out"].values()) for end in of_stage)
        output.say(
            f"{job.stage.name}: {len(done)} of {len(of_stage)} films done, "
            f"{sum(end['n_rows'] for end in of_stage)} rows"
            + (f", {left_out} left out." if left_out else ".")
        )
    failed = sum(end["state"] == "failed" for end in ends)
    if failed:
        raise typer.Exit(1 if failed == len(ends) else 3)
