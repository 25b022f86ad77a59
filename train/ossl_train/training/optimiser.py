"""The optimiser of the adapter's parameters and its learning rate schedule."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ossl_train.adapter.adapter import VideoAdapter
from ossl_train.training.settings import FitSettings

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from ossl_train.training.settings import FitSettings


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


def rate_at(step: int, settings: FitSettings) -> float:
    """The learning rate of one step of the optimiser.

    Args:
        step: steps done before it: 0 for the first.
        settings: the rise takes `warmup_steps`, the first step having the rate / `warmup_steps`;
            the cosine goes from there to `last_rate` of the rate at the step numbered `steps`.

    Returns:
        The rate, per step.
    """
    highest = settings.learning_rate
    if step < settings.warmup_steps:
        return highest * (step + 1) / settings.warmup_steps
    course = max(settings.steps - settings.warmup_steps, 1)
    part = min((step - settings.warmup_steps) / course, 1.0)
    share = settings.last_rate + (1 - settings.last_rate) * 0.5 * (1 + math.cos(math.pi * part))
    return highest * share


def set_rate(optimiser: Optimizer, rate: float) -> None:
    """Give each group the rate times its own `multiple`."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["multiple"]
