"""Inputs and outputs of a frozen MusicGen, and the delay pattern of its codebooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Guidance = Literal["same", "none"]
"""The video that the copy of a batch for guidance has: the same video, or none."""


@dataclass(frozen=True)
class Shape:
    """The sizes of a language model and its codec.

    Attributes:
        dim: width of the language model.
        n_heads: attention heads per layer.
        n_layers: decoder layers.
        n_codebooks: codes per frame.
        cardinality: values that a code can have (2048 in the published models).
        frame_rate: frames per second (50).
        sample_rate: of the audio, in Hz (32,000).
        text_dim: width of the text encoder's states, before any projection.
    """

    dim: int
    n_heads: int
    n_layers: int
    n_codebooks: int
    cardinality: int
    frame_rate: float
    sample_rate: int
    text_dim: int


@dataclass(frozen=True)
class TextStates:
    """Encoded prompts.

    Attributes:
        states: [B, T, text_dim] float, T5's last hidden states before any projection.
        mask: [B, T] bool, True where there is text. An empty prompt is False everywhere, which is
            MusicGen's own "no text".
    """

    states: Tensor
    mask: Tensor

    def to(self, device: torch.device) -> TextStates:
        """Return the states on a device."""
        return TextStates(self.states.to(device), self.mask.to(device))

    def without_text(self) -> TextStates:
        """Return the same number of empty prompts of the same length."""
        return TextStates(self.states.new_zeros(self.states.shape), self.mask & False)

    def attended(self) -> Tensor | None:
        """Return the attention mask over keys, [B, 1, 1, T] bool; None if all keys are allowed.

        An empty prompt attends to its zeros: softmax over no keys is not a number.
        """
        allowed = self.mask | ~self.mask.any(dim=1, keepdim=True)
        return None if bool(allowed.all()) else allowed[:, None, None, :]


@dataclass(frozen=True)
class Sampling:
    """How tokens are sampled.

    With u the logits for neither text nor video, v those for the video alone and b those for both,
    a token is sampled from ``u + video_guidance * (v - u) + text_guidance * (b - v)``. A
    `video_guidance` of 1 is the published form (one forward of two copies, both with video). If it
    equals `text_guidance`, both are strengthened together (two copies, one of them without video).
    Other values need three copies. A copy without video is the base model, bit by bit; or, if the
    adapter was trained with `fit.video_dropout`, the adapter with its tokens for "no video". In the
    first case video guidance strengthens all that the adapter has learned, in the second case only
    what it has learned from the video.

    Attributes:
        temperature: divides the logits; 0 takes the most probable token.
        top_k: sample from the k most probable tokens; 0, or more than the cardinality, means all.
        text_guidance: weight of the text (MusicGen's own default is 3).
        video_guidance: weight of the video.
        seed: item i of a batch is sampled with ``seed + i``; other items do not matter.
    """

    temperature: float = 1.0
    top_k: int = 250
    text_guidance: float = 3.0
    video_guidance: float = 1.0
    seed: int = 0


def delayed(codes: Tensor, special: int) -> Tensor:
    """Return the delayed sequence [B, K, T + K] of codes [B, K, T]; -1 marks unknown codes."""
    batch, n_codebooks, n_frames = codes.shape
    sequence = codes.new_full((batch, n_codebooks, n_frames + n_codebooks), special)
    for k in range(n_codebooks):
        sequence[:, k, k + 1 : k + 1 + n_frames] = codes[:, k]
    return sequence


def undelayed(sequence: Tensor) -> Tensor:
    """Return the codes [B, K, T] of a delayed sequence [B, K, T + K]."""
    n_codebooks = sequence.shape[1]
    n_frames = sequence.shape[2] - n_codebooks
    rows = [sequence[:, k, k + 1 : k + 1 + n_frames] for k in range(n_codebooks)]
    return torch.stack(rows, dim=1)


def realigned(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Align logits of the sequence's first T steps with the codes that they predict.

    Args:
        logits: [B, K, T, cardinality] of steps 0 to T - 1, each of which predicts the next step.

    Returns:
        logits [B, K, T, cardinality] aligned with the codes, zeros where there is none; and valid
        [B, K, T] bool, False in the last k frames of codebook k, as in MusicGen's own training.
    """
    batch, n_codebooks, n_frames, _ = logits.shape
    aligned = torch.zeros_like(logits)
    valid = torch.zeros(batch, n_codebooks, n_frames, dtype=torch.bool, device=logits.device)
    for k in range(n_codebooks):
        aligned[:, k, : n_frames - k] = logits[:, k, k:]
        valid[:, k, : n_frames - k] = True
    return aligned, valid
