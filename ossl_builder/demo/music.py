"""Music in three moods, one for each of three quadrants of Russell's plane.

Calm is pleasant and quiet, joyful pleasant and lively, tense unpleasant and lively (Russell, "A
circumplex model of affect", 1980); tempo, mode, register, loudness and instruments say so.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ossl_builder.demo import instruments as band
from ossl_builder.demo.acoustics import RATE, Sound, faded, level_dbfs, room

MAJOR = (0, 2, 4, 5, 7, 9, 11)
HARMONIC_MINOR = (0, 2, 3, 5, 7, 8, 11)
PHRYGIAN = (0, 1, 3, 5, 7, 8, 10)

Tune = tuple[tuple[float, int], ...]
"""Beats and scale degree of each note."""


@dataclass
class Score:
    """A piece under construction: a key, a tempo, and the sound so far."""

    seconds: float
    tempo: float
    key: int
    scale: tuple[int, ...]
    chords: tuple[int, ...]
    rng: np.random.Generator
    ring_beats: float = 2.0
    out: Sound = field(init=False)
    beat_s: float = field(init=False)
    bars: int = field(init=False)

    def __post_init__(self) -> None:
        # So many bars that the last chord may ring, at the tempo that comes nearest.
        self.bars = max(1, round((self.seconds * self.tempo / 60 - self.ring_beats) / 4))
        self.beat_s = self.seconds / (4 * self.bars + self.ring_beats)
        self.out = np.zeros((round(self.seconds * RATE), 2), dtype=np.float32)

    def chord(self, bar: int) -> int:
        """The scale degree of a bar's chord; the first and the last one are the tonic's."""
        return 0 if bar >= self.bars else self.chords[bar % len(self.chords)]

    def pitch(self, degree: int, low: float) -> float:
        """MIDI pitch of a scale degree, the tonic of which is the one nearest to `low`."""
        octave, step = divmod(degree, 7)
        return low + (self.key - low + 6) % 12 - 6 + self.scale[step] + 12 * octave

    def voiced(self, degree: int, low: float) -> float:
        """The same, folded into the octave above `low`: so chords stay close to each other."""
        return low + (self.pitch(degree, low) - low) % 12

    def note(self, play: band.Play, beat: float, beats: float, pitch: float, loud: float,
             place: float = 0.0) -> None:  # fmt: skip
        """Add a note; `place` runs from -1, left, to 1, right."""
        human = self.rng.normal(0, 0.006)
        start = max(0, int((beat * self.beat_s + human) * RATE))
        strength = float(np.clip(loud * self.rng.normal(1, 0.07), 0.02, 1))
        sound = play(pitch, beats * self.beat_s, strength, self.rng)
        sound = sound[: max(0, len(self.out) - start)]
        angle = np.pi / 4 * (1 + place)
        sides = np.array([np.cos(angle), np.sin(angle)], dtype=np.float32)
        self.out[start : start + len(sound)] += sound[:, None] * sides

    def tune(self, play: band.Play, tune: Tune, low: float, loud: float, place: float = 0.0,
             first_bar: int = 0) -> None:  # fmt: skip
        """A melody from a bar on, as long as bars last; its last note rings with the last chord."""
        beat, number = 4.0 * first_bar, 0
        while beat < 4 * self.bars:
            beats, degree = tune[number % len(tune)]
            self.note(
                play, beat, min(beats, 4 * self.bars - beat), self.pitch(degree, low), loud, place
            )
            beat, number = beat + beats, number + 1
        self.note(play, 4 * self.bars, self.ring_beats, self.pitch(0, low), loud, place)


def compose(mood: str, seconds: float, seed: int) -> Sound:
    """A piece of exactly that length: [samples, 2], with faded ends, at its mood's level."""
    write, level, hall, amount = {
        "calm": (_calm, -27.0, 1.6, 0.35),
        "joyful": (_joyful, -23.5, 0.9, 0.2),
        "tense": (_tense, -24.5, 1.3, 0.3),
    }[mood]
    score = write(seconds, np.random.default_rng(seed))
    sound = faded(room(score.out, hall, amount, seed), 0.02, 0.25)
    return (sound * 10 ** ((level - level_dbfs(sound)) / 20)).astype(np.float32)


def _calm(seconds: float, rng: np.random.Generator) -> Score:
    """Slow, major, soft: strings that hold chords, a harp, a flute above them."""
    chords = ((0, 5, 3, 4), (0, 3, 1, 4), (0, 2, 3, 4))[int(rng.integers(3))]
    tunes: tuple[Tune, ...] = (
        ((2, 4), (1, 5), (1, 4), (3, 2), (1, 1), (2, 3), (1, 2), (1, 1), (3, 1), (1, 4)),
        ((3, 2), (1, 4), (2, 7), (2, 5), (1.5, 4), (0.5, 3), (2, 2), (3, 1), (1, 2)),
    )
    score = Score(seconds, 76, int(rng.integers(-3, 4)), MAJOR, chords, rng, ring_beats=3.0)
    leading, plucked = ((band.FLUTE, band.HARP), (band.CLARINET, band.PIANO))[int(rng.integers(2))]
    score.tune(leading, tunes[int(rng.integers(2))], 72, 0.42, 0.2)
    for bar in range(score.bars + 1):
        beat, length = 4.0 * bar, 4.0 if bar < score.bars else score.ring_beats
        root = score.chord(bar)
        score.note(band.BASS, beat, length, score.voiced(root, 34), 0.4)
        for voice, place in ((0, -0.5), (2, -0.1), (4, 0.5)):
            score.note(band.STRINGS, beat, length, score.voiced(root + voice, 55), 0.42, place)
        for step in range(int(2 * length)):
            degree = root + (0, 2, 4, 7, 9, 7, 4, 2)[step % 8]
            loud = 0.42 if step % 4 == 0 else 0.3
            score.note(plucked, beat + step / 2, 1.5, score.pitch(degree, 55), loud, -0.3)
    return score


