"""The optimiser of the adapter's parameters, and its state as named tensors."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ossl_train.fit.settings import FitSettings
from ossl_train.model.adapter import VideoAdapter


def adamw(adapter: VideoAdapter, settings: FitSettings) -> torch.optim.AdamW:
    """The optimiser of the adapter's parameters and of nothing else.

    Matrices decay; alphas, biases and norms do not: to pull alpha towards 0 is to pull the adapter
    towards being off.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in adapter.named_parameters():
        multiple = settings.alpha_rate if name.split(".")[-1] == "alpha" else 1.0
        decay = settings.weight_decay if parameter.ndim >= 2 else 0.0
        groups.setdefault((multiple, decay), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "multiple": multiple, "weight_decay": decay}
            for (multiple, decay), parameters in groups.items()
        ],
        lr=settings.learning_rate,
        betas=(settings.beta_1, settings.beta_2),
    )


def optimiser_state(optimiser: Optimizer, adapter: VideoAdapter) -> dict[str, Tensor]:
    """Its averages and counts as flat tensors, by the parameters' names."""
    return {
        f"optimiser/{name}/{key}": value
        for name, parameter in adapter.named_parameters()
        for key, value in optimiser.state.get(parameter, {}).items()
    }


def restore_optimiser(
    optimiser: Optimizer, adapter: VideoAdapter, state: dict[str, Tensor]
) -> None:
    """Give it back what `optimiser_state` gave, each tensor where its parameter lies."""
    for name, parameter in adapter.named_parameters():
        begin = f"optimiser/{name}/"
        averages = {
            key.removeprefix(begin): value for key, value in state.items() if key.startswith(begin)
        }
        if averages:
            optimiser.state[parameter] = {
                # Copies: what was read is a view of the file. AdamW counts its steps on the CPU.
                key: value.to("cpu" if key == "step" else parameter.device, copy=True)
                for key, value in averages.items()
            }
