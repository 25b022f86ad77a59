"""Landmarks of music: constellations of four spectral peaks, whatever the level or the coding.

After A. Wang, "An industrial-strength audio search algorithm" (2003), and, for constellations that
survive another speed, R. Sonnleitner and G. Widmer, "Quad-based audio fingerprinting robust to time
and frequency scaling" (2014). Speech over the music, or what a separator leaves of it, adds peaks
and hides some; constellations of the peaks that remain stay.
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

# Music above 3.5 kHz is the first to go in a copy.
RATE = 8000
WINDOW = 1024
HOP = 256
LOWEST_BIN, HIGHEST_BIN = 12, 450
# A peak stands above everything this near to it: in hops, and in bins of RATE / WINDOW = 7.8 Hz.
NEAR_HOPS, NEAR_BINS = 10, 40
# Peaks this far below the clip's highest one are hiss; a clip that is nowhere louder is silent.
QUIET_DB = 60.0
SILENT = 1e-3
# A landmark is a peak with three of the next four this near to it, in hops and in octaves.
FIRST_HOP, LAST_HOP = 2, 48
REACH_OCTAVES = 2.0
NEXT = 4
# Its first peak's pitch in steps of the octave: coarse, as a film at 25 frames a second instead
# of 24 sounds 0.06 octaves higher; those of the others from it, which do not change, finely.
COARSE, FINE = 6, 24
STEP_HOPS = 6


def at_rate(audio: Audio, rate: int) -> Audio:
    """One channel of audio at RATE: the mean of its channels.

    Args:
        audio: [channels, samples].
        rate: in Hz.
    """
    import numpy as np
    from scipy.signal import resample_poly

    common = gcd(RATE, rate)
    mono = audio.mean(axis=0)
    return np.asarray(resample_poly(mono, RATE // common, rate // common), np.float32)


def landmarks(audio: Audio) -> tuple[Whole, Reals]:
    """All landmarks of an audio track.

    Args:
        audio: one channel at RATE, full scale being 1.

    Returns:
        What each is, as a whole number, and when it begins, in seconds.
    """
    import numpy as np

    hops, pitches = _peaks(audio)
    what, when = [], []
    for first in range(len(hops)):
        near = _next(first, hops, pitches)
        for others in combinations(near, 3):
            value = int(np.floor(pitches[first] * COARSE))
            for other in others:
                value = value * 256 + round((pitches[other] - pitches[first]) * FINE) + 128
            for other in others:
                value = value * 16 + int(hops[other] - hops[first]) // STEP_HOPS
            what.append(value)
            when.append(hops[first] * HOP / RATE)
    return np.array(what, np.int64), np.array(when, np.float64)


def _next(first: int, hops: Whole, pitches: Reals) -> list[int]:
    """The next peaks that may form a landmark with one."""
    found: list[int] = []
    for other in range(first + 1, len(hops)):
        away = hops[other] - hops[first]
        if away > LAST_HOP or len(found) == NEXT:
            break
        if away >= FIRST_HOP and abs(pitches[other] - pitches[first]) <= REACH_OCTAVES:
            found.append(other)
    return found


def _peaks(audio: Audio) -> tuple[Whole, Reals]:
    """Spectral peaks in the order of time: their hops, and their pitches in octaves above a bin."""
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
    # The parabola through a peak and its neighbours has its top between bins.
    bend = np.minimum(below - 2 * at + above, -1e-9)
    between = np.clip((below - above) / (2 * bend), -0.5, 0.5)
    return hops.astype(np.int64), np.log2(bins + between)
