"""Rooms, levels and edges of sounds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATE = 44_100
"""Samples per second of everything that is synthesised here."""

Sound = NDArray[np.float32]
"""[samples, channels]; full scale is 1."""


def room(sound: Sound, seconds: float, amount: float, seed: int) -> Sound:
    """The sound with the reverberation of a room, cut at the sound's own end.

    Args:
        sound: [samples, channels].
        seconds: time in which the reverberation decays by 60 dB.
        amount: its energy relative to the sound's, about.
        seed: which room.
    """
    from scipy.signal import fftconvolve, lfilter

    rng = np.random.default_rng(seed)
    length = int(seconds * RATE)
    decay = 10 ** (-3 * np.arange(length) / length)
    tail = rng.standard_normal((length, sound.shape[1])) * decay[:, None]
    tail = lfilter([0.35], [1, -0.65], tail, axis=0)  # air and walls dull it
    tail[: int(0.012 * RATE)] = 0  # the first reflection has some way to go
    tail *= np.sqrt(amount / np.sum(tail**2, axis=0))
    wet = fftconvolve(sound, tail, axes=0)[: len(sound)]
    return np.asarray(sound + wet, dtype=np.float32)


def level_dbfs(sound: Sound) -> float:
    """Root mean square over all samples and channels, of full scale."""
    return float(10 * np.log10(np.mean(np.square(sound, dtype=np.float64)) + 1e-20))


def faded(sound: Sound, in_s: float, out_s: float) -> Sound:
    """The sound with raised-cosine edges; it begins and ends with 0."""
    gain = np.ones(len(sound), dtype=np.float32)
    for seconds, edge in ((in_s, gain), (out_s, gain[::-1])):
        length = int(seconds * RATE)
        edge[:length] *= 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, length, dtype=np.float32))
    return np.asarray(sound * gain[:, None])
