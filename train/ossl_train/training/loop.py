"""The training loop: read it from top to bottom.

One step of the optimiser takes `accumulation` batches of each process. Every window of every batch
enters the loss; losses are summed, and the gradient is divided once by the step's true number of
tokens over all batches and processes, so that it is the same however the step is cut up. Then it is
clipped, once, and applied, once. Nothing here is done per batch that should be done per step.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ossl_builder.errors import OsslError
from ossl_train.adapter.adapter import VideoAdapter
from ossl_train.data.dataset import Batch, Dataset, batches
from ossl_train.data.windows import Window
from ossl_train.musicgen import Backbone
from ossl_train.training.checkpoint import TrainerState
from ossl_train.training.distributed import Prefetcher, Processes, dropout_masks, endless_batches
from ossl_train.training.monitor import Monitor
from ossl_train.training.optimiser import adamw, rate_at, set_rate
from ossl_train.training.run_folder import CheckpointWriter
from ossl_train.training.settings import FitSettings
from ossl_train.training.train_module import TrainModule


@dataclass(frozen=True)
class Parts:
    """What a run works upon.

    Attributes:
        backbone: frozen, on the device of this process.
        adapter: attached to it, on the same device, float32.
        train: the windows learned from.
        validation: the windows measured on; None where the splits have none.
        metadata: written into each adapter file, text by text.
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
) -> TrainerState:
    """Fit the adapter; go on where the checkpoint in `out` stands, if there is one.

    Args:
        parts: what to work upon.
        settings: how.
        out: folder of the checkpoints `last` and `best`.
        processes: this one among its like.
        monitor: told of each step; of rank 0 alone, None for the others.
        stop_at: stop after this many steps, to go on another time; the rates are not changed by it.

    Returns:
        Where the run stands now.

    Raises:
        OsslError: `loss_not_finite`, `too_few_windows`, `disk_full`, `checkpoint_damaged`,
            `checkpoint_size`, `processes_differ`; the last good checkpoint stays.
    """
    optimiser = adamw(parts.adapter, settings)
    keeper = CheckpointWriter(out, parts.adapter, optimiser, parts.metadata, processes)
    torch.manual_seed(settings.seed + processes.rank)
    found = keeper.resume()
    watched = TrainModule(parts.backbone, parts.adapter, settings)
    module: nn.Module = watched
    if processes.world > 1:
        module = DistributedDataParallel(
            watched, broadcast_buffers=False, gradient_as_bucket_view=True
        )

    def validated(standing: TrainerState) -> TrainerState:
        """Measure on the validation split, and write what follows from that."""
        films = validate(watched, parts.validation, settings, processes)
        loss = sum(films.values()) / len(films) if films else None
        if loss is not None and not math.isfinite(loss):
            raise _not_measurable(standing.step, films)
        standing = after_validation(standing, loss, settings)
        if monitor is not None and films:
            monitor.tell(standing.step, validation_loss=loss, film=films)
        if standing.best_step == standing.step:
            keeper.keep_best(standing)
        keeper.keep_last(standing)
        return standing

    # At the start this is the base model's own loss, since alpha begins at 0.
    standing = found or validated(TrainerState(world=processes.world))
    last = min(settings.steps, stop_at or settings.steps)
    position = standing.step * settings.accumulation
    with contextlib.closing(
        Prefetcher(endless_batches(parts.train, settings, processes, position))
    ) as source:
        while standing.step < last and not standing.ended:
            began = time.perf_counter()
            rate = rate_at(standing.step, settings)
            set_rate(optimiser, rate)
            loss, norm, n_windows = train_step(
                module, optimiser, source, settings, standing.step, processes
            )
            standing = dataclasses.replace(standing, step=standing.step + 1)
            if monitor is not None:
                speed = n_windows / (time.perf_counter() - began)
                monitor.tell(
                    standing.step, loss=loss, gradient_norm=norm, rate=rate, windows_per_s=speed
                )
            if standing.step == settings.steps or standing.step % settings.validate_every == 0:
                standing = validated(standing)
            elif standing.step == last or standing.step % settings.checkpoint_every == 0:
                keeper.keep_last(standing)
    return standing


