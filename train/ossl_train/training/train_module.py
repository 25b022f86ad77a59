"""The frozen model and its adapter as one trainable module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ossl_train.adapter.adapter import VideoAdapter
from ossl_train.data.dataset import Batch
from ossl_train.musicgen import Backbone, TextStates
from ossl_train.training.settings import FitSettings


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
            batch.video,
            batch.video_times,
            batch.video_mask,
            keep_video,
            batch.dialogue,
            batch.events,
        )
        with context, torch.autocast(batch.codes.device.type, torch.bfloat16, self._bf16):
            return self._frozen[0].losses(batch.codes, batch.valid, text)
