"""The sound of a film: music, lines that are spoken, and the tone of the room."""

from __future__ import annotations

import numpy as np

from ossl_builder.demo.acoustics import RATE, Sound, faded, level_dbfs
from ossl_builder.demo.music import compose
from ossl_builder.demo.script import Script, Speech
from ossl_builder.demo.speech import speak

SPEECH_DBFS = -26.0
"""Of each of two channels, pauses included: about -23 LUFS."""
ROOM_DBFS = -65.0
ABOVE_MUSIC_DB = 5.0
"""How far speech stands above the music that it is spoken over; the music makes way for it."""
DUCK_S = 0.4
"""Time in which the music makes way."""


def soundtrack(script: Script) -> tuple[Sound, tuple[Speech, ...]]:
    """The film's sound, [samples, channels] at RATE, of its length to the sample; who speaks when.

    Raises:
        ValueError: two lines of the script overlap, or one is not over when the film ends.
    """
    length = round(script.duration_s * RATE)
    music, voices = (np.zeros((length, script.channels), dtype=np.float32) for _ in range(2))
    for number, cue in enumerate(script.music):
        begin, end = round(cue.start_s * RATE), round(cue.end_s * RATE)
        piece = compose(cue.mood, (end - begin) / RATE, script.seed + number)
        music[begin:end] = piece if script.channels == 2 else _folded(piece)
    # One channel of twice the power is as loud as two.
    speech_rms = 10 ** (SPEECH_DBFS / 20) * np.sqrt(2 / script.channels)
    spoken = []
    free = 0
    for number, line in enumerate(script.speech):
        sound = faded(speak(line.line, line.talker, script.seed + number), 0.01, 0.05)
        sound *= speech_rms / np.sqrt(np.mean(sound**2))
        begin = round(line.start_s * RATE)
        end = begin + len(sound)
        if begin < free or end > length:
            raise ValueError(f"the line {line.line!r} of {script.film_id} has no room")
        voices[begin:end] = sound
        _make_way(music, begin, end, level_dbfs(sound) - ABOVE_MUSIC_DB)
        spoken.append(Speech(line.start_s, end / RATE))
        free = end
    return music + voices + _room_tone(length, script), tuple(spoken)


def _folded(piece: Sound) -> Sound:
    """A piece in one channel; it needs twice the power to be as loud as in two."""
    return np.asarray(piece.mean(axis=1, keepdims=True) * np.float32(np.sqrt(2)))


def _make_way(music: Sound, begin: int, end: int, room_dbfs: float) -> None:
    """Lower the music, in place, between two samples to at most that level."""
    gain = 10 ** (min(0.0, room_dbfs - level_dbfs(music[begin:end])) / 20)
    ramp = round(DUCK_S * RATE)
    at = np.arange(len(music))
    curve = np.interp(at, (begin - ramp, begin, end, end + ramp), (1, gain, gain, 1))
    music *= curve[:, None].astype(np.float32)


def _room_tone(length: int, script: Script) -> Sound:
    from scipy.signal import lfilter

    rng = np.random.default_rng(script.seed)
    both = rng.standard_normal((length, 1))
    apart = rng.standard_normal((length, script.channels))
    tone = lfilter([1], [1, -0.9], both + 0.5 * apart, axis=0).astype(np.float32)
    return np.asarray(tone * 10 ** ((ROOM_DBFS - level_dbfs(tone)) / 20), dtype=np.float32)
