"""The adapter's layers: video attention, modulation by curves, sinusoidal positions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

KeysValues = tuple[Tensor, Tensor]


class VideoAttention(nn.Module):  # type: ignore[misc] # torch has no types here
    """Project video tokens to the language model's width, attend to them, weigh by alpha.

    ``alpha * out(softmax(query(h) key(p)) value(p))`` with ``p = project(video) + positions``.
    """

    def __init__(
        self,
        dim: int,
        n_heads: int,
        video_dim: int,
        alpha_init: float,
        bias: bool = False,
        rank: int = 0,
    ) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.project = _projection(video_dim, dim, bias=True)
        self.query = _projection(dim, dim, bias, rank)
        self.key = _projection(dim, dim, bias, rank)
        self.value = _projection(dim, dim, bias, rank)
        self.out = _projection(dim, dim, bias, rank)
        self.alpha = nn.Parameter(torch.full((1,), alpha_init))

    def keys_values(self, video: Tensor, positions: Tensor | None) -> KeysValues:
        """Keys and values [B, H, Tv, dim / H] of video tokens [B, Tv, video_dim]."""
        tokens = self.project(video)
        if positions is not None:
            tokens = tokens + positions.to(tokens)
        return self._heads(self.key(tokens)), self._heads(self.value(tokens))

    def forward(self, h: Tensor, keys_values: KeysValues, allowed: Tensor | None) -> Tensor:
        """Return the term for the text attention's output [B, T, dim], for queries h [B, T, dim].

        `allowed` is [B, 1, 1, Tv] bool, False for keys that are padding.
        """
        queries = self._heads(self.query(h))
        attended = functional.scaled_dot_product_attention(queries, *keys_values, attn_mask=allowed)
        return self.alpha * self.out(attended.transpose(1, 2).flatten(2))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)


def _projection(inputs: int, outputs: int, bias: bool, rank: int = 0) -> nn.Module:
    """Return a linear layer; with a rank above 0 as the product of two thin ones."""
    if rank:
        narrow = _projection(inputs, rank, bias=False)
        return nn.Sequential(narrow, _projection(rank, outputs, bias))
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.xavier_uniform_(layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


DIALOGUE_CURVES, EVENT_CURVES, HIDDEN = 2, 3, 64
"""Values per video token: of the dialogue (loudness and energy), of events (cuts, motion, loudness
of the dialogue); width of the hidden layer."""


class CurveFilm(nn.Module):  # type: ignore[misc] # torch has no types here
    """``video * (1 + scale) + shift``, both from curves, and both 0 at the start (FiLM)."""

    def __init__(self, n_curves: int, video_dim: int) -> None:
        super().__init__()
        self.inner = nn.Linear(n_curves, HIDDEN)
        self.outer = nn.Linear(HIDDEN, 2 * video_dim)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, video: Tensor, curves: Tensor) -> Tensor:
        """Modulated tokens [B, Tv, video_dim] of tokens and their curves [B, Tv, n_curves]."""
        modulation = self.outer(nn.functional.silu(self.inner(curves.to(video))))
        scale, shift = modulation.chunk(2, dim=-1)
        return video * (1 + scale) + shift


MAX_PERIOD = 10_000.0


def sinusoids(steps: Tensor, dim: int) -> Tensor:
    """Return MusicGen's positions [..., dim] of steps [...], which can be fractions."""
    return _waves(steps, dim, spread=dim // 2 - 1)


def positions_of_times(times: Tensor, frame_rate: float, dim: int) -> Tensor:
    """Return positions [..., dim] of times [...] in seconds; zeros where the time is NaN."""
    timeless = times.isnan()
    positions = sinusoids(torch.nan_to_num(times) * frame_rate, dim)
    return positions.masked_fill(timeless[..., None], 0.0)


def reference_fault(steps: Tensor, dim: int) -> Tensor:
    """Return the difference of the reference's positions from MusicGen's own [..., dim].

    The reference code defines a second function of the same name after MusicGen's. Its exponents
    are assumed to be ``i / half``; MusicGen's are ``i / (half - 1)``. This is not read from the
    code but inferred: it is the only usual form that changes positions by the measured 7 % (over 20
    steps at width 64). Compare with the published weights before you rely on it.
    """
    return _waves(steps, dim, spread=dim // 2) - sinusoids(steps, dim)


def _waves(steps: Tensor, dim: int, spread: int) -> Tensor:
    exponents = torch.arange(dim // 2, device=steps.device, dtype=torch.float32) / spread
    phases = steps.float()[..., None] / MAX_PERIOD**exponents
    return torch.cat([phases.cos(), phases.sin()], dim=-1)
