"""Pieces of music for tests, by the composer that the separator is trained with."""

from __future__ import annotations

import numpy as np
from separator.music import compose


def played(seed: int, seconds: float, rate: int) -> np.ndarray:
    """Return a composed piece, each note played like a struck string; (samples,), peak 1.

    Args:
        seed: chooses the piece.
        seconds: its length.
        rate: samples per second.
    """
    midi, _ = compose(seed, seconds)
    audio = np.zeros(round(seconds * rate), np.float32)
    now, started = 0.0, dict[tuple[int, int], float]()
    for message in midi:
        now += message.time
        if message.type not in ("note_on", "note_off"):
            continue
        start = started.pop((message.channel, message.note), None)
        if start is not None:
            first, last = (min(round(at * rate), len(audio)) for at in (start, now))
            time_s = np.arange(last - first) / rate
            turns = 440 * 2 ** ((message.note - 69) / 12) * time_s
            for harmonic in range(1, 13):
                wave = np.sin(2 * np.pi * harmonic * turns) / harmonic**0.7
                audio[first:last] += wave * np.exp(-5 * time_s)
        if message.type == "note_on" and message.velocity:
            started[message.channel, message.note] = now
    return audio / max(1e-3, np.abs(audio).max())