def train_step(
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    source: Iterator[Batch],
    settings: FitSettings,
    step: int,
    processes: Processes,
) -> tuple[float, float, int]:
    """One step: loss in nats per token, length of the gradient, windows of all processes."""
    seen: list[tuple[tuple[Window, ...], Tensor]] = []
    total = torch.zeros(3, dtype=torch.float64, device=processes.device)
    for turn in range(settings.accumulation):
        batch = next(source).to(processes.device)
        keep_video, keep_text = dropout_masks(settings, step, turn, len(batch.windows), processes)
        waits = turn < settings.accumulation - 1 and processes.world > 1
        # Gradients of several processes are added up once, with the last batch of the step.
        with module.no_sync() if waits else contextlib.nullcontext():
            losses, tokens = module(batch, keep_video, keep_text)
            losses.sum().backward()
        seen.append((batch.windows, losses.detach()))
        total[0] += losses.detach().sum()
        total[1] += tokens.sum()
        total[2] += len(batch.windows)
    processes.add_up(total)
    parameters = [one for group in optimiser.param_groups for one in group["params"]]
    # DistributedDataParallel has taken the mean over processes: their number makes a sum of it.
    share = (processes.world / total[1]).float()
    torch._foreach_mul_([one.grad for one in parameters if one.grad is not None], share)
    norm = nn.utils.clip_grad_norm_(parameters, settings.clip_norm or math.inf)
    loss, length, n_windows = torch.stack((total[0] / total[1], norm.double(), total[2])).tolist()
    if not (math.isfinite(loss) and math.isfinite(length)):
        raise _not_finite(step + 1, seen, processes)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return loss, length, round(n_windows)


@torch.no_grad()  # type: ignore[untyped-decorator]
def validate(
    watched: TrainModule, dataset: Dataset | None, settings: FitSettings, processes: Processes
) -> dict[str, float]:
    """Loss of each film of a split, nats per token: always the same windows, nothing dropped.

    A film counts by its name, not by its length: the mean over films is what a run is judged by.
    """
    if dataset is None:
        return {}
    films = sorted({window.film_id for window in dataset.windows})
    sums = torch.zeros(2, len(films), dtype=torch.float64, device=processes.device)
    place = (processes.rank, processes.world)
    for found in batches(dataset, settings.batch_size, 0, 0, 0, *place, shuffle=False):
        batch = found.to(processes.device)
        which = torch.tensor([films.index(window.film_id) for window in batch.windows])
        losses, tokens = watched(batch, None, None)
        sums[0].index_add_(0, which.to(sums.device), losses.double())
        sums[1].index_add_(0, which.to(sums.device), tokens.double())
    losses, tokens = processes.add_up(sums).tolist()
    return {film: loss / n for film, loss, n in zip(films, losses, tokens, strict=True) if n}


def after_validation(
    standing: TrainerState, loss: float | None, settings: FitSettings
) -> TrainerState:
    """Where a run stands after a validation; without one, the last adapter is the best."""
    if loss is None or standing.best_loss is None or loss < standing.best_loss:
        standing = dataclasses.replace(standing, best_loss=loss, best_step=standing.step, waited=0)
    else:
        standing = dataclasses.replace(standing, waited=standing.waited + 1)
    if standing.step == settings.steps:
        return dataclasses.replace(standing, ended="steps")
    if settings.patience and standing.waited >= settings.patience:
        return dataclasses.replace(standing, ended="patience")
    return standing


def _not_finite(
    step: int, seen: list[tuple[tuple[Window, ...], Tensor]], processes: Processes
) -> OsslError:
    told = [
        (window, math.isfinite(loss))
        for those, losses in seen
        for window, loss in zip(those, losses.tolist(), strict=True)
    ]
    everyone = [one for found in processes.gather(told) for one in found]
    # Where only the gradient is not finite, any of them may be to blame.
    blamed = [window for window, fine in everyone if not fine] or [one for one, _ in everyone]
    clips = sorted({f"{window.film_id}/{window.clip_id}" for window in blamed})
    named = ", ".join(clips[:8]) + (" …" if len(clips) > 8 else "")
    return OsslError(
        "loss_not_finite",
        f"At step {step} the loss or its gradient is not a finite number; clips: {named}.",
        "The last checkpoint is kept. Look at the music of these clips, or begin another run "
        "(--out) with a lower fit.learning_rate.",
    )


def _not_measurable(step: int, films: Mapping[str, float]) -> OsslError:
    named = ", ".join(film for film, loss in films.items() if not math.isfinite(loss))
    return OsslError(
        "loss_not_finite",
        f"After step {step} the validation loss is not a finite number; films: {named}.",
        "Look at the codes and features of these films: `ossl train codes` and `features`.",
    )
