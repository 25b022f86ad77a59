"""The voices of a composed piece: held chords, arpeggios, melodies, bass, drums, stabs, runs.

Each function adds the events of one instrument to a `Score`. Pitches are MIDI notes, lengths beats,
programs those of General MIDI counted from 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import mido
import numpy as np

from separator.composing import DRUM_CHANNEL, Score

RHYTHMS: tuple[tuple[float, ...], ...] = (
    (4, 2, 2, 1), (1, 1, 0.5, 0.5, 2), (0.5, 0.5, 0.25, 0.25, 1), (1.5, 0.5, 1, 1), (2, 1, 1, 4),
)  # fmt: skip
QUICK: tuple[float, ...] = (0.5, 0.5, 0.25, 0.25, 1)
SLOW: tuple[float, ...] = (4, 2, 2, 1)


def chords(score: Score, program: int, low: int, high: int, voices: int = 3, play: float = 0.8,
           accent: int = 0) -> None:  # fmt: skip
    """Held harmony."""
    channel = score.channel(program)
    for bar, plays in zip(range(score.bars), score.sections(play), strict=False):
        if not plays:
            continue
        degree, key = score.chords[bar]
        length = score.beats * score.pick((1, 1, 0.95, 0.5))
        for voice in range(voices):
            pitch = score.pitch(degree + 2 * voice, key, low, high)
            for start in (0.0, score.beats / 2) if length < score.beats * 0.6 else (0.0,):
                beat = bar * score.beats + start
                score.note(beat, length, channel, pitch, score.loudness + accent)


def stabs(score: Score, program: int, low: int, high: int, voices: int = 3) -> None:
    """Short accented chords on an irregular rhythm: brass in a chase or a fight."""
    channel = score.channel(program, (90, 127))
    pattern = [score.chance(0.3) for _ in range(score.beats * 4)]
    for bar, plays in zip(range(score.bars), score.sections(0.6), strict=False):
        degree, key = score.chords[bar]
        for sixteenth, hit in enumerate(pattern):
            if not (plays and hit):
                continue
            for voice in range(voices):
                pitch = score.pitch(degree + 2 * voice, key, low, high)
                beat, length = bar * score.beats + sixteenth / 4, score.pick((0.2, 0.3, 0.5))
                score.note(beat, length, channel, pitch, score.loudness + 20)


def arpeggio(score: Score, program: int, low: int, high: int, per_beat: int | None = None,
             play: float = 0.7) -> None:  # fmt: skip
    """Broken chords and ostinati."""
    channel = score.channel(program)
    per_beat = per_beat or score.pick((2, 3, 4, 4))
    held = score.pick((0.3, 0.6, 0.9, 1.5))
    shape = _shape(score)
    for bar, plays in zip(range(score.bars), score.sections(play), strict=False):
        if not plays:
            continue
        degree, key = score.chords[bar]
        if score.chance(0.1):
            shape = _shape(score)
        for step in range(score.beats * per_beat):
            if score.chance(0.06):
                continue
            pitch = score.pitch(degree + shape[step % len(shape)], key, low, high)
            accent = 10 if step % per_beat == 0 else -4
            beat = bar * score.beats + step / per_beat
            score.note(beat, held / per_beat, channel, pitch, score.loudness + accent)


def _shape(score: Score) -> list[int]:
    return [score.pick((0, 2, 4, 7, 9, 1, 3)) for _ in range(score.pick((3, 4, 6, 8)))]


def runs(score: Score, program: int, low: int, high: int) -> None:
    """Fast scales up and down: woodwinds and strings at the height of a tutti."""
    channel = score.channel(program)
    for bar, plays in zip(range(score.bars), score.sections(0.4), strict=False):
        if not plays:
            continue
        _, key = score.chords[bar]
        steps, start = score.pick((4, 6, 8)), int(score.rng.integers(-3, 4))
        direction = score.pick((1, -1))
        for step in range(score.beats * steps):
            degree = start + direction * (step % (2 * steps))
            pitch = score.pitch(degree + 7, key, low, high)
            beat = bar * score.beats + step / steps
            score.note(beat, 0.9 / steps, channel, pitch, score.loudness)


def melody(score: Score, programs: int | Sequence[int], low: int, high: int, play: float = 0.7,
           rhythm: Sequence[float] | None = None) -> None:  # fmt: skip
    """A tune made of a motif and its variations, doubled by every further program.

    Long notes get vibrato or a slide into them: what makes a solo cello or horn sound like a voice.
    """
    programs = [programs] if isinstance(programs, int) else programs
    channels = [score.channel(program, (90, 127)) for program in programs]
    rhythm = rhythm or score.pick(RHYTHMS)
    plays = score.sections(play)
    legato = score.pick((0.5, 0.95, 1.02, 1.02))
    slides = score.chance(0.4)
    degree, beat = int(score.rng.integers(-2, 7)), 0.0
    motif = _motif(score, rhythm)
    while beat < score.length:
        if not plays[int(beat // score.beats)]:
            beat = (beat // score.beats + 1) * score.beats
            continue
        if score.chance(0.2):
            motif = _motif(score, rhythm)
        for length, step, rest in motif:
            degree = int(np.clip(degree + step, -5, 11))
            root, key = score.chords[min(score.bars - 1, int(beat // score.beats))]
            note = degree if score.chance(0.6) else root + score.pick((0, 2, 4))
            for channel in () if rest else channels:
                pitch = score.pitch(note, key, low, high)
                score.note(beat, length * legato, channel, pitch, score.loudness + 12)
                _shade(score, beat, length, channel, slides)
            beat += length
            if beat >= score.length:
                break


def _motif(score: Score, rhythm: Sequence[float]) -> list[tuple[float, int, bool]]:
    steps = (-2, -1, -1, 0, 1, 1, 2, 4, -3)
    count = int(score.rng.integers(3, 10))
    return [(score.pick(rhythm), score.pick(steps), score.chance(0.1)) for _ in range(count)]


def _shade(score: Score, beat: float, length: float, channel: int, slides: bool) -> None:
    if length >= 1.5 and score.chance(0.4):
        score.control(beat + 0.3, channel, 1, int(score.rng.integers(20, 90)))
        score.control(beat + length * 0.9, channel, 1, 0)
    if slides and length >= 0.5 and score.chance(0.3):
        depth = score.rng.uniform(-1.5, 0.7)
        for step in range(9):
            score.bend(beat + 0.02 * step, channel, depth * (1 - step / 8))


def bass(score: Score, program: int) -> None:
    """The root of each chord, held, walking, or in octaves."""
    channel = score.channel(program)
    manner = score.pick(("whole", "half", "walk", "octaves"))
    for bar, plays in zip(range(score.bars), score.sections(0.85), strict=False):
        if not plays:
            continue
        degree, key = score.chords[bar]
        low, start = score.pitch(degree, key, 28, 43), bar * score.beats
        if manner == "whole":
            score.note(start, score.beats * 0.98, channel, low, score.loudness)
        elif manner == "half":
            fifth = score.pitch(degree + 4, key, 28, 45)
            score.note(start, score.beats * 0.48, channel, low, score.loudness)
            score.note(start + score.beats / 2, score.beats * 0.48, channel, fifth, score.loudness)
        else:
            for beat in range(score.beats):
                pitch = low + (12 if manner == "octaves" and beat % 2 else 0)
                score.note(start + beat, 0.75, channel, pitch, score.loudness)


def timpani(score: Score, play: float = 0.4) -> None:
    """Strokes and crescendo rolls."""
    channel = score.channel(47)
    for bar, plays in zip(range(score.bars), score.sections(play), strict=False):
        if not plays:
            continue
        _, key = score.chords[bar]
        pitch, start = score.pitch(score.pick((0, 0, 4)), key, 38, 52), bar * score.beats
        if score.chance(0.3):
            strokes = score.beats * 6
            for stroke in range(strokes):
                score.note(start + stroke / 6, 0.15, channel, pitch, 50 + stroke * 60 / strokes)
        else:
            for beat in range(score.beats):
                if score.chance(0.5):
                    score.note(start + beat, 0.8, channel, pitch, score.loudness + 10)


GROOVES: dict[str, dict[int, tuple[int, ...]]] = {
    # sixteenths of a bar of four beats at which each drum of General MIDI sounds
    "march": {36: (0, 8), 38: (4, 6, 7, 12, 14, 15)},
    "rock": {36: (0, 6, 8), 38: (4, 12), 42: (0, 2, 4, 6, 8, 10, 12, 14)},
    "swing": {51: (0, 4, 7, 8, 12, 15), 44: (4, 12), 36: (0, 8)},
    "toms": {41: (0, 3, 6, 8, 11, 14), 43: (0, 8), 45: (6, 14)},
}


def drums(score: Score, groove: str, play: float = 0.6) -> None:
    """A groove with dropped and added strokes, and cymbals at the joints."""
    score.control(0.0, DRUM_CHANNEL, 7, int(score.rng.integers(70, 120)))
    kit = score.pick((0, 0, 48, 48, 40, 32))  # 48: orchestral
    change = mido.Message("program_change", channel=DRUM_CHANNEL, program=kit)
    score.events.append((0.0, 0, change))
    for bar, plays in zip(range(score.bars), score.sections(play), strict=False):
        if not plays:
            continue
        start = bar * score.beats
        for drum, sixteenths in GROOVES[groove].items():
            for sixteenth in sixteenths:
                if sixteenth < score.beats * 4 and not score.chance(0.12):
                    accent = 10 if sixteenth % 8 == 0 else -8
                    velocity = score.loudness + accent
                    score.note(start + sixteenth / 4, 0.2, DRUM_CHANNEL, drum, velocity)
        if score.chance(0.15):
            cymbal = score.pick((49, 57, 52, 55, 81))
            score.note(start, 2.0, DRUM_CHANNEL, cymbal, score.loudness)
