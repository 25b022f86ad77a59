"""The sounds of speech: how long they last and where their resonances lie.

After Klatt, "Software for a cascade/parallel formant synthesizer", JASA 67 (1980), tables II and
III, for a grown man; named as in the ARPAbet.
"""

from __future__ import annotations

from dataclasses import dataclass

Formants = tuple[float, float, float]
"""The lowest three resonances of the vocal tract, in Hz."""


@dataclass(frozen=True)
class Part:
    """A stretch of a sound within which nothing but the formants moves.

    Attributes:
        seconds: its length in unhurried speech.
        begin: formants at its beginning; `end`: at its end.
        end: see `begin`.
        voice: strength of the vocal cords, 0 to 1.
        breath: strength of noise from the glottis.
        hiss: strength of noise made in the mouth.
        hiss_hz: centre of that noise; `hiss_width_hz`: its width.
        hiss_width_hz: see `hiss_hz`.
    """

    seconds: float
    begin: Formants
    end: Formants
    voice: float = 0.0
    breath: float = 0.0
    hiss: float = 0.0
    hiss_hz: float = 4000.0
    hiss_width_hz: float = 1000.0


def _vowel(seconds: float, begin: Formants, end: Formants | None = None) -> tuple[Part, ...]:
    return (Part(seconds, begin, end or begin, voice=1.0, breath=0.04),)


def _voiced(seconds: float, at: Formants, voice: float) -> tuple[Part, ...]:
    return (Part(seconds, at, at, voice=voice, breath=0.02),)


def _hissed(
    seconds: float, at: Formants, hiss: float, hz: float, width: float, voice: float = 0.0
) -> tuple[Part, ...]:
    return (Part(seconds, at, at, voice=voice, hiss=hiss, hiss_hz=hz, hiss_width_hz=width),)


def _stop(at: Formants, hz: float, width: float, hiss: float, voiced: bool) -> tuple[Part, ...]:
    """Closure, burst and, if unvoiced, the breath that follows it."""
    closure = Part(0.055, at, at, voice=0.16 if voiced else 0.0)
    burst = Part(
        0.012, at, at, voice=0.2 if voiced else 0.0, hiss=hiss, hiss_hz=hz, hiss_width_hz=width
    )
    breath = Part(0.008 if voiced else 0.035, at, at, breath=0.1 if voiced else 0.35)
    return (closure, burst, breath)


PHONEMES: dict[str, tuple[Part, ...]] = {
    "IY": _vowel(0.125, (310, 2020, 2960), (290, 2070, 2960)),
    "IH": _vowel(0.090, (400, 1800, 2570), (470, 1600, 2600)),
    "EH": _vowel(0.105, (530, 1680, 2500), (620, 1530, 2530)),
    "AE": _vowel(0.140, (620, 1660, 2430), (650, 1490, 2470)),
    "AA": _vowel(0.140, (700, 1220, 2600)),
    "AO": _vowel(0.140, (600, 990, 2570), (630, 1040, 2600)),
    "AH": _vowel(0.095, (620, 1220, 2550)),
    "AX": _vowel(0.060, (500, 1400, 2450)),
    "UH": _vowel(0.090, (450, 1100, 2350), (500, 1180, 2390)),
    "UW": _vowel(0.125, (350, 1250, 2200), (320, 900, 2200)),
    "ER": _vowel(0.130, (470, 1270, 1540), (420, 1310, 1540)),
    "EY": _vowel(0.155, (480, 1720, 2520), (330, 2020, 2600)),
    "AY": _vowel(0.180, (660, 1200, 2550), (400, 1880, 2500)),
    "OY": _vowel(0.200, (550, 960, 2400), (360, 1820, 2450)),
    "OW": _vowel(0.155, (540, 1100, 2300), (450, 900, 2300)),
    "AW": _vowel(0.185, (640, 1230, 2550), (420, 940, 2350)),
    "W": _voiced(0.060, (290, 610, 2150), 0.55),
    "Y": _voiced(0.055, (260, 2070, 3020), 0.55),
    "R": _voiced(0.065, (310, 1060, 1380), 0.6),
    "L": _voiced(0.065, (310, 1050, 2880), 0.6),
    "M": _voiced(0.070, (270, 1270, 2130), 0.4),
    "N": _voiced(0.065, (270, 1450, 2470), 0.4),
    "NG": _voiced(0.075, (270, 2000, 2700), 0.4),
    "F": _hissed(0.090, (340, 1100, 2080), 0.10, 6500, 7000),
    "V": _hissed(0.060, (220, 1100, 2080), 0.05, 6500, 7000, 0.35),
    "TH": _hissed(0.085, (320, 1290, 2540), 0.08, 6000, 6000),
    "DH": _hissed(0.045, (270, 1290, 2540), 0.04, 6000, 6000, 0.4),
    "S": _hissed(0.105, (320, 1390, 2530), 0.30, 6300, 2600),
    "Z": _hissed(0.075, (240, 1390, 2530), 0.18, 6300, 2600, 0.35),
    "SH": _hissed(0.110, (300, 1840, 2750), 0.34, 3100, 1600),
    "HH": (Part(0.055, (500, 1400, 2450), (500, 1400, 2450), breath=0.4),),
    "P": _stop((400, 1100, 2150), 1200, 2500, 0.22, False),
    "B": _stop((200, 1100, 2150), 1000, 2000, 0.16, True),
    "T": _stop((400, 1600, 2600), 4600, 2600, 0.34, False),
    "D": _stop((200, 1600, 2600), 4200, 2400, 0.22, True),
    "K": _stop((300, 1990, 2850), 2100, 900, 0.32, False),
    "G": _stop((200, 1990, 2850), 1900, 900, 0.22, True),
    "CH": (*_stop((350, 1800, 2820), 3300, 1800, 0.34, False)[:2],
           *_hissed(0.060, (350, 1800, 2820), 0.34, 3200, 1700)),
    "JH": (*_stop((260, 1800, 2820), 3300, 1800, 0.22, True)[:2],
           *_hissed(0.040, (260, 1800, 2820), 0.22, 3200, 1700, 0.3)),
}  # fmt: skip
VOWELS = frozenset(
    ("IY", "IH", "EH", "AE", "AA", "AO", "AH", "AX", "UH", "UW", "ER", "EY", "AY", "OY", "OW", "AW")
)

