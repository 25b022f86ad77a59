"""Lines that are spoken by nobody: a source of pulses and noise, and formants that filter it.

A cascade formant synthesiser after Klatt, JASA 67 (1980); its glottal pulse is that of Klatt and
Klatt, JASA 87 (1990), made unsteady as a human voice is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ossl_builder.demo.acoustics import RATE, Sound, room
from ossl_builder.demo.phonemes import LINES, PHONEMES, VOWELS, Part

HOP = 220
"""Samples, about 5 ms, after which the vocal tract takes another shape."""


@dataclass(frozen=True)
class Talker:
    """A voice.

    Attributes:
        high_hz: pitch at the beginning of a phrase; it falls to `low_hz`.
        low_hz: see `high_hz`.
        tract: formants relative to those of a grown man.
        breath: noise mixed into the voice.
        pace: length of the sounds relative to the table.
    """

    high_hz: float
    low_hz: float
    tract: float
    breath: float
    pace: float


TALKERS: dict[str, Talker] = {
    "man": Talker(high_hz=132, low_hz=92, tract=1.0, breath=0.5, pace=1.06),
    "woman": Talker(high_hz=222, low_hz=172, tract=1.16, breath=1.0, pace=1.0),
}


@dataclass
class _Tracks:
    """What changes with time, one value per hop."""

    formants: NDArray[np.float64]
    voice: NDArray[np.float64]
    breath: NDArray[np.float64]
    hiss: NDArray[np.float64]
    hiss_hz: NDArray[np.float64]
    hiss_width_hz: NDArray[np.float64]
    pitch_hz: NDArray[np.float64]


def speak(line: str, talker: str, seed: int) -> Sound:
    """A line of `LINES` as sound in a small room, [samples, 1]; its level is arbitrary."""
    rng = np.random.default_rng(seed)
    voice = TALKERS[talker]
    tracks = _tracks(LINES[line], voice, rng)
    length = len(tracks.voice) * HOP
    pulses = _pulses(tracks, voice, rng)
    noise = rng.standard_normal((2, length))
    breath = np.repeat(tracks.breath, HOP) * voice.breath * noise[0]
    throat = np.repeat(tracks.voice, HOP) * pulses + 0.35 * breath
    spoken = _filtered(throat, [_resonators(row) for row in _spread(tracks.formants, voice.tract)])
    # A resonator passes low tones and peaks at its own: less the low tones it is a band-pass.
    hissed = np.diff(np.repeat(tracks.hiss, HOP) * noise[1], prepend=0.0)
    bands = zip(tracks.hiss_hz, tracks.hiss_width_hz, strict=True)
    spoken += 0.1 * _filtered(hissed, [_resonator(hz, width)[None] for hz, width in bands])
    # Close to the mouth high tones are stronger: this is also what makes it sound near.
    spoken[1:] -= 0.93 * spoken[:-1]
    return room(spoken.astype(np.float32)[:, None], seconds=0.3, amount=0.03, seed=seed)


def _tracks(line: str, talker: Talker, rng: np.random.Generator) -> _Tracks:
    parts: list[Part] = []
    pitches: list[float] = []
    for phrase, asks in _phrases(line):
        sounds = phrase.split()
        last = max(i for i, sound in enumerate(sounds) if sound.strip("1") in VOWELS)
        for number, sound in enumerate(sounds):
            slow = (
                talker.pace * (1.25 if number >= last else 1.0) * (1.12 if "1" in sound else 0.92)
            )
            fall = number / len(sounds)
            pitch = talker.high_hz + (talker.low_hz - talker.high_hz) * fall
            pitch *= 1.13 if "1" in sound else 1.0
            pitch *= (1.35 if asks else 0.88) if number >= last else 1.0
            for part in PHONEMES[sound.strip("1")]:
                parts.append(_stretched(part, slow * rng.uniform(0.93, 1.07)))
                pitches.append(pitch)
        rest = parts[-1].end
        parts.append(Part(0.3 * rng.uniform(0.85, 1.15), rest, (500, 1500, 2500)))
        pitches.append(talker.high_hz)
    lengths = [max(1, round(part.seconds * RATE / HOP)) for part in parts[:-1]] + [8]
    rows = [
        np.linspace(part.begin, part.end, length)
        for part, length in zip(parts, lengths, strict=True)
    ]

    def steps(values: list[float], smooth: int) -> NDArray[np.float64]:
        return _smooth(np.repeat(np.array(values), lengths), smooth)

    return _Tracks(
        formants=np.stack([_smooth(column, 11) for column in np.concatenate(rows).T], axis=1),
        voice=steps([part.voice for part in parts], 5),
        breath=steps([part.breath for part in parts], 5),
        hiss=steps([part.hiss for part in parts], 3),
        hiss_hz=steps([part.hiss_hz for part in parts], 3),
        hiss_width_hz=steps([part.hiss_width_hz for part in parts], 3),
        pitch_hz=steps(pitches, 25),
    )


def _phrases(line: str) -> list[tuple[str, bool]]:
    """The phrases of a line, and whether each asks."""
    marked = line.replace("?", "?/").split("/")
    return [(phrase.strip("? "), phrase.rstrip().endswith("?")) for phrase in marked]


def _stretched(part: Part, slow: float) -> Part:
    return replace(part, seconds=part.seconds * slow)


def _smooth(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    window = np.hanning(width + 2)[1:-1]
    padded = np.pad(values, width // 2, mode="edge")
    return np.convolve(padded, window / window.sum(), mode="valid")


def _pulses(tracks: _Tracks, talker: Talker, rng: np.random.Generator) -> NDArray[np.float64]:
    """The derivative of the flow through the glottis, with jitter, shimmer and breath in it."""
    from scipy.signal import lfilter

    count = len(tracks.voice)
    unsteady = 1 + 0.018 * _smooth(rng.standard_normal(count), 5)
    unsteady += 0.1 * _smooth(rng.standard_normal(count), 31)
    hops = np.arange(count) * HOP
    pitch = np.interp(np.arange(count * HOP), hops, tracks.pitch_hz * unsteady)
    turns = np.cumsum(pitch / RATE)
    phase = turns % 1
    open_part = 0.6
    opened = np.minimum(phase / open_part, 1)
    flow = np.where(phase < open_part, 2 * opened - 3 * opened**2, 0.0)
    loud = 1 + 0.12 * rng.standard_normal(int(turns[-1]) + 1)
    flow *= loud[turns.astype(int)]
    aspirated = 0.08 * talker.breath * rng.standard_normal(len(flow)) * (phase < open_part)
    # The cords do not shut at once: above 3 kHz a voice is softer than its ideal pulse.
    tilt = np.exp(-2 * np.pi * (4500 if talker.breath < 1 else 3500) / RATE)
    return np.asarray(lfilter([1 - tilt], [1, -tilt], flow + aspirated))


def _spread(formants: NDArray[np.float64], tract: float) -> NDArray[np.float64]:
    """Five formants and their bandwidths: [hops, 5, 2], in Hz."""
    upper = np.broadcast_to([3400.0, 4300.0], (len(formants), 2))
    centres = np.concatenate([formants, upper], axis=1) * tract
    widths = np.array([45.0, 50.0, 70.0, 120.0, 180.0]) + 0.02 * centres
    return np.stack([centres, widths], axis=2)


def _resonator(hz: float, width_hz: float) -> NDArray[np.float64]:
    """Klatt's digital resonator, its gain 1 at 0 Hz, as one second-order section [6]."""
    c = -np.exp(-2 * np.pi * width_hz / RATE)
    b = 2 * np.exp(-np.pi * width_hz / RATE) * np.cos(2 * np.pi * hz / RATE)
    return np.array([1 - b - c, 0, 0, 1, -b, -c])


def _resonators(row: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([_resonator(hz, width) for hz, width in row])


def _filtered(
    signal: NDArray[np.float64], sections: list[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Filter each hop with its own sections; what rings on rings on in the next hop's shape."""
    from scipy.signal import sosfilt

    state = np.zeros((len(sections[0]), 2))
    out = np.empty_like(signal)
    for number, section in enumerate(sections):
        hop = slice(number * HOP, (number + 1) * HOP)
        out[hop], state = sosfilt(section, signal[hop], zi=state)
    return out
