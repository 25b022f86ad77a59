"""The processes of one run: one alone, or several that `torchrun` or `accelerate launch` began."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed

from ossl_builder.errors import OsslError


@dataclass(frozen=True)
class Processes:
    """One process among those of the run.

    Attributes:
        rank: its number; only 0 writes.
        world: how many there are.
        device: where it computes.
    """

    rank: int
    world: int
    device: torch.device

    def add_up(self, values: Tensor) -> Tensor:
        """The sum of a tensor over the processes, which all get."""
        if self.world > 1:
            distributed.all_reduce(values)
        return values

    def gather(self, value: Any) -> list[Any]:
        """One plain value of each process, by rank, which all get."""
        found: list[Any] = [value] * self.world
        if self.world > 1:
            distributed.all_gather_object(found, value)
        return found


@contextlib.contextmanager
def joined(wanted: str) -> Iterator[Processes]:
    """Join the processes that were begun together, as their environment says.

    Args:
        wanted: `auto`, `cpu` or `cuda`.

    Raises:
        OsslError: `no_gpu`, `too_few_gpus`.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise OsslError(
            "no_gpu",
            "The recipe needs a GPU, and this machine shows none.",
            "Run it where there is one (`nvidia-smi` lists them), or take the recipe `tiny_cpu`, "
            "or accept days of waiting with `--device cpu`.",
        )
    on_gpu = wanted != "cpu" and torch.cuda.is_available()
    world = int(os.environ.get("WORLD_SIZE", "1"))
    number = int(os.environ.get("LOCAL_RANK", "0"))
    if on_gpu and number >= torch.cuda.device_count():
        raise OsslError(
            "too_few_gpus",
            f"This machine shows {torch.cuda.device_count()} GPUs, and more processes were begun.",
            "Begin as many as there are GPUs: `torchrun --nproc-per-node`.",
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
