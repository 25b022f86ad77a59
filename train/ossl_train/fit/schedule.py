"""The learning rate: a linear rise, then half a cosine; a function of the step and nothing else."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from ossl_train.fit.settings import FitSettings


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
