"""What the separator learns by, and how it is judged on windows it has never heard."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

SOURCES = ("dialogue", "music", "effects")
ERROR_FLOOR = 0.02
"""Error energy, relative to the mix, under which a stem counts as nearly right (-17 dB).

Without so high a floor a silent stem is worth more than all others, and training collapses into
silence.
"""
L1_WEIGHT = 2.0
PRESENT = 1e-7
"""Mean square above which a stem counts as present in a window."""


def loss(estimate: Tensor, stems: Tensor, mix: Tensor) -> Tensor:
    """Mean over stems of 10 log10(error / mix energy + floor) + 2 L1 / mix RMS.

    Stems are [batch, sources, channels, samples], the mix [batch, channels, samples].
    """
    energy = mix.square().mean((-1, -2))[:, None] + 1e-9
    error = (estimate - stems).square().mean((-1, -2))
    absolute = (estimate - stems).abs().mean((-1, -2))
    decibels = 10 * torch.log10(error / energy + ERROR_FLOOR)
    return decibels.mean() + L1_WEIGHT * (absolute / energy.sqrt()).mean()


def si_sdr(estimate: Tensor, reference: Tensor) -> Tensor:
    """SI-SDR in dB along the last axis (Le Roux et al. 2019, "SDR: half-baked or well done?")."""
    estimate = estimate - estimate.mean(-1, keepdim=True)
    reference = reference - reference.mean(-1, keepdim=True)
    scale = (estimate * reference).sum(-1) / (reference.square().sum(-1) + 1e-12)
    target = scale[..., None] * reference
    error = (estimate - target).square().sum(-1)
    return 10 * torch.log10((target.square().sum(-1) + 1e-12) / (error + 1e-12))


def validate(model: nn.Module, batches: Sequence[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """Return SI-SDR gains where two stems or more sound, and leaks into silent stems, in dB.

    `music_leak` and so on are the energy of a stem that should be silent over the mix's.
    """
    gains: list[list[float]] = [[] for _ in SOURCES]
    leaks: list[list[float]] = [[] for _ in SOURCES]
    losses = []
    with torch.no_grad():
        for mix, stems in batches:
            estimate = model(mix)
            losses.append(float(loss(estimate, stems, mix)))
            present = stems.square().mean((-1, -2)) > PRESENT
            gain = si_sdr(estimate, stems) - si_sdr(mix[:, None].expand_as(stems), stems)
            energy = mix.square().mean((-1, -2))[:, None]
            leak = 10 * torch.log10(estimate.square().mean((-1, -2)) / energy + 1e-9)
            for item, sounding in enumerate(present.tolist()):
                for source, sounds in enumerate(sounding):
                    if sounds and sum(sounding) > 1:
                        gains[source].append(float(gain[item, source, 0]))
                    elif not sounds:
                        leaks[source].append(float(leak[item, source]))

    def mean(values: list[float]) -> float:
        return sum(values) / max(1, len(values))

    figures = {"loss": mean(losses)}
    for source, name in enumerate(SOURCES):
        figures |= {f"{name}_gain": mean(gains[source]), f"{name}_leak": mean(leaks[source])}
    return figures
