"""Video features for generation, encoded as in training, for windows that may overlap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ossl_train.adapter.adapter import AdapterConfig
from ossl_train.data.events import Motion
from ossl_train.data.features import FeaturesSettings, pool_tokens
from ossl_train.data.video_encoder import VideoEncoder
from ossl_train.data.window_loader import dialogue_curves, window_frames
from ossl_train.data.windows import WindowSpan
from ossl_train.generation.requests import GenerationRequest

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class WindowFeatures:
    """The video of one window.

    Attributes:
        video: [Tv, D], float32, rounded to float16 as in the stores.
        times_s: [Tv], middle of the time that each token covers, after the window's start.
        dialogue: [Tv, 2], or None.
        events: [Tv, 3], or None.
    """

    video: Tensor
    times_s: Tensor
    dialogue: Tensor | None
    events: Tensor | None


def window_features(
    request: GenerationRequest,
    windows: Sequence[WindowSpan],
    encoder: VideoEncoder,
    settings: FeaturesSettings,
    config: AdapterConfig,
) -> Iterator[WindowFeatures]:
    """Yield the features of each window; the file is decoded once, few frames are in memory.

    Args:
        request: the video, with its dialogue and its cuts if they are known.
        windows: may overlap.
        encoder: of the adapter's features.
        settings: section `features` of the adapter's recipe.
        config: of the adapter; tells which curves it needs.

    Raises:
        OsslError: `video_undecodable`, `no_video`, `not_media`, `audio_unreadable`.
    """
    import torch

    assert request.video is not None, "an adapter needs a video"
    n_slots = encoder.shape.n_slots
    per_slot = encoder.shape.per_slot if settings.pooling == "all" else 1
    motion = Motion() if config.events else None
    frames = window_frames(request.video, windows, encoder, motion)
    for window, (pixels, shown_s) in zip(windows, frames, strict=True):
        states = encoder.states(pixels[None], settings.precision)
        video = pool_tokens(states, settings.pooling, n_slots)[0].half().float()
        slots = torch.tensor(shown_s, dtype=torch.float64).reshape(n_slots, -1).mean(1)
        middle = torch.tensor([window.duration_s / 2], dtype=torch.float64)
        times = torch.cat([middle, slots - window.start_s]).float()
        dialogue = events = None
        if config.dialogue or config.events:
            dialogue = _dialogue(request.dialogue, window, n_slots)
        if motion is not None and dialogue is not None:
            curve = motion.curve(window, n_slots, request.cuts_s, dialogue[:, 0].numpy())
            events = _per_token(torch.from_numpy(curve), per_slot)
        yield WindowFeatures(
            video,
            _per_token(times, per_slot),
            _per_token(dialogue, per_slot) if config.dialogue and dialogue is not None else None,
            events,
        )


def _dialogue(path: Path | None, window: WindowSpan, n_slots: int) -> Tensor:
    """Return [1 + slots, 2]; zeros, which mean silence, without a dialogue stem."""
    import torch

    if path is None:
        return torch.zeros(1 + n_slots, 2)
    (curve,) = dialogue_curves(path, [window], n_slots)
    return torch.from_numpy(curve)


def _per_token(values: Tensor, per_slot: int) -> Tensor:
    """Expand values [1 + slots, ...] to tokens: the class token, then the tokens of each slot."""
    import torch

    return torch.cat([values[:1], values[1:].repeat_interleave(per_slot, dim=0)])
