"""The U-Net of Spleeter, which masks one source in a spectrogram.

Hennequin, Khlif, Voituret and Moussallam, "Spleeter: a fast and efficient music source separation
tool with pre-trained models" (2020). `models.spleeter` has the published network, `model` the
bundled one, whose largest layers are factorised.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTHS = (16, 32, 64, 128, 256, 512)
"""Channels of the encoder's layers."""
DEPTH = len(WIDTHS)
NORM_EPSILON = 1e-3
WIDE = 128
"""Fewest output channels of a decoder's layer that a rank applies to."""


class Affine(nn.Module):  # type: ignore[misc] # torch has no types
    """Scale and shift each channel of [batch, channels, frames, bins]: a norm that is fixed."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels, 1, 1))
        self.shift = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the scaled and shifted tensor."""
        return torch.addcmul(self.shift, hidden, self.scale)


class UNet(nn.Module):  # type: ignore[misc]
    """Masks of one source, as logits, from magnitudes; both are [batch, channels, frames, bins].

    Frames and bins are multiples of 64.
    """

    def __init__(self, channels: int, rank: int | None = None) -> None:
        """Build the network.

        Args:
            channels: audio channels.
            rank: rank of the three largest layers, each of which is then two convolutions; fixed
                scales and shifts replace batch normalisation. None: the published network.
        """
        super().__init__()
        ends = (channels, *WIDTHS)
        norm = (lambda n: nn.BatchNorm2d(n, eps=NORM_EPSILON)) if rank is None else Affine
        self.down = nn.ModuleList(nn.Conv2d(a, b, 5, stride=2) for a, b in pairwise(ends))
        self.down_norm = nn.ModuleList(norm(n) for n in WIDTHS[:-1])
        # Each layer but the first also sees the output of the encoder's layer of its size.
        outputs = (*WIDTHS[-2::-1], 1)
        inputs = (WIDTHS[-1], *(2 * n for n in outputs[:-1]))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 5, stride=2) for a, b in zip(inputs, outputs, strict=True)
        )
        self.up_norm = nn.ModuleList(norm(n) for n in outputs)
        self.mask = nn.Conv2d(1, channels, 4, padding=3, dilation=2)
        if rank is not None:
            self._factorise(rank)

    def _factorise(self, rank: int) -> None:
        a, b = WIDTHS[-2:]
        self.down[-1] = nn.Sequential(
            nn.Conv2d(a, rank, 5, stride=2, bias=False), nn.Conv2d(rank, b, 1)
        )
        for number, layer in enumerate(self.up):
            if layer.out_channels >= WIDE:
                self.up[number] = nn.Sequential(
                    nn.Conv2d(layer.in_channels, rank, 1, bias=False),
                    nn.ConvTranspose2d(rank, layer.out_channels, 5, stride=2),
                )

    def forward(self, magnitude: Tensor) -> Tensor:
        """Return the logits of the masks; they have the shape of the input."""
        hidden, skipped = magnitude, []
        for number, convolution in enumerate(self.down):
            # TensorFlow's "same" padding: one more on the right.
            hidden = convolution(functional.pad(hidden, (1, 2, 1, 2)))
            if number < DEPTH - 1:
                skipped.append(hidden)
                hidden = functional.leaky_relu(self.down_norm[number](hidden), 0.2)
        for convolution, norm in zip(self.up, self.up_norm, strict=True):
            hidden = norm(functional.relu(convolution(hidden)[:, :, 1:-2, 1:-2]))
            if skipped:
                hidden = torch.cat([skipped.pop(), hidden], dim=1)
        return self.mask(hidden)
