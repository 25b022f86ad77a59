"""`ossl train fit`: train the adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ossl_builder.cli import output
from ossl_train.cli import options

EXAMPLE = "Example: ossl -C corpus train fit --recipe small --dry-run"


def fit(
    context: typer.Context,
    recipe: options.RecipeName = "small",
    data: options.Data = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The folder of the run.", show_default="train/RECIPE"),
    ] = None,
    overrides: options.Set = None,
    device: options.Device = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="The seed.", show_default="the recipe's")
    ] = None,
    max_steps: Annotated[
        int | None,
        typer.Option(min=1, help="Stop after this many steps. Run the command again to resume."),
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Delete the run in the folder and start again.")
    ] = False,
    init: Annotated[
        Path | None,
        typer.Option(
            "--init",
            exists=True,
            dir_okay=False,
            help="An adapter.safetensors to start from, instead of an adapter that does nothing.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Open every clip, run two steps, show time, memory and disk. Write nothing.",
        ),
    ] = False,
    json: options.AsJson = False,
) -> None:
    """Train the adapter, or resume from the last checkpoint in the folder.

    On eight GPUs: torchrun --nproc-per-node 8 -m ossl_builder.cli.main -C corpus train fit
    """
    from ossl_train.recipe import load_train_recipe
    from ossl_train.training.distributed import join_processes
    from ossl_train.training.setup import estimate_run, train

    changed = list(overrides or ())
    changed += [] if device is None else [f"fit.device={device}"]
    changed += [] if seed is None else [f"fit.seed={seed}"]
    resolved = load_train_recipe(recipe, changed)
    folder = out or (data or context.obj) / "train" / resolved.name
    with join_processes(resolved.fit.device) as processes:
        # Only the first process writes, to files and to the terminal.
        say = output.say if processes.rank == 0 else lambda text: None
        if dry_run:
            facts = estimate_run(context.obj, data, resolved, folder, processes, init, say)
        else:
            facts = train(
                context.obj, data, resolved, folder, processes, max_steps, restart, init, say
            )
    if json and processes.rank == 0:
        output.as_json(facts)
