"""Sinusoidal positions: the language model's own, for video tokens too.

MusicGen adds to its input at step s the vector ``cos, sin(s / 10000 ** (i / (half - 1)))``. A video
token shown t seconds into the window gets the same vector at s = 50 t, so that the query of a music
frame, which carries its own step's vector, can find the picture of its moment by a plain product of
vectors, between frames too.
"""

from __future__ import annotations

import torch
from torch import Tensor

MAX_PERIOD = 10_000.0


def sinusoids(steps: Tensor, dim: int) -> Tensor:
    """MusicGen's positions [..., dim] of steps [...], which need not be whole."""
    return _waves(steps, dim, spread=dim // 2 - 1)


def of_times(times: Tensor, frame_rate: float, dim: int) -> Tensor:
    """Positions [..., dim] of times [...] in seconds; zeros where the time is NaN."""
    timeless = times.isnan()
    found = sinusoids(torch.nan_to_num(times) * frame_rate, dim)
    return found.masked_fill(timeless[..., None], 0.0)


def reference_fault(steps: Tensor, dim: int) -> Tensor:
    """What the reference's positions add to MusicGen's own [..., dim].

    The reference code defines a second function of the same name after MusicGen's. Here its
    exponents are taken to run as ``i / half`` where MusicGen's run as ``i / (half - 1)``. That is
    inferred, not read: it is the usual other form, and of the usual ones the only one that moves
    positions by the 7 % that were measured (over 20 steps at width 64). Compare with the published
    weights before relying on it.
    """
    return _waves(steps, dim, spread=dim // 2) - sinusoids(steps, dim)


def _waves(steps: Tensor, dim: int, spread: int) -> Tensor:
    exponents = torch.arange(dim // 2, device=steps.device, dtype=torch.float32) / spread
    phases = steps.float()[..., None] / MAX_PERIOD**exponents
    return torch.cat([phases.cos(), phases.sin()], dim=-1)
