"""The frozen model and its adapter as one trainable module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ossl_train.backbones import Backbone, TextStates
from ossl_train.data.batch import Batch
from ossl_train.fit.loss import counted_tokens, token_losses
from ossl_train.fit.settings import FitSettings
from ossl_train.model.adapter import VideoAdapter


class Watched(nn.Module):  # type: ignore[misc] # torch has no types here
    """The frozen model with its adapter, as one module whose parameters are the adapter's alone.

    The adapter works by hooks inside the model's forward. DistributedDataParallel sees to its
    gradients only if that forward is its own: this is what it wraps.
    """

    def __init__(self, backbone: Backbone, adapter: VideoAdapter, settings: FitSettings) -> None:
        super().__init__()
        self.adapter = adapter
        # In a tuple, so that a backbone that is a module is not one of this module's.
        self._frozen = (backbone,)
        self._bf16 = settings.precision == "bf16"

    def forward(
        self, batch: Batch, keep_video: Tensor | None, keep_text: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Sum of the losses, nats, and number of tokens of each window: `[B]` and `[B]`."""
        text = batch.text
        if keep_text is not None:
            text = TextStates(text.states, text.mask & keep_text[:, None])
        watching = self.adapter.watching(
            batch.video, batch.video_times, batch.video_mask, keep_video, batch.dialogue
        )
        with watching, torch.autocast(batch.codes.device.type, torch.bfloat16, self._bf16):
            logits, predicted = self._frozen[0].logits(batch.codes, text)
        counted = counted_tokens(batch.valid, predicted)
        losses = token_losses(logits, batch.codes, counted)
        return losses.sum((1, 2)), counted.sum((1, 2))
