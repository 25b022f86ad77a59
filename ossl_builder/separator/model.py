"""A small Demucs that splits film audio into dialogue and music by masks on its spectrogram.

It is the frequency branch of Demucs' `HDemucs` (Défossez 2021, "Hybrid spectrogram and waveform
source separation"), about 2 million parameters, with two changes: the input is a standardised log
magnitude, and the output is a sigmoid mask on the mix for each stem. The two masks are independent,
so that hiss, hum and crackle can be in neither stem.

The network always gets 512 bins of 15.6 Hz (0 to 8 kHz) in steps of 16 ms. It was trained on the
grid of 16 kHz mono. The shipped weights run on the grid of 44.1 kHz stereo, which is the same
within 0.3 per cent, so that a film needs no resampling. Above 8 kHz, where old films have little
but hiss, the mask of each frame is its own mean from 4 to 8 kHz.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from demucs.demucs import capture_init
from demucs.hdemucs import HDemucs
from torch import Tensor
from torch.nn import functional

BINS = 512
"""Frequency bins of the network's input: 0 to 8 kHz."""
TRAINING_NFFT = 2 * BINS
"""FFT size at 16 kHz, which fixes the shape of the network."""
UPPER_BAND = slice(BINS // 2, BINS)
"""4 to 8 kHz, whose mean mask is used above 8 kHz."""
SMOOTHING_FRAMES = 5
"""Frames (80 ms) over which that mean is smoothed."""
LOG_FLOOR = 3e-3
"""Added to magnitudes of RMS 1 before the logarithm: 50 dB below the mean, about a hiss."""
SILENCE = 1e-8
"""Magnitude that counts as nothing: far under one step of 24-bit audio."""


class FilmDemucs(HDemucs):  # type: ignore[misc] # Demucs has no types
    """Dialogue and music of a mix [batch, channels, samples] as [batch, 2, channels, samples].

    The result is deterministic. It does not depend on the level of the mix, or on other items of a
    batch. Channels share one mask, computed from their RMS spectrum, so no channel is lost in a
    downmix that cancels, and the stereo image does not change.

    `samplerate` and `nfft` must make bins of about 15.6 Hz: 44,100 and 2,816, or 16,000 and 1,024.
    `segment` is the length in seconds that `demucs.apply.apply_model` takes at a time.
    """

    @capture_init  # type: ignore[untyped-decorator]
    def __init__(
        self,
        sources: Sequence[str] = ("dialogue", "music"),
        samplerate: int = 44_100,
        audio_channels: int = 2,
        nfft: int = 2_816,
        segment: float = 8.0,
        channels: int = 16,
        depth: int = 5,
        dconv_lstm: int = 4,
    ) -> None:
        """Build the network for a grid; the weights are the same for every grid."""
        captured: object = self._init_args_kwargs  # type: ignore[has-type]
        super().__init__(
            list(sources),
            audio_channels=1,
            nfft=TRAINING_NFFT,
            cac=False,
            hybrid=False,
            channels=channels,
            depth=depth,
            norm_starts=1,
            dconv_lstm=dconv_lstm,
            dconv_attn=depth,  # none
            samplerate=samplerate,
            segment=segment,
        )
        self._init_args_kwargs = captured  # HDemucs has put its own there
        self.audio_channels = audio_channels
        self.nfft = nfft
        self.hop_length = nfft // 4

    def valid_length(self, length: int) -> int:
        """At least a segment, so that `apply_model` gives the last piece its true past too."""
        return max(length, int(self.segment * self.samplerate))

    def _spec(self, x: Tensor) -> Tensor:
        """Spectrum [batch, channels, nfft / 2, frames]; sounds shorter than a window are padded."""
        missing = self.nfft - x.shape[-1]
        return super()._spec(functional.pad(x, (0, missing)) if missing > 0 else x)

    def _ispec(self, z: Tensor, length: int | None = None, scale: int = 0) -> Tensor:
        """Back to audio of `length` samples."""
        if length is not None and length < self.nfft:
            return super()._ispec(z, self.nfft, scale)[..., :length]
        return super()._ispec(z, length, scale)

    def _magnitude(self, z: Tensor) -> Tensor:
        """Standardised log magnitude over the channels' RMS, [batch, 1, 512, frames]."""
        low_bins = z[..., :BINS, :]
        magnitude = (low_bins.real.square() + low_bins.imag.square()).mean(1, keepdim=True).sqrt()
        level = magnitude.square().mean((1, 2, 3), keepdim=True).sqrt()
        log = torch.log(magnitude / (level + SILENCE) + LOG_FLOOR)
        return (log - log.mean((1, 2, 3), keepdim=True)) / (log.std((1, 2, 3), keepdim=True) + 1e-5)

    def _mask(self, z: Tensor, m: Tensor) -> Tensor:
        """The mix's spectrum [batch, channels, bins, frames] times each source's mask."""
        mask = torch.sigmoid(2 * m)
        if z.shape[-2] > BINS:
            mask = torch.cat((mask, self._upper_mask(z, mask)), dim=-2)
        return z[:, None] * mask

    def _upper_mask(self, z: Tensor, mask: Tensor) -> Tensor:
        """The mask above 8 kHz: the mean over 4 to 8 kHz, weighted by energy, smoothed in time."""
        energy = z[..., UPPER_BAND, :].abs().square().mean(1, keepdim=True)[:, None]
        passed = (mask[..., UPPER_BAND, :] * energy).sum(-2)
        total = energy.sum(-2).expand_as(passed)
        # Divided after smoothing, so that loud frames determine the mask of quiet frames near them.
        share = _smooth(passed) / (_smooth(total) + SILENCE**2)
        return share[..., None, :].expand(*share.shape[:-1], z.shape[-2] - BINS, -1)


def _smooth(frames: Tensor) -> Tensor:
    """Moving mean along the last of four dimensions, shorter at the ends."""
    flat = frames.flatten(0, 2)[:, None]
    half = SMOOTHING_FRAMES // 2
    mean = functional.avg_pool1d(flat, SMOOTHING_FRAMES, 1, half, count_include_pad=False)
    return mean[:, 0].view_as(frames)
