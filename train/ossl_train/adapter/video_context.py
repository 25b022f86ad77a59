"""The videos that an adapter conditions a model on: one batch of windows, checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ossl_builder.errors import OsslError
from ossl_train.adapter.layers import positions_of_times
from ossl_train.musicgen import Guidance


@dataclass
class VideoContext:
    """The videos of one batch, ready for every layer.

    Attributes:
        video: [B, Tv, video_dim].
        positions: [B, Tv, dim] to add to the projected tokens, or None.
        allowed: [B, 1, 1, Tv] bool, False for padding; None: no token is padding.
        weights: [B, 1, 1] the weight of each item's video: `strength`, or 0 without video.
        dialogue: [B, Tv, 2], or None.
        guidance: whether the last of several copies has the video.
        caching: cache keys and values for the next forward.
        tokens: the video after modulation by the dialogue.
        keys_values: keys and values of each layer.
    """

    video: Tensor
    positions: Tensor | None
    allowed: Tensor | None
    weights: Tensor
    dialogue: Tensor | None
    guidance: Guidance
    caching: bool
    tokens: Tensor | None = None
    keys_values: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def copies_that_see(self, n_sequences: int, copies: tuple[bool, ...]) -> int:
        """Return the number of stacked copies of the batch, from the first, that have the video."""
        count, remainder = divmod(n_sequences, len(self.video))
        if remainder or count == 0 or (copies and len(copies) != count):
            raise wrong(
                f"The model runs {n_sequences} sequences, and there are {len(self.video)} videos",
                "Give one video for each item of the batch.",
            )
        if copies:
            return sum(copies)
        return count - 1 if count > 1 and self.guidance == "none" else count


def video_context(
    config: Any,
    weight: Tensor,
    video: Tensor,
    times: Tensor | None,
    mask: Tensor | None,
    keep: Tensor | None,
    dialogue: Tensor | None,
    guidance: Guidance,
    strength: float,
    caching: bool,
) -> VideoContext:
    """Check the arguments of `VideoAdapter.show`; move them to the adapter's device and type.

    Raises:
        OsslError: adapter_input.
    """
    if video.shape[-1] != config.video_dim:
        raise wrong(
            f"The video tokens are {video.shape[-1]} wide and the adapter needs {config.video_dim}",
            "Use the features that the adapter was trained on: see its configuration.",
        )
    if config.positions == "time" and times is None:
        raise wrong("The adapter uses time positions, and no times are given", "Pass `times`.")
    if config.dialogue and dialogue is None:
        raise wrong("The adapter uses dialogue, and none is given", "Pass `dialogue`.")
    video = video.to(weight.device, weight.dtype)
    has_video = torch.ones(len(video), dtype=torch.bool, device=weight.device)
    has_video = has_video if keep is None else keep.to(weight.device)
    allowed = None
    if mask is not None:
        mask = mask.to(weight.device)
        has_video = has_video & mask.any(dim=1)
        # An item without any token attends to its padding, with weight 0.
        mask = mask | ~mask.any(dim=1, keepdim=True)
        allowed = None if bool(mask.all()) else mask[:, None, None, :]
    token_positions = None
    if config.positions == "time" and times is not None:
        token_positions = positions_of_times(times.to(weight.device), config.frame_rate, config.dim)
    weights = (has_video.to(weight.dtype) * strength)[:, None, None]
    dialogue = (
        dialogue.to(weight.device, weight.dtype)
        if config.dialogue and dialogue is not None
        else None
    )
    return VideoContext(video, token_positions, allowed, weights, dialogue, guidance, caching)


def wrong(message: str, hint: str) -> OsslError:
    """Return the error for input that the adapter cannot use."""
    return OsslError("adapter_input", f"{message}.", hint)
