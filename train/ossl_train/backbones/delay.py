"""MusicGen's delay pattern: codebook k is one frame later than codebook k - 1.

Step 0 of the sequence holds the special token (the cardinality) everywhere; step s holds frame
s - 1 - k of codebook k, or the special token where there is no such frame.
"""

from __future__ import annotations

import torch
from torch import Tensor


def delayed(codes: Tensor, special: int) -> Tensor:
    """The sequence [B, K, T + K] of codes [B, K, T]; unknown codes may be marked by -1."""
    batch, n_codebooks, n_frames = codes.shape
    sequence = codes.new_full((batch, n_codebooks, n_frames + n_codebooks), special)
    for k in range(n_codebooks):
        sequence[:, k, k + 1 : k + 1 + n_frames] = codes[:, k]
    return sequence


def undelayed(sequence: Tensor) -> Tensor:
    """The codes [B, K, T] of a sequence [B, K, T + K]."""
    n_codebooks = sequence.shape[1]
    n_frames = sequence.shape[2] - n_codebooks
    rows = [sequence[:, k, k + 1 : k + 1 + n_frames] for k in range(n_codebooks)]
    return torch.stack(rows, dim=1)


def realigned(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Bring logits of the sequence's first T steps back to the codes that they predict.

    Args:
        logits: [B, K, T, cardinality] of steps 0 to T - 1, each of which predicts the next step.

    Returns:
        logits [B, K, T, cardinality] aligned with the codes, zeros where none is; and valid
        [B, K, T] bool, False in the last k frames of codebook k, as in MusicGen's own training.
    """
    batch, n_codebooks, n_frames, _ = logits.shape
    aligned = torch.zeros_like(logits)
    valid = torch.zeros(batch, n_codebooks, n_frames, dtype=torch.bool, device=logits.device)
    for k in range(n_codebooks):
        aligned[:, k, : n_frames - k] = logits[:, k, k:]
        valid[:, k, : n_frames - k] = True
    return aligned, valid
