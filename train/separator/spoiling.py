"""What old films do to sound: rooms, band limits, colour, hiss, hum, crackle, noises on the set.

All of it is made here with numpy. Sounds are mono float32 [samples] at 16 kHz; spectra are those of
`scipy.fft.rfft`. The noises end up in neither stem.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

RATE = 16_000
Sound = NDArray[np.float32]


def room(rng: np.random.Generator) -> Sound:
    """Impulse response of a made-up room: a direct sound and exponentially dying noise."""
    decay = rng.uniform(0.12, 0.9)  # time to fall by 60 dB, s
    time = np.arange(int(RATE * min(decay, 0.7))) / RATE
    tail = rng.standard_normal(len(time)) * np.exp(-6.9 * time / decay)
    tail *= time > rng.uniform(0.001, 0.012)
    tail /= np.sqrt(np.sum(tail**2)) + 1e-9
    tail[0] = 10 ** (rng.uniform(-4, 14) / 20)  # direct to reverberant energy
    return np.asarray(tail / np.sqrt(np.sum(tail**2)), np.float32)


def band_limit(rng: np.random.Generator, frequencies: Sound) -> Sound:
    """Gain of a narrow sound track: optical sound ends at 3 to 8 kHz, and begins late too.

    One in four is a track of the first years of sound film, of about three octaves.
    """
    gain = np.ones_like(frequencies)
    if rng.random() < 0.25:
        low, high = rng.uniform(120, 400), rng.uniform(2000, 4500)
        ratio = (np.maximum(frequencies, 1) / low) ** 4
        gain = np.sqrt(ratio / (1 + ratio)) / np.sqrt(1 + (frequencies / high) ** 12)
        return gain.astype(np.float32)
    if rng.random() < 0.5:
        edge, order = rng.uniform(3000, 8000), rng.choice([4, 8, 16])
        gain = gain / np.sqrt(1 + (frequencies / edge) ** (2 * order))
    if rng.random() < 0.5:
        edge, order = rng.uniform(40, 220), rng.choice([1, 2, 4])
        ratio = (np.maximum(frequencies, 1) / edge) ** (2 * order)
        gain = gain * np.sqrt(ratio / (1 + ratio))
    return gain.astype(np.float32)


def colour(rng: np.random.Generator, frequencies: Sound, spread_db: float) -> Sound:
    """Gain of a smooth random equaliser."""
    octaves = np.log2(np.maximum(frequencies, 40))
    gains = rng.normal(0, spread_db, 7)
    decibels = np.interp(octaves, np.linspace(5.3, 13, 7), gains)
    return np.asarray(10 ** (decibels / 20), np.float32)


def rms(sound: Sound) -> float:
    """Root mean square, never quite 0."""
    return float(np.sqrt(np.mean(sound**2) + 1e-12))


def hiss(rng: np.random.Generator, samples: int, level: float) -> Sound:
    """Stationary noise of this RMS: white for a third, else tilted, through any band limit."""
    spectrum = fft.rfft(rng.standard_normal(samples).astype(np.float32))
    frequencies = fft.rfftfreq(samples, 1 / RATE).astype(np.float32)
    if rng.random() > 0.35:
        tilt = rng.uniform(-1.2, 0.4)  # -0.5 is pink
        spectrum = spectrum * (np.maximum(frequencies, 60) / 1000) ** tilt
        spectrum = spectrum * band_limit(rng, frequencies)
    noise = fft.irfft(spectrum, samples).astype(np.float32)
    if rng.random() < 0.25:  # breathing noise of worn prints
        slow = np.interp(np.arange(samples), np.linspace(0, samples, 9), rng.uniform(0.3, 1, 9))
        noise = noise * slow.astype(np.float32)
    return np.asarray(noise * (level / rms(noise)), np.float32)


def hum(rng: np.random.Generator, samples: int, level: float) -> Sound:
    """Mains hum with a few harmonics."""
    time, mains = np.arange(samples) / RATE, rng.choice([50.0, 60.0, 48.0])
    total = np.zeros(samples)
    for harmonic in range(1, rng.integers(3, 9)):
        phase, gain = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.8) / harmonic
        total += gain * np.sin(2 * np.pi * mains * harmonic * time + phase)
    return (level * total).astype(np.float32)


def crackle(rng: np.random.Generator, samples: int, level: float) -> Sound:
    """Clicks: 1 to 25 short dying pulses per second."""
    pulses = np.zeros(samples, np.float32)
    places = rng.integers(0, samples, int(rng.uniform(1, 25) * samples / RATE) + 1)
    pulses[places] = rng.standard_normal(len(places)) * level * rng.uniform(3, 30)
    shape = np.exp(-np.arange(24) / rng.uniform(1, 8)).astype(np.float32)
    return np.convolve(pulses, shape)[:samples].astype(np.float32)


def noises_on_set(rng: np.random.Generator, samples: int, level: float) -> Sound:
    """Thuds, steps, knocks, puffs: bursts of filtered noise, single, in a row, or in time."""
    total = np.zeros(samples, np.float32)
    length = int(RATE * rng.uniform(0.03, 1.2))
    low = rng.uniform(40, 3000)
    high = min(7900, low * rng.uniform(1.3, 6))
    sos = signal.butter(2, (low, high), "band", fs=RATE, output="sos")
    attack = int(length * rng.choice([0.01, 0.05, 0.4])) + 1
    time = np.arange(length)
    envelope = np.minimum(time / attack, 1) * np.exp(-rng.uniform(2, 6) * time / length)
    gap = rng.uniform(0.2, 1.5) * RATE
    is_regular = rng.random() < 0.4  # an engine, a clock, steps to music
    start = float(rng.uniform(0, gap))
    while start < samples:
        burst = signal.sosfilt(sos, rng.standard_normal(length)) * envelope
        place = slice(int(start), min(samples, int(start) + length))
        gain = level * rng.uniform(0.4, 1) / (np.sqrt(np.mean(burst**2)) + 1e-9)
        total[place] += (burst * gain)[: place.stop - place.start].astype(np.float32)
        start += gap * (1 if is_regular else rng.uniform(0.7, 1.5))
    return total


def worn(rng: np.random.Generator, stems: Sound) -> Sound:
    """Age stems [n, samples] as one optical sound track: uneven speed, compression, clipping.

    Wow and flutter move all stems alike. Compression is the gain of their sum, and clipping keeps
    each stem's part of what is left of the sum, so that the aged stems still add up to the mix.
    """
    if rng.random() < 0.3:
        stems = _wow(rng, stems)
    mix = stems.sum(0)
    if rng.random() < 0.3:
        stems = stems * _compression(rng, mix)
        mix = stems.sum(0)
    if rng.random() < 0.2:
        limit = np.float32(np.abs(mix).max() * rng.uniform(0.25, 0.8) + 1e-6)
        soft = np.tanh(mix / limit) * limit
        gain = np.where(np.abs(mix) > 1e-6, soft / np.where(mix == 0, 1, mix), 1)
        stems = stems * np.clip(gain, 0, 1).astype(np.float32)
    return stems


def _wow(rng: np.random.Generator, stems: Sound) -> Sound:
    """Play at a speed that varies: slowly by up to 0.6 %, and fast by up to 0.15 %."""
    count = stems.shape[1]
    time = np.arange(count) / RATE
    drift = np.zeros(count)
    for low, high, depth in ((0.4, 2.5, 0.006), (5.0, 25.0, 0.0015)):
        hertz = rng.uniform(low, high)
        size = rng.uniform(0, depth) / (2 * np.pi * hertz)
        drift += size * np.sin(2 * np.pi * hertz * time + rng.uniform(0, 2 * np.pi))
    places = np.clip(np.arange(count) + drift * RATE, 0, count - 1)
    return np.stack([np.interp(places, np.arange(count), stem) for stem in stems]).astype(
        np.float32
    )


def _compression(rng: np.random.Generator, mix: Sound) -> Sound:
    """Gain of a compressor with 50 ms of attack and release; loud passages lose up to 12 dB."""
    smoothed = np.sqrt(signal.lfilter([1 - 0.99875], [1, -0.99875], mix**2) + 1e-9)
    threshold = np.sqrt(np.mean(mix**2) + 1e-9) * rng.uniform(0.5, 1.5)
    ratio = rng.uniform(1.5, 5)
    above = np.maximum(smoothed / threshold, 1)
    return np.asarray(np.maximum(above ** (1 / ratio - 1), 0.25), np.float32)


def noise(rng: np.random.Generator, samples: int, level: float) -> Sound:
    """A mixture of the above around this RMS; hiss always."""
    total = hiss(rng, samples, level)
    if rng.random() < 0.35:
        total += hum(rng, samples, level * rng.uniform(0.3, 2))
    if rng.random() < 0.35:
        total += crackle(rng, samples, level)
    return total
