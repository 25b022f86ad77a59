"""The frozen model and its adapter as one trainable module, and its loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ossl_train.adapter.adapter import VideoAdapter
from ossl_train.data.dataset import Batch
from ossl_train.musicgen import Backbone, TextStates
from ossl_train.training.settings import FitSettings


def counted_tokens(valid_frames: Tensor, predicted: Tensor) -> Tensor:
    """Select the tokens that enter the loss.

    MusicGen delays codebook k by k frames: its token of frame t is predicted from codebook 0's
    frames up to t + k - 1. No prediction may depend on padding. So codebook k ends k frames before
    the end of the clip, as it does in a full window. The loss of a clip then does not depend on the
    padding.

    Args:
        valid_frames: `[B, T]` bool, False in the padding behind short clips.
        predicted: `[B, K, T]` bool, True where the model gives logits.

    Returns:
        `[B, K, T]` bool.
    """
    counted = predicted.clone()
    n_frames = valid_frames.shape[1]
    for k in range(predicted.shape[1]):
        counted[:, k, : n_frames - k] &= valid_frames[:, k:]
        counted[:, k, n_frames - k :] = False
    return counted


def token_losses(logits: Tensor, codes: Tensor, counted: Tensor) -> Tensor:
    """Return the cross-entropy of each token, zero where it does not count.

    Args:
        logits: `[B, K, T, cardinality]`, any precision, aligned with `codes`.
        codes: `[B, K, T]` int64; any value where `counted` is False.
        counted: `[B, K, T]` bool.

    Returns:
        `[B, K, T]` float32, nats.
    """
    # Logits that do not count may be NaN (audiocraft fills with it); 0 * NaN is NaN, in gradients.
    finite = logits.masked_fill(~counted[..., None], 0.0).float()
    losses = functional.cross_entropy(
        finite.flatten(0, 2), codes.masked_fill(~counted, 0).flatten(), reduction="none"
    )
    return losses.view(codes.shape).masked_fill(~counted, 0.0)


class TrainModule(nn.Module):  # type: ignore[misc] # torch has no types here
    """The frozen model with its adapter, as one module whose parameters are the adapter's alone.

    The adapter works by hooks inside the model's forward. DistributedDataParallel synchronises
    gradients only for the forward of the module that it wraps: this one.
    """

    def __init__(self, backbone: Backbone, adapter: VideoAdapter, settings: FitSettings) -> None:
        super().__init__()
        self.adapter = adapter
        # A tuple, so that torch does not register a backbone that is a module as a submodule.
        self._frozen = (backbone,)
        self._bf16 = settings.precision == "bf16"

    def forward(
        self, batch: Batch, keep_video: Tensor | None, keep_text: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return the summed loss in nats and the number of tokens of each window, `[B]` each."""
        text = batch.text
        if keep_text is not None:
            text = TextStates(text.states, text.mask & keep_text[:, None])
        context = self.adapter.show(
            batch.video, batch.video_times, batch.video_mask, keep_video, batch.dialogue
        )
        with context, torch.autocast(batch.codes.device.type, torch.bfloat16, self._bf16):
            logits, predicted = self._frozen[0].logits(batch.codes, text)
        counted = counted_tokens(batch.valid, predicted)
        losses = token_losses(logits, batch.codes, counted)
        return losses.sum((1, 2)), counted.sum((1, 2))
