"""Compose random but musical pieces as MIDI: harmony, voices, swells, a tempo that breathes.

What the separator must learn from is the *sound* of music in films, above all of loud orchestras,
so three pieces in five are orchestral. A piece is a function of its seed alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import mido
import numpy as np

TICKS_PER_BEAT = 480
DRUM_CHANNEL = 9
CHANNELS = [channel for channel in range(16) if channel != DRUM_CHANNEL]

SCALES = (
    (0, 2, 4, 5, 7, 9, 11),  # major
    (0, 2, 4, 5, 7, 9, 11),
    (0, 2, 3, 5, 7, 8, 10),  # natural minor
    (0, 2, 3, 5, 7, 8, 11),  # harmonic minor
    (0, 2, 3, 5, 7, 9, 10),  # dorian
    (0, 1, 3, 4, 6, 7, 9, 10)[:7],  # octatonic, for suspense
)
PROGRESSIONS = (
    (0, 3, 4, 0), (0, 5, 3, 4), (0, 4, 5, 3), (0, 3, 0, 4), (5, 3, 0, 4), (0, 2, 3, 4),
    (0, 6, 5, 4), (0, 3, 6, 2, 5, 1, 4, 0), (0, 0, 3, 3), (0, 5, 1, 4), (0, 1, 4, 0),
    (0, 0, 0, 0), (0, 4, 0, 4), (0, 6, 0, 6), (0, 2, 5, 3, 1, 4),
)  # fmt: skip

T = TypeVar("T")
Event = tuple[float, int, mido.Message]
"""Time in beats, rank among events of the same time, message."""


@dataclass
class Score:
    """A piece under construction; voices add their events to it."""

    rng: np.random.Generator
    seconds: float
    tempo: float
    """Mean tempo in beats per minute."""
    beats: int
    """Beats per bar."""
    loudness: int
    """Mean MIDI velocity."""
    scale: tuple[int, ...]
    bars: int = 0
    chords: list[tuple[int, int]] = field(default_factory=list)
    """One (degree, key) per bar."""
    tempi: list[tuple[float, float]] = field(default_factory=list)
    """(beat, beats per minute)."""
    events: list[Event] = field(default_factory=list)
    programs: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        elapsed, tempo = 0.0, self.tempo
        while elapsed < self.seconds + 2:
            self.tempi.append((self.bars * self.beats, tempo))
            elapsed += 60 / tempo * self.beats
            self.bars += 1
            jump = self.rng.uniform(0.8, 1.25) if self.rng.random() < 0.04 else 1.0
            drift = self.rng.normal(1, 0.02) * jump
            tempo = float(np.clip(tempo * drift, self.tempo * 0.7, self.tempo * 1.4))
        key = int(self.rng.integers(12))
        progression = self.pick(PROGRESSIONS)
        while len(self.chords) < self.bars:
            if self.rng.random() < 0.3:
                progression = self.pick(PROGRESSIONS)
            self.chords += [(degree, key) for degree in progression]
            if self.rng.random() < 0.15:
                key = (key + self.pick((2, 3, 5, 7, -2, 1, -4))) % 12

    @property
    def length(self) -> int:
        """In beats."""
        return self.bars * self.beats

    def pick(self, options: Sequence[T]) -> T:
        """One of them, each as likely."""
        return options[int(self.rng.integers(len(options)))]

    def chance(self, probability: float) -> bool:
        """True as often as this."""
        return bool(self.rng.random() < probability)

    def pitch(self, degree: int, key: int, low: int, high: int) -> int:
        """MIDI note of a scale degree, moved by octaves into [low, high] where it fits."""
        note = key + self.scale[degree % 7] + 12 * (degree // 7)
        while note < low:
            note += 12
        while note > high:
            note -= 12
        return max(note, 12)

    def control(self, beat: float, channel: int, number: int, value: float) -> None:
        """A control change, its value clipped to what MIDI knows."""
        value = int(np.clip(value, 0, 127))
        message = mido.Message("control_change", channel=channel, control=number, value=value)
        self.events.append((max(beat, 0.0), 0, message))

    def bend(self, beat: float, channel: int, semitones: float) -> None:
        """Pitch bend within the usual range of two semitones."""
        value = int(np.clip(semitones / 2 * 8191, -8191, 8191))
        message = mido.Message("pitchwheel", channel=channel, pitch=value)
        self.events.append((max(beat, 0.0), 0, message))

    def note(self, beat: float, length: float, channel: int, pitch: int, velocity: float) -> None:
        """A note, played a little early or late and a little louder or softer, as people do."""
        pitch = int(np.clip(pitch, 0, 127))
        velocity = int(np.clip(velocity + self.rng.normal(0, 6), 15, 127))
        beat = max(0.0, beat + self.rng.normal(0, 0.012))
        on = mido.Message("note_on", channel=channel, note=pitch, velocity=velocity)
        off = mido.Message("note_off", channel=channel, note=pitch, velocity=0)
        self.events += [(beat, 2, on), (beat + max(0.05, length), 1, off)]

    def channel(self, program: int, volume: tuple[int, int] = (70, 115)) -> int:
        """A channel for an instrument, with its own level, room, place and swells."""
        if len(self.programs) >= len(CHANNELS):
            return CHANNELS[int(self.rng.integers(len(CHANNELS)))]
        channel = CHANNELS[len(self.programs)]
        self.programs.append(program)
        change = mido.Message("program_change", channel=channel, program=program)
        self.events.append((0.0, 0, change))
        for number, low, high in ((7, *volume), (91, 0, 110), (10, 20, 108)):
            self.control(0.0, channel, number, int(self.rng.integers(low, high + 1)))
        if self.chance(0.8):
            self._swell(channel)
        return channel

    def _swell(self, channel: int) -> None:
        beat, value = 0, int(self.rng.integers(60, 128))
        while beat < self.length:
            target, span = int(self.rng.integers(35, 128)), self.pick((2, 4, 8, 16))
            for half in range(span * 2):
                level = value + (target - value) * half / (span * 2)
                self.control(beat + half / 2, channel, 11, level)
            value, beat = target, beat + span

    def sections(self, probability: float = 0.75) -> list[bool]:
        """Which bars a voice plays: whole groups of bars, as an arranger would."""
        plays: list[bool] = []
        while len(plays) < self.bars:
            plays += [self.chance(probability)] * self.pick((2, 4, 4, 8))
        return plays

    def midi(self) -> mido.MidiFile:
        """The finished piece; one track."""
        tempi = [
            (beat, -1, mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(max(20.0, tempo))))
            for beat, tempo in self.tempi
        ]
        track = mido.MidiTrack()
        now = 0
        for beat, _, message in sorted(tempi + self.events, key=lambda event: event[:2]):
            tick = round(beat * TICKS_PER_BEAT)
            track.append(message.copy(time=max(0, tick - now)))
            now = max(now, tick)
        file = mido.MidiFile(ticks_per_beat=TICKS_PER_BEAT)
        file.tracks.append(track)
        return file