def _joyful(seconds: float, rng: np.random.Generator) -> Score:
    """Fast, major, high, loud: a march for winds, bells, plucked strings, brass and drums."""
    chords = ((0, 3, 4, 0), (0, 4, 5, 3), (0, 5, 1, 4))[int(rng.integers(3))]
    tunes: tuple[Tune, ...] = (
        ((0.5, 4), (0.5, 5), (1, 4), (1, 2), (1, 4), (0.5, 7), (0.5, 6), (1, 5), (2, 4),
         (0.5, 3), (0.5, 4), (1, 5), (0.5, 4), (0.5, 3), (1, 2), (0.5, 1), (0.5, 2), (1, 4),
         (2, 0)),
        ((1, 0), (0.5, 2), (0.5, 4), (1, 7), (1, 4), (0.5, 5), (0.5, 4), (0.5, 3), (0.5, 2),
         (2, 4), (1, 5), (1, 7), (0.5, 8), (0.5, 7), (1, 5), (0.5, 4), (0.5, 2), (1, 1), (2, 0)),
    )  # fmt: skip
    score = Score(seconds, 138, int(rng.integers(-2, 6)), MAJOR, chords, rng)
    tune = tunes[int(rng.integers(2))]
    score.tune(band.CLARINET, tune, 67, 0.5, -0.3)
    score.tune(band.FLUTE, tune, 79, 0.4, 0.3)
    score.tune(band.bell, tune, 84, 0.16, 0.5, first_bar=2)
    for bar in range(score.bars):
        beat, root = 4.0 * bar, score.chord(bar)
        for step, degree in enumerate((root, root + 4, root, root + 4)):
            score.note(band.PIZZICATO, beat + step, 0.9, score.voiced(degree, 36), 0.85)
            for voice in (0, 2, 4):
                pitch = score.voiced(root + voice, 55)
                score.note(band.PIZZICATO, beat + step + 0.5, 0.4, pitch, 0.5, -0.5)
        for voice in (0, 2, 4):
            for hit in (0, 1.5, 3):
                score.note(band.BRASS, beat + hit, 0.4, score.voiced(root + voice, 57), 0.25, 0.4)
        for step in range(8):
            score.note(band.SHAKER, beat + step / 2, 0.2, 0, 0.2 if step % 2 else 0.1, 0.6)
        for hit in (1, 3, 3.5):
            score.note(band.SNARE, beat + hit, 0.2, 0, 0.22, 0.1)
        for step in (0, 2):
            score.note(band.DRUM, beat + step, 0.2, 0, 0.6)
    for voice, low in ((0, 36), (0, 55), (2, 55), (4, 55), (7, 60)):
        score.note(band.BRASS, 4 * score.bars, 1.2, score.pitch(voice, low), 0.4)
    score.note(band.CYMBAL, 4 * score.bars, 1, 0, 0.3)
    return score


def _tense(seconds: float, rng: np.random.Generator) -> Score:
    """Driving, minor, low and harsh: cellos that hammer, shivering strings, brass, kettledrums."""
    chords = ((0, 0, 5, 6), (0, 1, 0, 6), (0, 5, 3, 4))[int(rng.integers(3))]
    scale = (PHRYGIAN, HARMONIC_MINOR)[int(rng.integers(2))]
    score = Score(seconds, 116, int(rng.integers(-3, 3)), scale, chords, rng)
    pattern = ((0, 0, 7, 0, 0, 1, 0, 0, 4, 0, 0, 7, 0, 0, 1, 2), (0, 0, 0, 2, 0, 0, 1, 0) * 2)
    figure = pattern[int(rng.integers(2))]
    for bar in range(score.bars):
        beat, root, swell = 4.0 * bar, score.chord(bar), 0.75 + 0.25 * bar / score.bars
        for step, degree in enumerate(figure):
            loud = (0.75 if step % 4 == 0 else 0.5) * swell
            pitch = score.pitch(root + degree, 40)
            score.note(band.CELLOS, beat + step / 4, 0.2, pitch, loud, -0.3)
        for offset, place in ((0, -0.4), (1, 0.2), (6, 0.5)):
            # A semitone and a tritone: what the ear does not settle on.
            pitch = score.voiced(root, 70) + offset
            score.note(band.SHIVERING, beat, 4, pitch, 0.4 * swell, place)
        for low, loud in ((50, 0.35), (62, 0.3)):
            score.note(band.BRASS, beat, 1.6, score.voiced(root, low), loud * swell, 0.4)
            score.note(band.BRASS, beat + 2, 1.9, score.voiced(root + 1, low), loud * swell, 0.4)
        score.note(band.BASS, beat, 4, score.voiced(root, 28), 0.5)
        for hit in (0, 2.5, 3, 3.5) if bar % 2 else (0, 3):
            score.note(band.timpano, beat + hit, 0.5, score.pitch(0, 38), 0.6 * swell)
    for offset, loud in ((0, 0.7), (12, 0.7), (24, 0.6), (30, 0.6)):
        score.note(band.BRASS, 4 * score.bars, 1.4, score.pitch(0, 31) + offset, 0.7 * loud)
    score.note(band.timpano, 4 * score.bars, 1, score.pitch(0, 38), 0.9)
    return score
