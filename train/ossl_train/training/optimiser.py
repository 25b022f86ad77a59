"""The optimiser of the adapter's parameters and its learning rate schedule."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ossl_train.adapter.adapter import VideoAdapter
from ossl_train.training.settings import FitSettings

REFERENCE_WIDTH = 1024
"""The width of MusicGen small, to which `fit.learning_rate` refers."""


def create_optimiser(adapter: VideoAdapter, settings: FitSettings) -> Optimizer:
    """Create the optimiser of the adapter's parameters.

    AdamW changes each weight by about its rate, so the output of a layer of n inputs changes in
    proportion to n. Therefore the rate falls with the model's width (Yang et al. 2021, "Tuning
    large neural networks via zero-shot hyperparameter transfer"). The gates are single numbers.

    Weight decay applies to matrices only. It would pull alpha towards 0, which switches the
    adapter off.
    """
    by_width = REFERENCE_WIDTH / adapter.config.dim
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in adapter.named_parameters():
        multiple = settings.alpha_rate if name.split(".")[-1] == "alpha" else by_width
        decay = settings.weight_decay if parameter.ndim >= 2 else 0.0
        groups.setdefault((multiple, decay), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "multiple": multiple, "weight_decay": decay}
            for (multiple, decay), parameters in groups.items()
        ],
        lr=settings.learning_rate,
        betas=(settings.beta_1, settings.beta_2),
        fused=True,
    )


def optimiser_state(optimiser: Optimizer, adapter: VideoAdapter) -> dict[str, Tensor]:
    """Return averages and step counts as tensors, by the names of the parameters."""
    return {
        f"optimiser/{name}/{key}": value
        for name, parameter in adapter.named_parameters()
        for key, value in optimiser.state.get(parameter, {}).items()
    }


def restore_optimiser(
    optimiser: Optimizer, adapter: VideoAdapter, state: dict[str, Tensor]
) -> None:
    """Load what `optimiser_state` returned, each tensor on the device of its parameter."""
    for name, parameter in adapter.named_parameters():
        begin = f"optimiser/{name}/"
        averages = {
            key.removeprefix(begin): value for key, value in state.items() if key.startswith(begin)
        }
        if averages:
            optimiser.state[parameter] = {
                # Copies: the tensors are views of the file.
                key: value.to(parameter.device, copy=True)
                for key, value in averages.items()
            }


def rate_at(step: int, settings: FitSettings) -> float:
    """Return the learning rate of one optimiser step.

    Args:
        step: number of steps before this step; 0 for the first step.
        settings: a linear rise over `warmup_steps` (the first step has the rate divided by
            `warmup_steps`), then a cosine down to the share `last_rate` at step `steps`.

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
    """Set the rate of each parameter group, times its own `multiple`."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["multiple"]
