"""Landmarks of music: constellations of four spectral peaks, robust to level and coding.

After A. Wang, "An industrial-strength audio search algorithm" (2003). The constellations are robust
to a change of speed, as in R. Sonnleitner and G. Widmer, "Quad-based audio fingerprinting robust to
time and frequency scaling" (2014). Speech over the music, or residue of it after separation, adds
and hides peaks; the constellations of the other peaks do not change.
"""

from __future__ import annotations

from itertools import combinations
from math import gcd
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Audio = NDArray[np.float32]
    Whole = NDArray[np.int64]
    Reals = NDArray[np.float64]

# Frequencies above 3.5 kHz are the first that a poor copy loses.
RATE = 8000
WINDOW = 1024
HOP = 256
LOWEST_BIN, HIGHEST_BIN = 12, 450
# A peak is the maximum of this neighbourhood: in hops, and in bins of RATE / WINDOW = 7.8 Hz.
NEAR_HOPS, NEAR_BINS = 10, 40
# Peaks this far below the clip's highest one are noise. A clip with no peak above SILENT is silent.
QUIET_DB = 60.0
SILENT = 1e-3
# A landmark is a peak and three of the next four peaks within this range, in hops and octaves.
FIRST_HOP, LAST_HOP = 2, 48
REACH_OCTAVES = 2.0
NEXT = 4
# Steps per octave. The first peak's pitch is coarse, because a film played at 25 instead of 24
# frames per second is 0.06 octaves higher. Intervals to it do not change, so they are fine.
COARSE, FINE = 6, 24
STEP_HOPS = 6


def at_rate(audio: Audio, rate: int) -> Audio:
    """Return the mean of all channels, resampled to RATE.

    Args:
        audio: [channels, samples].
        rate: sample rate of `audio`, in Hz.
    """
    import numpy as np
    from scipy.signal import resample_poly

    common = gcd(RATE, rate)
    mono = audio.mean(axis=0)
    return np.asarray(resample_poly(mono, RATE // common, rate // common), np.float32)


def landmarks(audio: Audio) -> tuple[Whole, Reals]:
    """Return all landmarks of an audio track.

    Args:
        audio: one channel at RATE, [samples]; full scale is 1.

    Returns:
        The content of each landmark, as an integer, and its start in seconds.
    """
    import numpy as np

    hops, pitches = _peaks(audio)
    contents, times_s = [], []
    for first in range(len(hops)):
        near = _next_peaks(first, hops, pitches)
        for others in combinations(near, 3):
            value = int(np.floor(pitches[first] * COARSE))
            for other in others:
                value = value * 256 + round((pitches[other] - pitches[first]) * FINE) + 128
            for other in others:
                value = value * 16 + int(hops[other] - hops[first]) // STEP_HOPS
            contents.append(value)
            times_s.append(hops[first] * HOP / RATE)
    return np.array(contents, np.int64), np.array(times_s, np.float64)


def _next_peaks(first: int, hops: Whole, pitches: Reals) -> list[int]:
    """Return the indices of the next peaks that can form a landmark with the peak `first`."""
    indices: list[int] = []
    for other in range(first + 1, len(hops)):
        distance = hops[other] - hops[first]
        if distance > LAST_HOP or len(indices) == NEXT:
            break
        if distance >= FIRST_HOP and abs(pitches[other] - pitches[first]) <= REACH_OCTAVES:
            indices.append(other)
    return indices


def _peaks(audio: Audio) -> tuple[Whole, Reals]:
    """Return the spectral peaks in time order: hop, and pitch as log2 of the (fractional) bin."""
    import numpy as np
    from scipy.ndimage import maximum_filter

    nothing = np.zeros(0, np.int64), np.zeros(0)
    if len(audio) < WINDOW:
        return nothing
    frames = np.lib.stride_tricks.sliding_window_view(audio, WINDOW)[::HOP]
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(WINDOW).astype(np.float32), axis=1))
    power = np.log(spectrum[:, :HIGHEST_BIN] + 1e-9, dtype=np.float32)
    top = float(power.max())
    if top < np.log(SILENT):
        return nothing
    around = maximum_filter(power, (2 * NEAR_HOPS + 1, 2 * NEAR_BINS + 1), mode="nearest")
    is_peak = (power == around) & (power > top - QUIET_DB * np.log(10) / 20)
    is_peak[:, :LOWEST_BIN] = False
    is_peak[:, -1] = False
    hops, bins = np.nonzero(is_peak)
    below, at, above = (power[hops, bins + step].astype(np.float64) for step in (-1, 0, 1))
    # The vertex of the parabola through a peak and its neighbours gives the fractional bin.
    bend = np.minimum(below - 2 * at + above, -1e-9)
    between = np.clip((below - above) / (2 * bend), -0.5, 0.5)
    return hops.astype(np.int64), np.log2(bins + between)
