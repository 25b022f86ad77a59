"""From a recipe and a corpus to a trained adapter: open data, load models, run the loop."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ossl_builder import __version__
from ossl_builder.errors import OsslError
from ossl_builder.files import sha256_file, sha256_json
from ossl_train.adapter.adapter import adapter_for
from ossl_train.data.consistency import check_backbone
from ossl_train.data.dataset import Dataset, open_dataset
from ossl_train.data.source import Source, read_source
from ossl_train.musicgen import load_backbone
from ossl_train.pretrained import shown_name, with_models
from ossl_train.recipe import TrainRecipe
from ossl_train.training import run_folder
from ossl_train.training.checkpoint import TrainerState
from ossl_train.training.compilation import compile_layers
from ossl_train.training.distributed import Processes
from ossl_train.training.dry_run import dry_run
from ossl_train.training.gradient_checkpointing import checkpoint_layers, needs_checkpointing
from ossl_train.training.loop import Parts, fit
from ossl_train.training.monitor import open_monitor
from ossl_train.training.run_folder import shaping_settings
from ossl_train.training.samples import open_samples
from ossl_train.training.validation import gain_sentence
from ossl_train.training.warm_start import start_from

Say = Callable[[str], None]


def train(
    corpus: Path,
    data: Path | None,
    recipe: TrainRecipe,
    out: Path,
    processes: Processes,
    stop_at: int | None,
    restart: bool,
    init: Path | None,
    say: Say,
) -> dict[str, Any]:
    """Train the adapter of a recipe, or resume from the last checkpoint in `out`.

    Args:
        corpus: the corpus' folder.
        data: an export to read instead of the corpus.
        recipe: the recipe, with the changes of `--set`.
        out: the folder of the run.
        processes: this process and the number of others.
        stop_at: stop after this many steps.
        restart: delete the run in `out` first.
        init: an adapter file whose weights a new run starts with; None: random weights, gates 0.
        say: gets sentences for the user.

    Returns:
        The folder, the step at the start, and the fields of `TrainerState`.

    Raises:
        OsslError: see `set_up`, `fit`, and the functions of `run_folder`.
    """
    first = processes.rank == 0
    source = read_source(corpus, data, **recipe.prompts.tables())
    with run_folder.lock_run(out) if first else contextlib.nullcontext():
        if first:
            run_folder.clear_run(out) if restart else run_folder.recover_run(out)
        parts, facts = set_up(source, recipe, processes, init)
        steps_before = 0
        if first:
            run_folder.record_run(out, recipe, facts)
            steps_before = run_folder.steps_done(out)
            say(_start_text(facts, steps_before, recipe, processes))
        checkpointing = needs_checkpointing(parts, recipe.fit, processes)
        if checkpointing:
            checkpoint_layers(parts.backbone, parts.adapter)
            say("The layers are computed again in the backward pass, to fit into the memory.")
        if recipe.fit.compile:
            compile_layers(parts.backbone, checkpointing)
        processes.gather(None)  # no process reads the folder before the first has prepared it
        with contextlib.ExitStack() as stack:
            monitor, samples = None, None
            if first:
                monitor = stack.enter_context(open_monitor(out, steps_before, recipe.fit.steps))
                samples = open_samples(parts, source, recipe.fit, out, monitor, steps_before)
            state = fit(parts, recipe.fit, out, processes, monitor, stop_at, samples)
    say(_end_text(state, out))
    if samples is not None:
        say(f"Listen to it: {samples.page}")
    return {"out": str(out), "begun_at": steps_before, **vars(state)}


def estimate_run(
    corpus: Path,
    data: Path | None,
    recipe: TrainRecipe,
    out: Path,
    processes: Processes,
    init: Path | None,
    say: Say,
) -> dict[str, Any]:
    """Open every clip, run two steps, and estimate time, memory and disk of the run.

    Args and errors are those of `train`.

    Returns:
        The fields of `dry_run.RunEstimate`.
    """
    source = read_source(corpus, data, **recipe.prompts.tables())
    parts, _ = set_up(source, recipe, processes, init)
    estimate = dry_run(parts, recipe.fit, out, processes)
    for sentence in estimate.sentences():
        say(sentence)
    return vars(estimate)


def set_up(
    source: Source, recipe: TrainRecipe, processes: Processes, init: Path | None = None
) -> tuple[Parts, dict[str, Any]]:
    """Open the data, load the frozen model, create the adapter.

    Args:
        source: clips with splits and labels.
        recipe: the recipe, with the changes of `--set`.
        processes: this process and its device.
        init: an adapter file whose weights the run starts with, or none.

    Returns:
        The input of `fit`, and the facts that `run_folder.record_run` writes.

    Raises:
        OsslError: see `open_dataset`, `load_backbone`, `check_backbone`.
    """
    if processes.rank == 0:
        with_models(recipe, source.root)  # one process writes tiny models, the others wait for it
    processes.gather(None)
    local_recipe = with_models(recipe, source.root)
    train_windows = open_dataset(source, local_recipe, "train")
    validation_windows = _validation(source, local_recipe)
    settings = local_recipe.model
    if processes.device.type == "cuda":
        # Products of float32 in TF32: 2.3 times as fast on an H100.
        torch.backends.cuda.matmul.allow_tf32 = True
    bf16 = recipe.fit.precision == "bf16"
    backbone = load_backbone(
        settings.source,
        settings.backbone,
        str(processes.device),
        torch.bfloat16 if bf16 else torch.float32,
    )
    check_backbone(train_windows.made, backbone)
    torch.manual_seed(recipe.fit.seed)
    adapter = adapter_for(
        backbone,
        video_dim=train_windows.sample(0).video.shape[-1],
        alpha_init=settings.alpha_init,
        positions=settings.positions,
        dialogue=settings.dialogue,
        events=settings.events,
        rank=settings.rank,
        null_tokens=settings.null_tokens if recipe.fit.video_dropout else 0,
        reference_positions=settings.reference_positions,
    )
    if init is not None:
        start_from(adapter, init, backbone)
    adapter.to(processes.device).train()
    splits = {"train": train_windows}
    if validation_windows:
        splits["validation"] = validation_windows
    facts = {
        "tables": dict(source.checksums),
        "windows": {split: len(dataset.windows) for split, dataset in splits.items()},
        "left out": {split: dict(dataset.left_out) for split, dataset in splits.items()},
        "stores": {kind: dict(shared) for kind, shared in train_windows.made.items()},
        "model": {
            "source": shown_name(settings.source),
            "digest": backbone.digest,
            "codec": backbone.codec_digest,
        },
    }
    if init is not None:
        facts["init"] = sha256_file(init)
    metadata = {
        "recipe": recipe.name,
        "settings": sha256_json(shaping_settings(recipe)),
        "backbone": backbone.kind,
        "source": shown_name(settings.source),
        "digest": backbone.digest,
        "encoder": shown_name(local_recipe.features.encoder),
        "pooling": local_recipe.features.pooling,
        "written_by": f"ossl-builder {__version__}",
    }
    return Parts(backbone, adapter, train_windows, validation_windows, metadata), facts


def _validation(source: Source, recipe: TrainRecipe) -> Dataset | None:
    try:
        return open_dataset(source, recipe, "validation")
    except OsslError as error:
        if error.code != "split_empty":
            raise
        return None


def _start_text(
    facts: dict[str, Any], steps_before: int, recipe: TrainRecipe, processes: Processes
) -> str:
    windows = " and ".join(f"{n} of {split}" for split, n in facts["windows"].items())
    devices = f"{processes.world} x {processes.device.type}"
    steps = recipe.fit.steps
    if steps_before:
        return f"Resuming after step {steps_before} of {steps} on {devices}. Windows: {windows}."
    text = f"Starting {steps} steps on {devices}. Windows: {windows}."
    if "validation" not in facts["windows"]:
        text += " No film is in the validation split: the last adapter counts as the best."
        text += " There will be no samples." if recipe.fit.samples_every else ""
    return text


def _end_text(state: TrainerState, out: Path) -> str:
    why = {
        "steps": "All steps are done",
        "patience": "The validation loss stopped falling",
        "": "Stopped as asked; run the same command to resume",
    }[state.ended]
    loss = "" if state.best_loss is None else f", loss {state.best_loss:.4f} nats per token"
    best = f"best: step {state.best_step}{loss}"
    if state.best_step == 0:
        best += ", which is the start of the run: no step was better"
    place = out / "best" / "adapter.safetensors"
    text = f"{why}: {state.step} steps; {best}."
    if state.best_loss is not None:
        gain = gain_sentence(state.best_gain, state.best_gain_low, state.best_gain_high)
        text += f" {gain}"
    return f"{text} {place}"