LINES: dict[str, str] = {
    # Phonemes; a number after a vowel is its stress; `/` is a pause, `?` one after a question.
    "good morning": (
        "G UH1 D M AO1 R N IH NG / DH AX HH IH1 L Z AA R S T IH1 L AX S L IY1 P AX N D "
        "DH AX W IH1 N D IH Z W AO1 R M"
    ),  # Good morning. The hills are still asleep, and the wind is warm.
    "the train": (
        "HH IY1 R K AH1 M Z DH AX T R EY1 N / L UH1 K DH AX HH OW1 L T AW N IH Z W EY1 V IH NG"
    ),  # Here comes the train. Look, the whole town is waving.
    "the harbour": (
        "DH AX L AE1 S T B OW T L EH1 F T AE T T EH1 N / AX N D S T IH1 L DH AX R EY1 N D AH Z "
        "N AA T S T AA1 P"
    ),  # The last boat left at ten, and still the rain does not stop.
    "who is there": (
        "HH UW1 IH Z DH EH R ? AY HH ER1 D S AH1 M W AH N AA N DH AX S T EH1 R Z / "
        "L IY1 V DH AX D AO1 R OW P AX N"
    ),  # Who is there? I heard someone on the stairs. Leave the door open.
    "the snow": (
        "IH T W IH1 L S N OW1 B AY M AO1 R N IH NG / K AH1 M IH N AX N D W AO1 R M Y AO R "
        "HH AE1 N D Z"
    ),  # It will snow by morning. Come in and warm your hands.
    "the way home": (
        "AY N OW1 DH AX W EY1 HH OW1 M N AW / IH T IH Z N AA1 T F AA1 R"
    ),  # I know the way home now. It is not far.
    "the fair": (
        "W AH1 N M AO R R AY1 D / P L IY1 Z ? DH EH1 N W IY G OW1 S T R EY1 T T UW B EH1 D"
    ),  # One more ride, please? Then we go straight to bed.
    "the stars": (
        "S IH1 T S T IH1 L / AX N D K AW1 N T DH AX S T AA1 R Z T IH L Y UW S L IY1 P"
    ),  # Sit still, and count the stars till you sleep.
    "the clock": (
        "DH AX K L AA1 K IH Z W AO1 K IH NG AX G EH1 N / D UW1 N AA T T ER1 N AX R AW1 N D"
    ),  # The clock is walking again. Do not turn around.
}
