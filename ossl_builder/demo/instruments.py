"""Instruments: a note becomes a sound, by adding its harmonics.

A harmonic k of frequency f that decays at a rate r is the imaginary part of z ** k with
z = exp((-r + 2 pi i f) t): the whole tone is a polynomial in z, evaluated by Horner's rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ossl_builder.demo.acoustics import RATE

Mono = NDArray[np.floating[Any]]
"""[samples]."""
Play = Callable[[float, float, float, np.random.Generator], Mono]
"""From MIDI pitch, length in seconds, strength 0 to 1, to sound that may ring on after the note."""


@dataclass(frozen=True)
class Tone:
    """An instrument of harmonics; calling it plays a note.

    Attributes:
        harmonics: amplitude of each harmonic, the first one first.
        attack_s: time until it speaks fully; `release_s`: time it takes to stop.
        release_s: see `attack_s`.
        decay_s: time in which a plucked tone falls to 1/e; None: it is bowed or blown.
        damping: how much faster than the first harmonic the second and further ones decay.
        vibrato_cents: depth of the vibrato, which sets in late.
        players: how many play together, a little out of tune and time.
        tremolo_hz: bow strokes per second; 0: none.
        air: noise of bow or breath.
        bright: how much softer notes lose their upper harmonics, 0 to 1.
    """

    harmonics: tuple[float, ...]
    attack_s: float = 0.01
    release_s: float = 0.1
    decay_s: float | None = None
    damping: float = 0.0
    vibrato_cents: float = 0.0
    players: int = 1
    tremolo_hz: float = 0.0
    air: float = 0.0
    bright: float = 0.5

    def __call__(
        self, pitch: float, seconds: float, strength: float, rng: np.random.Generator
    ) -> Mono:
        """Play a note: see `Play`."""
        length = int((seconds + 4 * self.release_s) * RATE)
        time = np.arange(length, dtype=np.float32) / RATE
        hertz = 440 * 2 ** ((pitch - 69) / 12)
        heard = self.harmonics[: max(1, int(10_000 / hertz))]
        muffled = (0.6 + 0.4 * strength) ** (self.bright * np.arange(len(heard)))
        out = np.zeros(length, dtype=np.float32)
        for _ in range(self.players):
            out += self._voice(time, hertz, np.array(heard) * muffled, rng)
        out *= strength / self.players**0.7
        if self.air:
            breath = np.diff(rng.standard_normal(length + 1)).astype(np.float32)
            out += self.air * strength * breath * (0.3 + np.exp(-time / 0.05))
        if self.tremolo_hz:
            out *= 0.62 + 0.38 * np.sin(2 * np.pi * (self.tremolo_hz * time + rng.random()))
        rise = np.minimum(time / self.attack_s, 1)
        fall = np.exp(-np.maximum(time - seconds, 0) / self.release_s)
        # The last tenth reaches 0, for an exponential never does.
        end = np.minimum((length - 1 - np.arange(length)) / (0.1 * length), 1)
        return np.asarray(out * rise * rise * (3 - 2 * rise) * fall * end, dtype=np.float32)

    def _voice(
        self, time: Mono, hertz: float, heard: NDArray[np.float64], rng: np.random.Generator
    ) -> Mono:
        apart = 1 if self.players == 1 else 2 ** (rng.normal(0, 7) / 1200)
        cents = self.vibrato_cents * np.minimum(time / 0.4, 1) ** 2
        rate = rng.uniform(4.8, 5.8)
        # A small depth in frequency is a small swing in phase.
        swing = 0.00058 * hertz / rate * cents * np.sin(2 * np.pi * rate * time + rng.uniform(0, 6))
        phase = 2 * np.pi * (hertz * apart * time + rng.random()) + swing
        step = self.damping / self.decay_s if self.decay_s else 0.0
        z = np.exp(1j * phase - np.float32(step) * time).astype(np.complex64)
        total = np.zeros(len(time), dtype=np.complex64)
        for amplitude in heard[::-1]:
            total += np.complex64(amplitude)
            total *= z
        decay = np.exp(-time * np.float32((1 - self.damping) / self.decay_s)) if self.decay_s else 1
        return np.asarray(total.imag * decay, dtype=np.float32)


def falling(count: int, slope: float, even: float = 1.0) -> tuple[float, ...]:
    """Harmonics whose amplitude falls as number ** -slope, the even ones by a factor softer."""
    return tuple((even if k % 2 == 0 else 1.0) * k**-slope for k in range(1, count + 1))


def bell(pitch: float, seconds: float, strength: float, rng: np.random.Generator) -> Mono:
    """A glockenspiel: the partials of a free bar (Fletcher and Rossing, chapter 2)."""
    time = np.arange(int(1.6 * RATE), dtype=np.float32) / RATE
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    partials = ((1.0, 1.0, 0.55), (2.756, 0.35, 0.2), (5.404, 0.18, 0.08))
    tones = (
        loud * np.sin(2 * np.pi * (hertz * ratio * time % 1)) * np.exp(-time / decay)
        for ratio, loud, decay in partials
        if hertz * ratio < 16_000
    )
    return np.asarray(strength * sum(tones) * (1 - time / time[-1]), dtype=np.float32)


def timpano(pitch: float, seconds: float, strength: float, rng: np.random.Generator) -> Mono:
    """A kettledrum: the preferred modes of its skin, and the thud of the mallet."""
    time = np.arange(int(1.5 * RATE), dtype=np.float32) / RATE
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    bend = 0.03 * np.exp(-time / 0.04)
    tones = (
        loud * np.sin(2 * np.pi * hertz * ratio * (time + bend * 0.02)) * np.exp(-time / decay)
        for ratio, loud, decay in (
            (1, 1, 0.5),
            (1.5, 0.6, 0.35),
            (1.98, 0.35, 0.25),
            (2.44, 0.2, 0.2),
        )
    )
    thud = _noise(rng, len(time), 60, 420) * np.exp(-time / 0.03)
    return np.asarray(
        strength * (sum(tones) + 0.8 * thud) * (1 - time / time[-1]), dtype=np.float32
    )


def struck_noise(low_hz: float, high_hz: float, decay_s: float) -> Play:
    """A drum or cymbal without pitch: a band of noise that decays."""

    def play(pitch: float, seconds: float, strength: float, rng: np.random.Generator) -> Mono:
        time = np.arange(int(5 * decay_s * RATE), dtype=np.float32) / RATE
        sound = _noise(rng, len(time), low_hz, high_hz) * np.exp(-time / decay_s)
        return np.asarray(strength * sound * np.minimum(time / 0.002, 1), dtype=np.float32)

    return play


def _noise(rng: np.random.Generator, length: int, low_hz: float, high_hz: float) -> Mono:
    """A band of noise, deviation 1/3."""
    from scipy.signal import butter, sosfilt

    band = sosfilt(butter(2, (low_hz, high_hz), "band", fs=RATE, output="sos"),
                   rng.standard_normal(length))  # fmt: skip
    return np.asarray(band / (3 * band.std()), dtype=np.float32)


STRINGS = Tone(falling(18, 1.05), 0.16, 0.16, vibrato_cents=9, players=4, air=0.006)
CELLOS = Tone(falling(20, 0.95), 0.03, 0.06, vibrato_cents=4, players=3, air=0.01, bright=0.3)
PIZZICATO = Tone(falling(12, 1.3), 0.004, 0.07, decay_s=0.22, damping=0.5, players=2)
SHIVERING = Tone(falling(14, 1.1), 0.1, 0.1, players=4, tremolo_hz=11.5, air=0.02)
FLUTE = Tone((1, 0.38, 0.2, 0.06, 0.03), 0.05, 0.06, vibrato_cents=8, air=0.02)
CLARINET = Tone(falling(12, 1.1, even=0.12), 0.03, 0.05, vibrato_cents=4, air=0.004)
BRASS = Tone(falling(16, 0.75), 0.035, 0.07, players=3, bright=1.0)
HARP = Tone(falling(14, 1.5), 0.003, 0.3, decay_s=0.9, damping=0.35)
PIANO = Tone(falling(16, 1.25), 0.003, 0.14, decay_s=1.1, damping=0.3, bright=0.7)
BASS = Tone(falling(14, 1.2), 0.05, 0.1, players=2, air=0.004)
SNARE = struck_noise(900, 7000, 0.05)
SHAKER = struck_noise(5000, 13_000, 0.025)
DRUM = struck_noise(40, 220, 0.12)
CYMBAL = struck_noise(3500, 14_000, 0.5)
