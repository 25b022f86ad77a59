"""The videos that an adapter conditions a model on: one batch of windows, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ossl_builder.errors import OsslError
from ossl_train.adapter.layers import positions_of_times
from ossl_train.musicgen import Guidance


@dataclass
class VideoContext:
    """The videos of one batch, ready for every layer.

    Attributes:
        video: [B, Tv, video_dim].
        nulls: [B, n, video_dim], the tokens for "no video", behind those of the video; or None.
        positions: [B, Tv + n, dim] to add to the projected tokens, or None.
        allowed: [B, 1, 1, Tv + n] bool, False for padding, and for either the video or "no video";
            None: no token is padding.
        weights: [B, 1, 1] the weight of each item's video: `strength`, or 0 without video.
        curves: [B, Tv, n_curves] of the dialogue and the events, or None.
        strength: multiplies every alpha.
        guidance: whether the last of several copies has the video.
        caching: cache keys and values for the next forward.
        tokens: the video after modulation by the curves, with `nulls` behind it.
        keys_values: keys and values of each layer, and `null_keys_values` those of "no video".
    """

    video: Tensor
    nulls: Tensor | None
    positions: Tensor | None
    allowed: Tensor | None
    weights: Tensor
    curves: Tensor | None
    strength: float
    guidance: Guidance
    caching: bool
    tokens: Tensor | None = None
    keys_values: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    null_keys_values: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

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
    null: Tensor | None,
    video: Tensor,
    times: Tensor | None,
    mask: Tensor | None,
    keep: Tensor | None,
    curves: Mapping[str, Tensor | None],
    guidance: Guidance,
    strength: float,
    caching: bool,
) -> VideoContext:
    """Check the arguments of `VideoAdapter.show`; move them to the adapter's device and type.

    Args:
        config: the adapter's.
        weight: one of its weights.
        null: [n, video_dim], its tokens for "no video"; None: without video the base model runs.
        video, times, mask, keep, guidance, strength, caching: see `VideoAdapter.show`.
        curves: `dialogue` and `events` of `VideoAdapter.show`, in the order of the FiLM's inputs.

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
    used = {name: curve for name, curve in curves.items() if getattr(config, name)}
    for name, curve in used.items():
        if curve is None:
            raise wrong(f"The adapter uses {name}, and none is given", f"Pass `{name}`.")
    video = video.to(weight.device, weight.dtype)
    has_video = torch.ones(len(video), dtype=torch.bool, device=weight.device)
    has_video = has_video if keep is None else keep.to(weight.device)
    real = torch.ones(video.shape[:2], dtype=torch.bool, device=weight.device)
    if mask is not None:
        real = mask.to(weight.device)
        has_video = has_video & real.any(dim=1)
    positions = None
    if config.positions == "time" and times is not None:
        positions = positions_of_times(times.to(weight.device), config.frame_rate, config.dim)
    nulls = None
    # With `keep`, always: all weights are then part of the loss in every process.
    if null is not None and (keep is not None or not bool(has_video.all())):
        nulls = null.expand(len(video), -1, -1)
        absent = ~has_video[:, None].expand(-1, len(null))
        real = torch.cat([real & has_video[:, None], absent], dim=1)
        if positions is not None:
            positions = functional.pad(positions, (0, 0, 0, len(null)))
        has_video = torch.ones_like(has_video)
    # An item without any token attends to its padding, with weight 0.
    real = real | ~real.any(dim=1, keepdim=True)
    given = [curve.to(weight.device, weight.dtype) for curve in used.values() if curve is not None]
    return VideoContext(
        video=video,
        nulls=nulls,
        positions=positions,
        allowed=None if bool(real.all()) else real[:, None, None, :],
        weights=(has_video.to(weight.dtype) * strength)[:, None, None],
        curves=torch.cat(given, dim=-1) if given else None,
        strength=strength,
        guidance=guidance,
        caching=caching,
    )


def wrong(message: str, hint: str) -> OsslError:
    """Return the error for input that the adapter cannot use."""
    return OsslError("adapter_input", f"{message}.", hint)
