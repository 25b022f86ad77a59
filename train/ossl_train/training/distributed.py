"""The processes of one run, and the batches that each of them reads."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed

from ossl_builder.errors import OsslError
from ossl_train.data.dataset import Batch, Dataset, batches, n_batches
from ossl_train.training.settings import FitSettings


@dataclass(frozen=True)
class Processes:
    """One process of the run.

    Attributes:
        rank: its number; only 0 writes.
        world: the number of processes.
        device: its device.
    """

    rank: int
    world: int
    device: torch.device

    def add_up(self, values: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes, in each of them."""
        if self.world > 1:
            distributed.all_reduce(values)
        return values

    def gather(self, value: Any) -> list[Any]:
        """Return one plain value per process, by rank, in each of them."""
        values: list[Any] = [value] * self.world
        if self.world > 1:
            distributed.all_gather_object(values, value)
        return values


@contextlib.contextmanager
def join_processes(wanted: str) -> Iterator[Processes]:
    """Join the processes of `torchrun` or `accelerate launch`, by their environment.

    Args:
        wanted: `auto`, `cpu` or `cuda`.

    Raises:
        OsslError: `no_gpu`, `too_few_gpus`.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise OsslError(
            "no_gpu",
            "The recipe needs a GPU, and PyTorch finds none on this machine.",
            "Run it on a machine with a GPU (see `nvidia-smi`), or use the recipe `tiny_cpu`. "
            "With `--device cpu` a run takes days.",
        )
    on_gpu = wanted != "cpu" and torch.cuda.is_available()
    world = int(os.environ.get("WORLD_SIZE", "1"))
    number = int(os.environ.get("LOCAL_RANK", "0"))
    if on_gpu and number >= torch.cuda.device_count():
        raise OsslError(
            "too_few_gpus",
            f"This machine has {torch.cuda.device_count()} GPUs, and more processes were started.",
            "Start one process per GPU: `torchrun --nproc-per-node`.",
        )
    device = torch.device("cuda", number) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(device)
    if world == 1:
        yield Processes(0, 1, device)
        return
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield Processes(distributed.get_rank(), world, device)
    finally:
        distributed.destroy_process_group()


def endless_batches(
    dataset: Dataset, settings: FitSettings, processes: Processes, position: int
) -> Iterator[Batch]:
    """Yield batches of one process without end, from a position on; each pass has a new order.

    Raises:
        OsslError: `too_few_windows`.
    """
    size, share = settings.batch_size, (processes.rank, processes.world)
    per_pass = n_batches(len(dataset.windows), size, processes.world)
    if per_pass == 0:
        raise OsslError(
            "too_few_windows",
            f"The train split has {len(dataset.windows)} windows, and {processes.world} "
            f"processes with batches of {size} need more.",
            "Set fit.batch_size to a smaller value.",
        )
    epoch, start = divmod(position, per_pass)
    while True:
        yield from batches(dataset, size, settings.seed, epoch, start, *share)
        epoch, start = epoch + 1, 0


class Prefetcher:
    """Reads the next batch while the current one is used."""

    def __init__(self, source: Iterator[Batch]) -> None:
        self._source = source
        self._reader = ThreadPoolExecutor(1)
        self._next = self._reader.submit(next, source)

    def __iter__(self) -> Prefetcher:
        return self

    def __next__(self) -> Batch:
        batch = self._next.result()
        self._next = self._reader.submit(next, self._source)
        return batch

    def close(self) -> None:
        """Stop reading."""
        self._reader.shutdown(cancel_futures=True)


def dropout_masks(
    settings: FitSettings, step: int, turn: int, n_windows: int, processes: Processes
) -> tuple[Tensor | None, Tensor | None]:
    """Draw which windows keep their video and which keep their prompt (condition dropout).

    The draw depends on the position of a window within its step, not on process or batch.

    Returns:
        `[B]` bool each; None: all windows keep both.
    """
    if not (settings.video_dropout or settings.text_dropout):
        return None, None
    first = (turn * processes.world + processes.rank) * settings.batch_size
    generator = torch.Generator().manual_seed((settings.seed << 32) + step)
    drawn = torch.rand(first + n_windows, 2, generator=generator)[first:].to(processes.device)
    return drawn[:, 0] >= settings.video_dropout, drawn[:, 1] >= settings.text_dropout
