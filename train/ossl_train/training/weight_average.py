"""A moving average of the adapter's weights, which is often better than the weights themselves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

from ossl_train.adapter.adapter import VideoAdapter

PREFIX = "average/"


class AveragedWeights:
    """An exponential moving average of the weights of an adapter.

    Args:
        adapter: the adapter that is trained.
        decay: share of the average that remains at each step, below 1. The first steps have a lower
            one, so that the initial weights are soon forgotten; 0: no average.
    """

    def __init__(self, adapter: VideoAdapter, decay: float) -> None:
        self._decay = decay
        self._weights = {name: weight.data for name, weight in adapter.named_parameters() if decay}
        self._average = {name: weight.clone() for name, weight in self._weights.items()}

    def update(self, step: int) -> None:
        """Add the weights after a step (1: the first)."""
        if self._average:
            share = 1 - min(self._decay, (1 + step) / (10 + step))
            torch._foreach_lerp_(list(self._average.values()), list(self._weights.values()), share)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Give the adapter the average instead of its weights, inside a block."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def state(self) -> dict[str, Tensor]:
        """Return the average, to be stored in a checkpoint."""
        return {PREFIX + name: average for name, average in self._average.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Load what `state` returned."""
        for name, average in self._average.items():
            average.copy_(state[PREFIX + name])

    def _swap(self) -> None:
        for name, average in self._average.items():
            weight = self._weights[name]
            kept = weight.clone()
            weight.copy_(average)
            average.copy_(kept)
