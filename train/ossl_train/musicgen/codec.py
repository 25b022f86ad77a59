"""The frozen EnCodec and T5 of both MusicGen layouts, through transformers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ossl_train.musicgen.types import TextStates


class Codec:
    """A frozen EnCodec in float32 (Défossez et al. 2022) that uses all of its codebooks.

    Attributes:
        module: the model.
        sample_rate: in Hz.
        frame_rate: frames per second.
    """

    def __init__(self, module: Any) -> None:
        self.module = module.float().eval().requires_grad_(False)
        self.sample_rate = int(module.config.sampling_rate)
        self.frame_rate = module.config.sampling_rate / module.config.hop_length

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def encode(self, audio: Tensor) -> Tensor:
        """Codes [B, K, T] of audio [B, 1, N]."""
        latents = self.module.encoder(audio.to(self._device(), torch.float32))
        return self.module.quantizer.encode(latents).transpose(0, 1)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def decode(self, codes: Tensor) -> Tensor:
        """Audio [B, 1, N] of codes [B, K, T]."""
        latents = self.module.quantizer.decode(codes.to(self._device()).transpose(0, 1))
        return self.module.decoder(latents)

    def codebooks(self) -> list[Tensor]:
        """Each codebook's vectors [cardinality, width]."""
        return [layer.codebook.embed for layer in self.module.quantizer.layers]

    def _device(self) -> Any:
        return next(self.module.parameters()).device


class AudiocraftCodec:
    """The same for an EnCodec built by audiocraft."""

    def __init__(self, module: Any) -> None:
        self.module = module.float().eval().requires_grad_(False)
        self.sample_rate = int(module.sample_rate)
        self.frame_rate = float(module.frame_rate)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def encode(self, audio: Tensor) -> Tensor:
        """Codes [B, K, T] of audio [B, 1, N]."""
        return self.module.encode(audio.to(self._device(), torch.float32))[0]

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def decode(self, codes: Tensor) -> Tensor:
        """Audio [B, 1, N] of codes [B, K, T]."""
        return self.module.decode(codes.to(self._device()))

    def codebooks(self) -> list[Tensor]:
        """Each codebook's vectors [cardinality, width]."""
        return [layer.codebook for layer in self.module.quantizer.vq.layers]

    def _device(self) -> Any:
        return next(self.module.parameters()).device


class TextEncoder:
    """A tokenizer and a frozen T5 encoder in float32, as in MusicGen (T5 overflows fp16).

    Attributes:
        width: of its states.
    """

    def __init__(self, tokenizer: Any, model: Any) -> None:
        self.tokenizer = tokenizer
        self.model = model.float().eval().requires_grad_(False)
        self.width = int(model.config.d_model)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def encode(self, prompts: Sequence[str]) -> TextStates:
        """Encode prompts, padded to the longest; the states of an empty prompt are masked."""
        device = next(self.model.parameters()).device
        tokens = self.tokenizer(list(prompts), return_tensors="pt", padding=True).to(device)
        states = self.model(
            input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
        ).last_hidden_state
        has_text = torch.tensor([bool(prompt) for prompt in prompts], device=device)
        mask = tokens["attention_mask"].bool() & has_text[:, None]
        return TextStates(states * mask[..., None], mask)
