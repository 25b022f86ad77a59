"""Dialogue as a modulation of the video tokens, after OSSL v2 (Kim et al., arXiv 2608.11576)."""

from __future__ import annotations

from torch import Tensor, nn

MEASURES, HIDDEN = 2, 64
"""Loudness and energy of the dialogue per video token; width between them and the modulation."""


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
