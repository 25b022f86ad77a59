"""One layer's video attention."""

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
        """What to add to the text attention's output [B, T, dim] for its queries h [B, T, dim].

        `allowed` is [B, 1, 1, Tv] bool, False for keys that are padding.
        """
        asked = self._heads(self.query(h))
        found = functional.scaled_dot_product_attention(asked, *keys_values, attn_mask=allowed)
        return self.alpha * self.out(found.transpose(1, 2).flatten(2))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
