"""Sample codes step by step, with guidance for the text and for the video."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ossl_builder.errors import OsslError
from ossl_train.musicgen.types import Sampling, TextStates, delayed

UNKNOWN = -1
"""Marks a code that is not sampled yet."""
Step = Callable[[Tensor], Tensor]
"""From sequence steps [B, K, S] to the logits [B, K, cardinality] of the step after the last."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Copies:
    """The copies of a batch in one step; those with video come first.

    Attributes:
        seeing: for each copy, whether it has the video.
        reading: for each copy, whether it has the text.
        weights: the logits are the sum of the copies' logits with these weights.
    """

    seeing: tuple[bool, ...]
    reading: tuple[bool, ...]
    weights: tuple[float, ...]


def copies_for(sampling: Sampling, any_text: bool, any_video: bool) -> Copies:
    """Return the copies that a guidance needs, as few as possible (see `Sampling`)."""
    text, video = sampling.text_guidance, sampling.video_guidance
    if not any_video:
        video = 1.0
    if not any_text:
        # Without text the logits for both are those for the video alone.
        text = 1.0
    terms = {
        (True, True): text,
        (True, False): video - text,
        (False, False): 1.0 - video,
    }
    if not any_text:
        terms = {(True, False): video, (False, False): 1.0 - video}
    used = {key: weight for key, weight in terms.items() if weight != 0.0}
    return Copies(
        seeing=tuple(seeing for seeing, _ in used),
        reading=tuple(reading for _, reading in used),
        weights=tuple(used.values()),
    )


def copied_text(text: TextStates, copies: Copies) -> TextStates:
    """Return the text of the stacked copies [len(copies) * B, T, text_dim]."""
    parts = [text if reading else text.without_text() for reading in copies.reading]
    return TextStates(
        torch.cat([part.states for part in parts]), torch.cat([part.mask for part in parts])
    )


def guided(logits: Tensor, copies: Copies) -> Tensor:
    """Combine the logits [len(copies) * B, K, cardinality] of the copies to [B, K, cardinality]."""
    parts = logits.chunk(len(copies.weights))
    if len(parts) == 2:
        # MusicGen's own order of operations, for the same rounding.
        return parts[1] + (parts[0] - parts[1]) * copies.weights[0]
    weighed = [part * weight for part, weight in zip(parts, copies.weights, strict=True)]
    return torch.stack(weighed).sum(dim=0)


def draw(logits: Tensor, sampling: Sampling, generators: Sequence[torch.Generator]) -> Tensor:
    """Sample a token [B, K] from logits [B, K, cardinality], each item with its own generator."""
    if sampling.temperature <= 0:
        return logits.argmax(dim=-1)
    chances = torch.softmax(logits / sampling.temperature, dim=-1)
    top_k = sampling.top_k
    if 0 < top_k < chances.shape[-1]:
        least = chances.topk(top_k, dim=-1).values[..., -1:]
        chances = chances * (chances >= least)
        chances = chances / chances.sum(dim=-1, keepdim=True)
    drawn = [
        torch.multinomial(item, 1, generator=generator)[:, 0]
        for item, generator in zip(chances, generators, strict=True)
    ]
    return torch.stack(drawn)


def fill(
    step: Step,
    copies: Copies,
    sequence: Tensor,
    first: int,
    sampling: Sampling,
    generators: Sequence[torch.Generator],
    progress: Progress | None,
) -> Tensor:
    """Sample the `UNKNOWN` codes of a delayed sequence [B, K, S], from step `first` on."""
    done, n_steps = 0, sequence.shape[-1]
    for now in range(first, n_steps):
        present = sequence[..., done:now].repeat(len(copies.weights), 1, 1)
        token = draw(guided(step(present).float(), copies), sampling, generators)
        sequence[..., now] = torch.where(sequence[..., now] == UNKNOWN, token, sequence[..., now])
        done = now
        if progress is not None:
            progress(now + 1 - first, n_steps - first)
    return sequence


def blank_sequence(
    batch: int, n_codebooks: int, n_frames: int, start: Tensor | None, special: int, device: object
) -> tuple[Tensor, int]:
    """Return the delayed sequence to fill, and the first step to sample."""
    codes = torch.full((batch, n_codebooks, n_frames), UNKNOWN, device=device)
    n_known = 0 if start is None else start.shape[-1]
    if n_frames <= n_known:
        raise OsslError(
            "window_too_short",
            f"The window has {n_frames} frames, and {n_known} of them are known already.",
            "Use a window that is longer than its overlap with the one before.",
        )
    if start is not None:
        codes[..., :n_known] = start
    return delayed(codes, special), n_known + 1


def generators_for(seeds: Sequence[int], device: object) -> list[torch.Generator]:
    """Return one generator per item, so that items are independent."""
    return [torch.Generator(device=device).manual_seed(seed) for seed in seeds]
