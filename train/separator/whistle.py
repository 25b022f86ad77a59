"""Make whistled tunes, which early sound films are full of: a gliding tone with vibrato and breath.

    python -m separator.whistle --data DIR --tunes 0:20

writes DIR/music/whistle-SEED.npy: 16 kHz, mono, float16, RMS 0.1, about 30 s each.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy import signal

from separator.composing import SCALES
from separator.spoiling import RATE, Sound, rms

RMS = 0.1


def tune(seed: int, seconds: float = 30.0) -> Sound:
    """A whistled tune, [samples]."""
    rng = np.random.default_rng(seed)
    scale = SCALES[int(rng.integers(len(SCALES)))]
    beat_s, tonic = rng.uniform(0.25, 0.6), rng.uniform(76, 88)
    pitch, gain = [], []
    step = 0
    while sum(map(len, pitch)) < seconds * RATE:
        length = int(RATE * beat_s * rng.choice([0.5, 1, 1, 1.5, 2]))
        step = int(np.clip(step + rng.integers(-2, 3), -4, 9))
        octave, degree = divmod(step, len(scale))
        note = tonic + 12 * octave + scale[degree]
        rest = rng.random() < 0.12
        envelope = np.minimum(1, np.arange(length) / (0.03 * RATE))
        envelope = envelope * np.minimum(1, np.arange(length)[::-1] / (0.05 * RATE))
        pitch.append(np.full(length, note))
        gain.append(envelope * (0 if rest else rng.uniform(0.6, 1)))
    notes, loudness = np.concatenate(pitch), np.concatenate(gain)
    glide = signal.lfilter([1 - 0.9985], [1, -0.9985], notes - notes[0]) + notes[0]
    time = np.arange(len(glide)) / RATE
    vibrato = rng.uniform(0, 0.4) * np.sin(2 * np.pi * rng.uniform(4.5, 7) * time)
    hertz = 440 * 2 ** ((glide + vibrato - 69) / 12)
    phase = 2 * np.pi * np.cumsum(hertz) / RATE
    tone = np.sin(phase) + rng.uniform(0, 0.15) * np.sin(2 * phase)
    breath = rng.standard_normal(len(tone)) * rng.uniform(0.005, 0.06)
    sound = (tone + breath) * loudness
    return np.asarray(sound / rms(sound) * RMS, np.float32)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the training data")
    parser.add_argument("--tunes", default="0:20", help="seeds, FIRST:END")
    options = parser.parse_args()
    folder = options.data / "music"
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(*map(int, options.tunes.split(":"))):
        np.save(folder / f"whistle-w{seed}.npy", tune(seed).astype(np.float16))


if __name__ == "__main__":
    main()
