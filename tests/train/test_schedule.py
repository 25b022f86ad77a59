"""Exact values of the learning rate."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from ossl_train.training.optimiser import rate_at, set_rate
from ossl_train.training.settings import FitSettings


def test_the_rate_rises_then_falls_along_half_a_cosine() -> None:
    settings = FitSettings(learning_rate=1e-3, warmup_steps=4, steps=12, last_rate=0.1)
    rates = [rate_at(step, settings) for step in range(13)]
    assert rates[:5] == pytest.approx([0.25e-3, 0.5e-3, 0.75e-3, 1e-3, 1e-3])
    middle, quarter = 0.55e-3, (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi / 4))) * 1e-3
    assert rates[8] == pytest.approx(middle)
    assert rates[6] == pytest.approx(quarter)
    assert rates[12] == pytest.approx(0.1e-3)
    assert rate_at(1000, settings) == rates[12]
    # It never goes up again: the published loop's rate swings between the highest and 0.
    assert all(before >= after for before, after in itertools.pairwise(rates[4:]))


def test_without_warm_up_the_first_step_has_the_highest_rate() -> None:
    settings = FitSettings(learning_rate=1e-3, warmup_steps=0, steps=2)
    assert [rate_at(step, settings) for step in range(3)] == pytest.approx([1e-3, 0.5e-3, 0.0])
    longer = FitSettings(learning_rate=1e-3, warmup_steps=8, steps=2)
    assert rate_at(1, longer) == pytest.approx(0.25e-3)


def test_a_group_has_its_own_multiple() -> None:
    one, other = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    groups = [{"params": [one], "multiple": 1.0}, {"params": [other], "multiple": 10.0}]
    optimiser = torch.optim.AdamW(groups)
    set_rate(optimiser, 2e-4)
    assert [group["lr"] for group in optimiser.param_groups] == pytest.approx([2e-4, 2e-3])
