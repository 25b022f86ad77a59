"""Two U-Nets that mask the dialogue and the music of film audio.

Each source has a U-Net with the layers of Spleeter's (Hennequin et al. 2020): from the magnitude of
the mix, it estimates a mask. The differences: the masks are independent, so that hiss, hum, effects
and noises can be in no stem; the input has one channel and a fixed level; the three largest layers
are factorised to a lower rank; and the bands end at 8 kHz, above which old films have little but
hiss. There the mask of a frame is its own mean from 4 to 8 kHz.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from demucs.demucs import capture_init
from torch import Tensor, nn
from torch.nn import functional

from ossl_builder.separator.unet import UNet

NFFT = 4_096
TRAINING_NFFT = 1_486
"""FFT size at 16 kHz; the bins are as wide as with 4,096 at 44.1 kHz, within 0.01 per cent."""
BINS = 743
"""Frequency bins that the network sees: 0 to 8 kHz."""
UPPER_BAND = slice(BINS // 2, BINS)
"""4 to 8 kHz, whose mean mask is used above 8 kHz."""
MULTIPLE = 64
"""Bins and frames are padded to a multiple of this, because each layer halves them."""
LEVEL = 6.5
"""RMS of the magnitudes that the network gets."""
RANK = 128
"""Rank of the layers that are factorised."""
SMOOTHING_FRAMES = 5
"""Frames (0.1 s) over which the mask above 8 kHz is smoothed."""
SILENCE = 1e-8
"""Magnitude that counts as nothing: far under one step of 24-bit audio."""


class FilmUNet(nn.Module):  # type: ignore[misc] # torch has no types
    """Dialogue and music of a mix [batch, channels, samples] as [batch, 2, channels, samples].

    The result is deterministic. It does not depend on the level of the mix, or on other items of a
    batch. Channels share one mask, computed from their RMS spectrum, so no channel is lost in a
    downmix that cancels, and the stereo image does not change.

    `samplerate` and `nfft` must make bins of about 10.8 Hz: 44,100 and 4,096, or 16,000 and 1,486.
    `segment` is the length in seconds that `demucs.apply.apply_model` takes at a time.
    """

    @capture_init  # type: ignore[untyped-decorator]
    def __init__(
        self,
        sources: Sequence[str] = ("dialogue", "music"),
        samplerate: int = 44_100,
        audio_channels: int = 2,
        nfft: int = NFFT,
        segment: float = 11.8,
        rank: int = RANK,
    ) -> None:
        super().__init__()
        self.sources = list(sources)
        self.samplerate = samplerate
        self.audio_channels = audio_channels
        self.nfft = nfft
        self.segment = segment
        self.networks = nn.ModuleList(UNet(1, rank) for _ in sources)
        self.to(memory_format=torch.channels_last)  # a sixth less time on a CPU

    def valid_length(self, length: int) -> int:
        """At least a segment, so that `apply_model` gives the last piece its true past too."""
        return max(length, int(self.segment * self.samplerate))

    def forward(self, mix: Tensor) -> Tensor:
        """Separate a mix."""
        batch, channels, length = mix.shape
        hop = self.nfft // 4
        window = torch.hann_window(self.nfft, device=mix.device)
        flat = torch.stft(
            mix.reshape(batch * channels, length), self.nfft, hop, window=window, center=True,
            pad_mode="constant", return_complex=True,
        )  # fmt: skip
        spectrum = flat.view(batch, channels, *flat.shape[1:])
        magnitude = _magnitude(spectrum)
        bins, frames = magnitude.shape[-1], magnitude.shape[-2]
        padded = functional.pad(magnitude, (0, -bins % MULTIPLE, 0, -frames % MULTIPLE))
        logits = torch.cat([network(padded) for network in self.networks], dim=1)
        mask = torch.sigmoid(logits[:, :, :frames, :bins]).transpose(2, 3).float()
        if not self.training:  # the network is not to learn to make up for it
            mask = _raised(mask)
        mask = torch.cat((mask, _upper_mask(spectrum, mask)), dim=2)
        masked = spectrum[:, None] * mask[:, :, None]
        audio = torch.istft(
            masked.flatten(0, 2), self.nfft, hop, window=window, center=True, length=length
        )
        return audio.view(batch, len(self.sources), channels, length)


def _magnitude(spectrum: Tensor) -> Tensor:
    """RMS of the channels at a fixed level, [batch, 1, frames, BINS]."""
    low_bins = spectrum[:, :, :BINS]
    power = (low_bins.real.square() + low_bins.imag.square()).mean(1, keepdim=True)
    level = power.mean((1, 2, 3), keepdim=True).sqrt()
    return (power.sqrt() * (LEVEL / (level + SILENCE))).transpose(2, 3)


def _raised(mask: Tensor) -> Tensor:
    """Raise masks [batch, sources, …] whose sum is below 1: the sum becomes its square root.

    The network passes too little of loud orchestras. The price is noise: what both masks together
    would pass at -40 dB is passed at -20 dB.
    """
    total = mask.sum(1, keepdim=True)
    return mask * total.clamp(SILENCE, 1).rsqrt()


def _upper_mask(spectrum: Tensor, mask: Tensor) -> Tensor:
    """The mask above 8 kHz: the mean over 4 to 8 kHz, weighted by energy, smoothed in time."""
    energy = spectrum[:, :, UPPER_BAND].abs().square().mean(1)[:, None]
    passed = (mask[:, :, UPPER_BAND] * energy).sum(2)
    total = energy.sum(2).expand_as(passed)
    # Divided after smoothing, so that loud frames determine the mask of quiet frames near them.
    share = _smooth(passed) / (_smooth(total) + SILENCE**2)
    return share[:, :, None].expand(-1, -1, spectrum.shape[2] - BINS, -1)


def _smooth(frames: Tensor) -> Tensor:
    """Moving mean along the last of three dimensions, shorter at the ends."""
    half = SMOOTHING_FRAMES // 2
    return functional.avg_pool1d(frames, SMOOTHING_FRAMES, 1, half, count_include_pad=False)
