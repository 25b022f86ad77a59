"""Estimate what a separation left in the wrong stem, without a reference.

A separator masks the spectrum of the mix. Where it is sure, a bin of the spectrogram goes to one
stem; where it is not, both get part of it. So the energy that two stems share, bin by bin, tells
how badly they are separated. It agreed with the true SI-SDR better than the level of a stem in
pauses of the other; `python -m separator.residuals` prints the correlations. Perfect stems of
speech and music share energy too, about a tenth of it, where both sound in a bin; and a sound that
is wholly in the wrong stem is not noticed. So compare clips by it; it is no absolute measure.
"""

from __future__ import annotations

from math import log10
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Block = NDArray[np.float32]

WINDOW_S = 0.046
"""Length of the spectra's windows; they overlap by half."""


class ResidualMeter:
    """Measure the energy that two stems share, from streams of their audio."""

    def __init__(self, rate: int) -> None:
        """`rate` is the sample rate in Hz."""
        import numpy as np

        self._size = 2 * round(rate * WINDOW_S / 2)
        self._window = np.hanning(self._size).astype(np.float32)
        self._rest: Block | None = None
        self._shared = self._music = self._dialogue = 0.0

    def add(self, music: Block, dialogue: Block) -> None:
        """Add the next blocks of both stems, [channels, samples] of equal shape."""
        import numpy as np

        stems = np.stack([music.mean(axis=0), dialogue.mean(axis=0)])
        if self._rest is not None:
            stems = np.concatenate([self._rest, stems], axis=1)
        hop = self._size // 2
        count = max(0, stems.shape[1] // hop - 1)
        self._rest = stems[:, count * hop :]
        if not count:
            return
        frames = np.lib.stride_tricks.sliding_window_view(stems, self._size, axis=1)
        spectra = np.fft.rfft(frames[:, ::hop][:, :count] * self._window)
        in_music, in_dialogue = spectra.real**2 + spectra.imag**2
        self._shared += float(np.minimum(in_music, in_dialogue).sum())
        self._music += float(in_music.sum())
        self._dialogue += float(in_dialogue.sum())

    def residuals_db(self) -> tuple[float | None, float | None]:
        """Return music in the dialogue stem and dialogue in the music stem, in dB.

        Each is the shared energy over the energy of the stem, at most 0; None: the stem is silent.
        """
        return _decibels(self._shared, self._dialogue), _decibels(self._shared, self._music)


def _decibels(shared: float, total: float) -> float | None:
    """Return a ratio in dB, at least -100."""
    return 10 * log10(max(shared / total, 1e-10)) if total > 0 else None
