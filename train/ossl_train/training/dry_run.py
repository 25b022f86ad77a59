"""Estimate a run: open every clip, run two steps, write nothing."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from ossl_builder.errors import OsslError
from ossl_train.data.dataset import Dataset
from ossl_train.training import memory
from ossl_train.training.distributed import Processes, endless_batches
from ossl_train.training.gradient_checkpointing import checkpoint_layers, needs_checkpointing
from ossl_train.training.loop import Parts, train_step
from ossl_train.training.optimiser import create_optimiser
from ossl_train.training.settings import FitSettings
from ossl_train.training.train_module import TrainModule


@dataclass(frozen=True)
class RunEstimate:
    """The measured values, and the estimates from them.

    Attributes:
        device: the name of the device.
        train_windows, validation_windows: windows in the two splits.
        frozen_parameters, adapter_parameters: parameters of the two models.
        batch_size, accumulation: those of the recipe; or, if the memory is too small for them, the
            largest batch of its halves that fits, with as many windows per step.
        fits: whether the batch of the recipe fits.
        checkpointing: whether the layers are computed again in the backward pass.
        windows_per_step: windows of all processes.
        steps: steps in the recipe.
        passes: passes over the train split in these steps.
        loss: loss of the first step, nats per token.
        step_s: time of the second step, without communication between processes.
        total_s: steps and validations, without early stopping.
        memory_bytes: peak so far, of the GPU or else of the process.
        disk_bytes: size of all checkpoints while one is replaced.
        free_bytes: free space on the disk of `out`.
    """

    device: str
    train_windows: int
    validation_windows: int
    frozen_parameters: int
    adapter_parameters: int
    batch_size: int
    accumulation: int
    fits: bool
    checkpointing: bool
    windows_per_step: int
    steps: int
    passes: float
    loss: float
    step_s: float
    total_s: float
    memory_bytes: int
    disk_bytes: int
    free_bytes: int

    def sentences(self) -> Iterator[str]:
        """Yield the estimate as sentences for the user."""
        yield (
            f"{self.train_windows} windows in the train split, {self.validation_windows} in the "
            "validation split; every clip can be opened."
        )
        yield (
            f"Frozen model: {_count(self.frozen_parameters)} parameters; adapter: "
            f"{_count(self.adapter_parameters)}."
        )
        yield (
            f"Time: {self.step_s:.2f} s for a step of {self.windows_per_step} windows on "
            f"{self.device}; {self.steps} steps ({self.passes:.1f} passes) and their validations: "
            f"{_time(self.total_s)}, less if the loss stops falling before."
        )
        yield f"Memory: {_bytes(self.memory_bytes)} at the peak."
        if self.checkpointing:
            yield "The layers are computed again in the backward pass, to fit into the memory."
        if not self.fits:
            yield (
                "The memory is too small for the batch of the recipe. This estimate is for "
                f"`--set fit.batch_size={self.batch_size} --set fit.accumulation="
                f"{self.accumulation}`, which fits: use it."
            )
        yield f"Disk: {_bytes(self.disk_bytes)} for checkpoints; {_bytes(self.free_bytes)} free."
        if self.disk_bytes > self.free_bytes:
            yield "The disk is too small: free space, or choose another --out."


def dry_run(parts: Parts, settings: FitSettings, out: Path, processes: Processes) -> RunEstimate:
    """Open one window of every clip, run two steps, and estimate time, memory and disk.

    The steps change the adapter: it cannot be used afterwards.

    Raises:
        OsslError: see `Dataset.sample`, `train_step`; `memory_full`, if not even one window fits.
    """
    for dataset in filter(None, (parts.train, parts.validation)):
        _open_every_clip(dataset)
    alone = dataclasses.replace(processes, rank=0, world=1)
    checkpointing = needs_checkpointing(parts, settings, alone)
    if checkpointing:
        checkpoint_layers(parts.backbone, parts.adapter)
    asked = settings
    while True:
        try:
            loss, step_s = _two_steps(parts, settings, alone)
            break
        except OsslError as error:
            if error.code != memory.CODE or settings.batch_size == 1:
                raise
        # Outside of the handler, whose traceback keeps the tensors of the step.
        parts.adapter.zero_grad(set_to_none=True)
        if processes.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(processes.device)
        settings = memory.halved(settings)
    n_train = len(parts.train.windows)
    n_validation = len(parts.validation.windows) if parts.validation else 0
    per_step = settings.batch_size * settings.accumulation * processes.world
    # A forward pass is a third of a step's work for as many windows. A validation has three: with
    # the own video, with another film's, and without.
    n_measured = min(n_validation, settings.validation_windows or n_validation)
    validation_s = step_s * n_measured / per_step
    adapter_bytes = sum(
        parameter.numel() * parameter.element_size() for parameter in parts.adapter.parameters()
    )
    disk = out
    while not disk.exists():
        disk = disk.parent
    return RunEstimate(
        device=_name(processes.device),
        train_windows=n_train,
        validation_windows=n_validation,
        frozen_parameters=sum(parameter.numel() for parameter in parts.backbone.parameters()),
        adapter_parameters=sum(parameter.numel() for parameter in parts.adapter.parameters()),
        batch_size=settings.batch_size,
        accumulation=settings.accumulation,
        fits=settings.batch_size == asked.batch_size,
        checkpointing=checkpointing,
        windows_per_step=per_step,
        steps=settings.steps,
        passes=settings.steps * per_step / n_train,
        loss=loss,
        step_s=step_s,
        total_s=settings.steps * step_s
        + (1 + settings.steps // settings.validate_every) * validation_s,
        memory_bytes=_memory(processes.device),
        # `best` has the weights, `last` also AdamW's two averages of each (and a moving one), twice
        # while it is replaced.
        disk_bytes=(1 + 2 * (4 if settings.averaging else 3)) * adapter_bytes,
        free_bytes=shutil.disk_usage(disk).free,
    )


def _two_steps(parts: Parts, settings: FitSettings, processes: Processes) -> tuple[float, float]:
    """Run two steps; return the loss of the first and the time of the second in s."""
    optimiser = create_optimiser(parts.adapter, settings)
    module = TrainModule(parts.backbone, parts.adapter, settings)
    source = endless_batches(parts.train, settings, processes, 0)
    with memory.memory_explained(settings, processes.device):
        loss, _, _ = train_step(module, optimiser, source, settings, 0, processes)
        _synchronize(processes.device)
        start = time.perf_counter()
        train_step(module, optimiser, source, settings, 1, processes)
        _synchronize(processes.device)
    return loss, time.perf_counter() - start


def _open_every_clip(dataset: Dataset) -> None:
    seen = set()
    for index, window in enumerate(dataset.windows):
        if (window.film_id, window.clip_id) not in seen:
            seen.add((window.film_id, window.clip_id))
            dataset.sample(index)


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    import resource
    import sys

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"the CPU ({torch.get_num_threads()} threads)"


def _count(number: int) -> str:
    return f"{number / 1e6:.1f} million" if number >= 1e5 else f"{number:,}"


def _bytes(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
