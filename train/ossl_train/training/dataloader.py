"""What reaches the model: batches without end, read ahead, and what is dropped of them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from ossl_builder.errors import OsslError
from ossl_train.data.batch import Batch, batches, n_batches
from ossl_train.data.dataset import Dataset
from ossl_train.training.distributed import Processes
from ossl_train.training.settings import FitSettings


def endless(
    dataset: Dataset, settings: FitSettings, processes: Processes, position: int
) -> Iterator[Batch]:
    """Batches of one process from a position on, pass after pass, each in a new order.

    Raises:
        OsslError: `too_few_windows`.
    """
    size, place = settings.batch_size, (processes.rank, processes.world)
    per_pass = n_batches(len(dataset.windows), size, processes.world)
    if per_pass == 0:
        raise OsslError(
            "too_few_windows",
            f"The train split has {len(dataset.windows)} windows, fewer than {processes.world} "
            f"processes take at a time with batches of {size}.",
            "Set fit.batch_size to less.",
        )
    epoch, start = divmod(position, per_pass)
    while True:
        yield from batches(dataset, size, settings.seed, epoch, start, *place)
        epoch, start = epoch + 1, 0


class Prefetcher:
    """Reads the next batch while the present one is worked upon."""

    def __init__(self, source: Iterator[Batch]) -> None:
        self._source = source
        self._reader = ThreadPoolExecutor(1)
        self._next = self._reader.submit(next, source)

    def __iter__(self) -> Prefetcher:
        return self

    def __next__(self) -> Batch:
        found = self._next.result()
        self._next = self._reader.submit(next, self._source)
        return found

    def close(self) -> None:
        """Read no further."""
        self._reader.shutdown(cancel_futures=True)


def kept(
    settings: FitSettings, step: int, turn: int, n_windows: int, processes: Processes
) -> tuple[Tensor | None, Tensor | None]:
    """Which windows keep their video, and which their prompt: `[B]` bool each; None: all.

    Drawn by the place of a window within its step, so that it does not matter which process or
    batch it falls to.
    """
    if not (settings.video_dropout or settings.text_dropout):
        return None, None
    first = (turn * processes.world + processes.rank) * settings.batch_size
    source = torch.Generator().manual_seed((settings.seed << 32) + step)
    drawn = torch.rand(first + n_windows, 2, generator=source)[first:].to(processes.device)
    return drawn[:, 0] >= settings.video_dropout, drawn[:, 1] >= settings.text_dropout
