"""The styles of the composed pieces: which voices play, how fast, how loud, how often.

Programs are those of General MIDI counted from 0: 40 to 49 strings, 56 to 63 brass, 68 to 79 winds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from separator.composing import Score
from separator.voices import (
    QUICK,
    SLOW,
    arpeggio,
    bass,
    chords,
    drums,
    melody,
    runs,
    stabs,
    timpani,
)

STRINGS = (48, 48, 49, 44)
SOLO_STRINGS = (40, 41, 42)
BRASS = (56, 57, 60, 61, 61, 62)
WINDS = (68, 69, 70, 71, 72, 73)
SOLOS = (40, 41, 42, 42, 60, 60, 57, 56, 59, 58, 64, 65, 66, 67, 68, 69, 70, 71, 73, 74, 75, 77, 79,
         22, 21, 109, 110, 78, 104)  # fmt: skip
CHOIRS = (52, 53, 91, 54)

MAJOR_AND_MINOR = (0, 1, 2, 3, 4)
MINOR = (2, 3, 4, 5)


@dataclass(frozen=True)
class Style:
    """How a kind of piece is written, and within which bounds it is drawn."""

    write: Callable[[Score], None]
    weight: float = 1.0
    tempo: tuple[float, float] = (50, 170)
    loudness: tuple[int, int] = (50, 105)
    scales: tuple[int, ...] = MAJOR_AND_MINOR


def _tutti(s: Score) -> None:
    chords(s, s.pick(STRINGS), 48, 84, 4, 0.9)
    chords(s, 61, 45, 72, 4, 0.8, accent=8)
    melody(s, [s.pick((56, 61, 48, 73)), s.pick((48, 60, 72))], 60, 92, 0.85)
    bass(s, s.pick((43, 58, 57)))
    timpani(s)
    if s.chance(0.6):
        runs(s, s.pick((48, *WINDS)), 60, 96)
    if s.chance(0.6):
        stabs(s, s.pick((61, 57, 60)), 45, 76)
    if s.chance(0.6):
        drums(s, s.pick(("march", "toms")))
    if s.chance(0.3):
        chords(s, 52, 55, 79, 3)


def _brass(s: Score) -> None:
    chords(s, s.pick((61, 60, 57)), 43, 70, 4, 0.85)
    melody(s, [s.pick(BRASS)] + [s.pick(BRASS)] * s.chance(0.5), 52, 82, 0.8)
    bass(s, s.pick((58, 57, 43)))
    if s.chance(0.5):
        melody(s, 60, 48, 74, 0.6, SLOW)
    if s.chance(0.4):
        timpani(s)
    if s.chance(0.4):
        drums(s, "march")


def _strings(s: Score) -> None:
    chords(s, s.pick(STRINGS), 48, 79, 4, 0.95)
    melody(s, s.pick((48, 49, 40)), 60, 91, 0.8)
    bass(s, s.pick((43, 42, 48)))
    if s.chance(0.4):
        arpeggio(s, s.pick((45, 48, 40)), 52, 84)
    if s.chance(0.4):
        melody(s, s.pick(SOLO_STRINGS), 45, 76, 0.5, SLOW)


def _lush(s: Score) -> None:
    chords(s, s.pick((48, 49, 50)), 48, 76, 4)
    bass(s, s.pick((43, 42, 48)))
    melody(s, s.pick(SOLOS), 58, 88)
    if s.chance(0.5):
        arpeggio(s, 46, 48, 84)
    if s.chance(0.5):
        chords(s, 60, 45, 65, 2)
    if s.chance(0.3):
        timpani(s)


def _fanfare(s: Score) -> None:
    chords(s, 61, 48, 72, 3, accent=10)
    melody(s, [s.pick((56, 57, 60, 61))] + [s.pick((61, 48))] * s.chance(0.6), 55, 82)
    timpani(s, 0.6)
    drums(s, "march")
    bass(s, s.pick((58, 43)))


def _chase(s: Score) -> None:
    arpeggio(s, 48, 50, 80, 4, 0.9)
    stabs(s, s.pick((61, 57)), 45, 74)
    melody(s, [s.pick((*BRASS, *WINDS, 48))] + [48] * s.chance(0.4), 55, 88, rhythm=QUICK)
    timpani(s, 0.5)
    bass(s, s.pick((43, 58)))
    drums(s, s.pick(("march", "toms", "rock")))


def _suspense(s: Score) -> None:
    chords(s, s.pick((44, 44, 48, 52, 95)), s.pick((38, 50, 64)), s.pick((70, 76, 88)), 4)
    bass(s, s.pick((43, 42)))
    timpani(s)
    if s.chance(0.5):
        arpeggio(s, s.pick((45, 46, 8, 14, 9)), 55, 90, s.pick((1, 2)))
    if s.chance(0.6):
        melody(s, s.pick((70, 71, 42, 60, 57)), 40, 75, 0.6, SLOW)


def _solo(s: Score) -> None:
    melody(s, s.pick(SOLOS), s.pick((43, 50, 57, 62)), s.pick((79, 84, 91)), 0.85)
    if s.chance(0.5):
        chords(s, s.pick((48, 49, 0, 52, 24)), 48, 72)


def _chamber(s: Score) -> None:
    family = s.pick(((40, 40, 41, 42), (73, 68, 71, 70), (56, 56, 60, 57), (40, 42, 0, 0)))
    for program, low in zip(family, (60, 55, 48, 38), strict=True):
        melody(s, program, low, low + 28, 0.8)


def _waltz(s: Score) -> None:
    melody(s, s.pick((40, 73, 71, 0, 48, 21, 56)), 60, 88)
    bass(s, s.pick((43, 32)))
    arpeggio(s, s.pick((0, 46, 48, 24)), 48, 72, 1)
    if s.chance(0.5):
        chords(s, 48, 55, 76)


def _piano(s: Score) -> None:
    arpeggio(s, s.pick((0, 1, 3)), 40, 67, s.pick((2, 3, 4)))
    melody(s, 0, 60, 92)
    bass(s, 0)
    if s.chance(0.3):
        chords(s, 48, 48, 72)


def _ragtime(s: Score) -> None:
    arpeggio(s, s.pick((0, 3)), 48, 72, s.pick((1, 2)))
    melody(s, s.pick((0, 71, 56, 59, 66, 105, 57)), 58, 90, rhythm=(*QUICK, 0.75))
    bass(s, s.pick((32, 58, 0)))
    drums(s, "swing")
    if s.chance(0.5):
        melody(s, s.pick((57, 64, 65, 40)), 50, 75)
    if s.chance(0.3):
        stabs(s, s.pick((61, 66)), 50, 74)


def _organ(s: Score) -> None:
    program = s.pick((16, 17, 18, 19, 19, 20, 21))
    chords(s, program, 48, 72, 4)
    melody(s, program, 60, 88)
    bass(s, program)


def _choir(s: Score) -> None:
    chords(s, s.pick(CHOIRS), 48, 74, 4)
    bass(s, s.pick((43, 19)))
    if s.chance(0.6):
        melody(s, s.pick(SOLOS), 60, 86)
    if s.chance(0.5):
        chords(s, 48, 50, 76)


def _celesta(s: Score) -> None:
    arpeggio(s, s.pick((8, 10, 46, 9, 11)), 60, 96)
    melody(s, s.pick((8, 71, 73, 10, 12)), 67, 98)
    bass(s, s.pick((45, 71, 70, 43)))
    chords(s, s.pick((45, 48)), 50, 76)


def _guitar(s: Score) -> None:
    arpeggio(s, s.pick((24, 25, 107, 105, 15)), 45, 76)
    melody(s, s.pick((24, 73, 22, 21, 40, 26)), 57, 86)
    bass(s, s.pick((32, 33)))
    if s.chance(0.4):
        drums(s, s.pick(("rock", "swing")))


def _electric(s: Score) -> None:
    arpeggio(s, s.pick((81, 38, 4, 27, 29)), 45, 76)
    chords(s, s.pick((89, 90, 95, 50, 4)), 48, 76)
    melody(s, s.pick((80, 81, 30, 82, 87)), 55, 86)
    bass(s, s.pick((33, 38, 39)))
    drums(s, "rock", 0.8)


STYLES: dict[str, Style] = {
    "tutti": Style(_tutti, 4.0, (55, 150), (75, 115)),
    "brass": Style(_brass, 2.0, (50, 140), (65, 115)),
    "strings": Style(_strings, 2.0, (45, 130), (55, 110)),
    "lush": Style(_lush, 1.2, (45, 95)),
    "fanfare": Style(_fanfare, 1.2, (70, 150), (75, 115)),
    "chase": Style(_chase, 1.5, (100, 190), (70, 115), MINOR),
    "suspense": Style(_suspense, 1.2, (45, 110), (40, 105), MINOR),
    "solo": Style(_solo, 1.5, (45, 110)),
    "chamber": Style(_chamber, 1.2, (50, 140)),
    "waltz": Style(_waltz, 0.8, (80, 180)),
    "piano": Style(_piano, 1.2),
    "ragtime": Style(_ragtime, 1.2, (100, 190)),
    "organ": Style(_organ, 0.6),
    "choir": Style(_choir, 0.8, (45, 95)),
    "celesta": Style(_celesta, 0.6),
    "guitar": Style(_guitar, 0.8),
    "electric": Style(_electric, 0.6),
}
