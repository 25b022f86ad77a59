"""`ossl train fit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ossl_builder.cli import output
from ossl_train.cli import options

if TYPE_CHECKING:
    from ossl_train.recipe import TrainRecipe
    from ossl_train.training.distributed import Processes


def fit(
    context: typer.Context,
    recipe: options.RecipeName = "small",
    data: options.Data = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of the run.", show_default="train/RECIPE"),
    ] = None,
    overrides: options.Set = None,
    device: options.On = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Instead of the recipe's.")] = None,
    max_steps: Annotated[
        int | None,
        typer.Option(min=1, help="Stop after this many steps; the same command goes on."),
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Throw away the run that stands in the folder.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Open every clip, run two steps, say what it will take."),
    ] = False,
    json: options.AsJson = False,
) -> None:
    """Fit the adapter, or go on where the folder's last checkpoint stands.

    On eight GPUs: torchrun --nproc-per-node 8 -m ossl_builder.cli.main -C corpus train fit
    """
    from ossl_train.recipe import load_train_recipe
    from ossl_train.training.distributed import joined

    changed = list(overrides or ())
    changed += [] if device is None else [f"fit.device={device}"]
    changed += [] if seed is None else [f"fit.seed={seed}"]
    resolved = load_train_recipe(recipe, changed)
    folder = out or (data or context.obj) / "train" / resolved.name
    with joined(resolved.fit.device) as processes:
        if dry_run:
            found = _rehearsed(context.obj, data, resolved, folder, processes)
        else:
            found = _fitted(context.obj, data, resolved, folder, processes, max_steps, restart)
    if json and processes.rank == 0:
        output.as_json(found)


def _rehearsed(
    corpus: Path, data: Path | None, recipe: TrainRecipe, out: Path, processes: Processes
) -> dict[str, Any]:
    from ossl_train.data.source import read_source
    from ossl_train.training.dry_run import dry_run
    from ossl_train.training.setup import assemble

    source = read_source(corpus, data, use_labels=recipe.prompts.use_labels)
    parts, _ = assemble(source, recipe, processes)
    expected = dry_run(parts, recipe.fit, out, processes)
    if processes.rank == 0:
        for sentence in expected.sentences():
            output.say(sentence)
    return vars(expected)


def _fitted(
    corpus: Path,
    data: Path | None,
    recipe: TrainRecipe,
    out: Path,
    processes: Processes,
    stop_at: int | None,
    restart: bool,
) -> dict[str, Any]:
    import contextlib

    from ossl_train.data.source import read_source
    from ossl_train.training import run_folder
    from ossl_train.training.loop import fit
    from ossl_train.training.monitor import monitoring
    from ossl_train.training.setup import assemble

    first = processes.rank == 0
    source = read_source(corpus, data, use_labels=recipe.prompts.use_labels)
    with run_folder.held(out) if first else contextlib.nullcontext():
        if first:
            run_folder.clear(out) if restart else run_folder.mend(out)
        parts, facts = assemble(source, recipe, processes)
        begun_at = 0
        if first:
            run_folder.describe(out, recipe, facts)
            begun_at = run_folder.steps_done(out)
            output.say(_beginning(facts, begun_at, recipe, processes))
        processes.gather(None)  # nobody reads the folder before it has been put in order
        with contextlib.ExitStack() as stack:
            monitor = None
            if first:
                monitor = stack.enter_context(monitoring(out, begun_at, recipe.fit.steps))
            standing = fit(parts, recipe.fit, out, processes, monitor, stop_at)
    if first:
        output.say(_ending(standing, out))
    return {"out": str(out), "begun_at": begun_at, **vars(standing)}


def _beginning(
    facts: dict[str, Any], begun_at: int, recipe: TrainRecipe, processes: Processes
) -> str:
    windows = " and ".join(f"{n} of {split}" for split, n in facts["windows"].items())
    where = f"{processes.world} x {processes.device.type}"
    if begun_at:
        return (
            f"Going on after step {begun_at} of {recipe.fit.steps}, on {where}. Windows: {windows}."
        )
    text = f"Beginning {recipe.fit.steps} steps on {where}. Windows: {windows}."
    if "validation" not in facts["windows"]:
        text += " No film stands on the validation split: the last adapter will count as the best."
    return text


def _ending(standing: Any, out: Path) -> str:
    why = {
        "steps": "All steps are done",
        "patience": "The validation loss fell no further",
        "": "Stopped as asked; the same command goes on",
    }[standing.ended]
    loss = "" if standing.best_loss is None else f", loss {standing.best_loss:.4f} nats per token"
    best = f"best: step {standing.best_step}{loss}"
    if standing.best_step == 0:
        best += ", which is the base model: no step was better"
    return f"{why}: {standing.step} steps; {best}. {out / 'best' / 'adapter.safetensors'}"
