"""The training loop: read it from top to bottom.

One optimiser step uses `accumulation` batches of each process. Every window of every batch enters
the loss. Losses are summed, and the gradient is divided once by the number of tokens of the step,
over all batches and processes. So it does not depend on how the step is divided into batches. Then
it is clipped once and applied once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ossl_builder.errors import OsslError
from ossl_train.adapter.adapter import VideoAdapter
from ossl_train.data.dataset import Batch, Dataset, n_batches
from ossl_train.data.windows import Window
from ossl_train.musicgen import Backbone
from ossl_train.training.checkpoint import TrainerState
from ossl_train.training.distributed import Prefetcher, Processes, dropout_masks, endless_batches
from ossl_train.training.memory import memory_explained
from ossl_train.training.monitor import Monitor
from ossl_train.training.optimiser import create_optimiser, rate_at, set_rate
from ossl_train.training.run_folder import CheckpointWriter
from ossl_train.training.settings import FitSettings
from ossl_train.training.train_module import TrainModule
from ossl_train.training.validation import Validation, validate
from ossl_train.training.weight_average import AveragedWeights

if TYPE_CHECKING:
    from ossl_train.training.samples import Samples


@dataclass(frozen=True)
class Parts:
    """The models and the data of a run.

    Attributes:
        backbone: frozen, on the device of this process.
        adapter: attached to it, on the same device, float32.
        train: the windows of the train split.
        validation: the windows of the validation split; None if it is empty.
        metadata: texts that are written into each adapter file.
    """

    backbone: Backbone
    adapter: VideoAdapter
    train: Dataset
    validation: Dataset | None
    metadata: Mapping[str, str]


def fit(
    parts: Parts,
    settings: FitSettings,
    out: Path,
    processes: Processes,
    monitor: Monitor | None,
    stop_at: int | None = None,
    samples: Samples | None = None,
) -> TrainerState:
    """Train the adapter; resume from the checkpoint in `out` if there is one.

    Args:
        parts: models and data.
        settings: section `fit` of the recipe.
        out: folder of the checkpoints `last` and `best`.
        processes: this process and the number of others.
        monitor: records each step; None in all processes but rank 0.
        stop_at: stop after this many steps; the learning rates do not change.
        samples: writes samples to be heard; None: none, and in all processes but rank 0.

    Returns:
        The progress of the run.

    Raises:
        OsslError: `loss_not_finite`, `too_few_windows`, `disk_full`, `checkpoint_damaged`,
            `checkpoint_size`, `processes_differ`, `memory_full`; the last good checkpoint remains.
    """
    adapter = parts.adapter
    optimiser = create_optimiser(adapter, settings)
    average = AveragedWeights(adapter, settings.averaging)
    writer = CheckpointWriter(out, adapter, optimiser, average, parts.metadata, processes)
    torch.manual_seed(settings.seed + processes.rank)
    resumed = writer.resume()
    per_pass = n_batches(len(parts.train), settings.batch_size, processes.world)
    steps_per_pass = max(per_pass, 1) / settings.accumulation
    plain = TrainModule(parts.backbone, adapter, settings)
    module: nn.Module = plain
    if processes.world > 1:
        module = DistributedDataParallel(
            plain, broadcast_buffers=False, gradient_as_bucket_view=True
        )

    def validated(state: TrainerState) -> TrainerState:
        """Measure the validation losses, and write the checkpoints that follow from them."""
        with memory_explained(settings, processes.device), average.in_place():
            validation = validate(plain, parts.validation, settings, processes)
            if validation.loss is not None and not math.isfinite(validation.loss):
                raise _not_measurable(state.step, validation.own_video)
            state = after_validation(state, validation, settings)
            if state.best_step == state.step:
                writer.keep_best(state)
        if monitor is not None:
            alphas = {f"layer {n}": layer.alpha.item() for n, layer in enumerate(adapter.layers)}
            monitor.record(state.step, **validation.figures(), alpha=alphas)
        state = with_reason(state)
        writer.keep_last(state)
        return state

    def with_reason(state: TrainerState) -> TrainerState:
        return dataclasses.replace(state, ended=reason_to_end(state, settings, steps_per_pass))

    # The losses before the first step: those of the base model where every alpha is 0.
    state = with_reason(resumed) if resumed else validated(TrainerState(world=processes.world))
    if samples is not None:
        with average.in_place():
            samples.take(state)
    last = min(settings.steps, stop_at or settings.steps)
    position = state.step * settings.accumulation
    with contextlib.closing(
        Prefetcher(endless_batches(parts.train, settings, processes, position))
    ) as source:
        while state.step < last and not state.ended:
            started = time.perf_counter()
            rate = rate_at(state.step, settings)
            set_rate(optimiser, rate)
            with memory_explained(settings, processes.device):
                loss, norm, n_windows = train_step(
                    module, optimiser, source, settings, state.step, processes
                )
            state = dataclasses.replace(state, step=state.step + 1)
            average.update(state.step)
            if monitor is not None:
                speed = n_windows / (time.perf_counter() - started)
                monitor.record(
                    state.step, loss=loss, gradient_norm=norm, rate=rate, windows_per_s=speed
                )
            if state.step == settings.steps or state.step % settings.validate_every == 0:
                state = validated(state)
            elif state.step == last or state.step % settings.checkpoint_every == 0:
                writer.keep_last(state)
            if samples is not None:
                with average.in_place():
                    samples.take(state)
    return state


def train_step(
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    source: Iterator[Batch],
    settings: FitSettings,
    step: int,
    processes: Processes,
) -> tuple[float, float, int]:
    """Run one optimiser step.

    Returns:
        Loss in nats per token, L2 norm of the gradient, windows of all processes.

    Raises:
        OsslError: `loss_not_finite`, with the clips of the step.
    """
    batches_seen: list[tuple[tuple[Window, ...], Tensor]] = []
    total = torch.zeros(3, dtype=torch.float64, device=processes.device)
    for turn in range(settings.accumulation):
        batch = next(source).to(processes.device)
        keep_video, keep_text = dropout_masks(settings, step, turn, len(batch.windows), processes)
        waits = turn < settings.accumulation - 1 and processes.world > 1
        # Gradients of several processes are added up once, with the last batch of the step.
        with module.no_sync() if waits else contextlib.nullcontext():
            losses, tokens = module(batch, keep_video, keep_text)
            losses.sum().backward()
        batches_seen.append((batch.windows, losses.detach()))
        total[0] += losses.detach().sum()
        total[1] += tokens.sum()
        total[2] += len(batch.windows)
    processes.add_up(total)
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    # DistributedDataParallel computes the mean over processes; times their number is the sum.
    share = (processes.world / total[1]).float()
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    torch._foreach_mul_(gradients, share)
    norm = nn.utils.clip_grad_norm_(parameters, settings.clip_norm or math.inf)
    loss, length, n_windows = torch.stack((total[0] / total[1], norm.double(), total[2])).tolist()
    if not (math.isfinite(loss) and math.isfinite(length)):
        raise _not_finite(step + 1, batches_seen, processes)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return loss, length, round(n_windows)


def after_validation(
    state: TrainerState, validation: Validation, settings: FitSettings
) -> TrainerState:
    """Update the best adapter; without a validation split, the last adapter is the best.

    By video gain the adapter of the highest one is the best. The base model's own gain is 0.
    """
    loss, gain = validation.loss, validation.video_gain
    if loss is None or state.best_loss is None:
        better = True
    elif settings.best_by == "video_gain" and gain is not None and state.best_gain is not None:
        better = gain > state.best_gain
    else:
        better = loss < state.best_loss
    if not better:
        return dataclasses.replace(state, waited=state.waited + 1)
    low, high = validation.video_gain_interval or (None, None)
    return dataclasses.replace(
        state,
        best_loss=loss,
        best_gain=gain,
        best_gain_low=low,
        best_gain_high=high,
        best_step=state.step,
        waited=0,
    )


def reason_to_end(state: TrainerState, settings: FitSettings, steps_per_pass: float) -> str:
    """Return why the run ends after this step (`steps`, `patience`); empty: it goes on.

    Patience counts passes over the train split and validations, whichever takes longer: a small
    split has several passes between two validations, a large one several validations in a pass.
    """
    if state.step >= settings.steps:
        return "steps"
    if not settings.patience or state.step < settings.min_steps:
        return ""
    passes = (state.step - state.best_step) / steps_per_pass
    return "patience" if min(passes, state.waited) >= settings.patience else ""


def _not_finite(
    step: int, batches_seen: list[tuple[tuple[Window, ...], Tensor]], processes: Processes
) -> OsslError:
    own = [
        (window, math.isfinite(loss))
        for windows, losses in batches_seen
        for window, loss in zip(windows, losses.tolist(), strict=True)
    ]
    of_all = [pair for pairs in processes.gather(own) for pair in pairs]
    # If only the gradient is not finite, any window can be the cause.
    suspects = [window for window, finite in of_all if not finite] or [w for w, _ in of_all]
    clips = sorted({f"{window.film_id}/{window.clip_id}" for window in suspects})
    named = ", ".join(clips[:8]) + (" …" if len(clips) > 8 else "")
    return OsslError(
        "loss_not_finite",
        f"At step {step} the loss or its gradient is not a finite number; clips: {named}.",
        "The last checkpoint remains. Check the music of these clips, or start another run (--out) "
        "with a lower fit.learning_rate.",
    )


def _not_measurable(step: int, films: Mapping[str, float]) -> OsslError:
    named = ", ".join(film for film, loss in films.items() if not math.isfinite(loss))
    return OsslError(
        "loss_not_finite",
        f"After step {step} the validation loss is not a finite number; films: {named}.",
        "Encode these films again: delete their folders in train/data, then run `ossl train codes` "
        "and `ossl train features`.",
    )
