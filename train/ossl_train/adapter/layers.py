"""The adapter's layers: video attention, dialogue modulation, sinusoidal positions."""

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
        self, dim: int, n_heads: int, video_dim: int, alpha_init: float, bias: bool = False
    ) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.project = nn.Linear(video_dim, dim)
        self.query = nn.Linear(dim, dim, bias=bias)
        self.key = nn.Linear(dim, dim, bias=bias)
        self.value = nn.Linear(dim, dim, bias=bias)
        self.out = nn.Linear(dim, dim, bias=bias)
        self.alpha = nn.Parameter(torch.full((1,), alpha_init))
        for layer in (self.project, self.query, self.key, self.value, self.out):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

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


MEASURES, HIDDEN = 2, 64
"""Number of dialogue values per video token (loudness and energy); width of the hidden layer."""


class DialogueFilm(nn.Module):  # type: ignore[misc] # torch has no types here
    """``video * (1 + scale) + shift``, both from the dialogue, and both 0 at the start (FiLM)."""

    def __init__(self, video_dim: int) -> None:
        super().__init__()
        self.inner = nn.Linear(MEASURES, HIDDEN)
        self.outer = nn.Linear(HIDDEN, 2 * video_dim)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, video: Tensor, dialogue: Tensor) -> Tensor:
        """Modulated tokens [B, Tv, video_dim] of tokens and their dialogue [B, Tv, 2]."""
        modulation = self.outer(nn.functional.silu(self.inner(dialogue.to(video))))
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
