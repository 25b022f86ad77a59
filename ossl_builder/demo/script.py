"""What a demo film is, as its script says it, and what is then known of it: its truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from ossl_builder.demo.canvas import Picture

FADE_FRAMES, BLACK_FRAMES, DISSOLVE_FRAMES = 14, 6, 24
"""Frames of a fade to black and of one from black, of the black between them, of a dissolve."""


@dataclass(frozen=True)
class Shot:
    """A picture that ends at a time of the film, and how it goes over into the next one."""

    end_s: float
    draw: Callable[[], Picture]
    then: str = "cut"
    """`cut`, `fade` (through black) or `dissolve`; no matter for the last shot."""


@dataclass(frozen=True)
class MusicCue:
    """Music from `start_s` to `end_s`; outside there is none, to the sample."""

    start_s: float
    end_s: float
    mood: str
    """`calm`, `joyful` or `tense`."""


@dataclass(frozen=True)
class Line:
    """A line that someone speaks: see `phonemes.LINES`."""

    start_s: float
    talker: str
    line: str


@dataclass(frozen=True)
class Script:
    """A film before it is made."""

    film_id: str
    title: str
    rate: Fraction
    """Pictures per second."""
    shots: tuple[Shot, ...]
    music: tuple[MusicCue, ...]
    speech: tuple[Line, ...]
    seed: int
    is_colour: bool = True
    channels: int = 2
    sample_rate: int = 44_100

    @property
    def n_frames(self) -> int:
        """Number of pictures."""
        return self.boundaries[-1]

    @property
    def boundaries(self) -> tuple[int, ...]:
        """For each shot the frame after its last one; a transition lies around it."""
        return tuple(round(Fraction(shot.end_s) * self.rate) for shot in self.shots)

    @property
    def duration_s(self) -> float:
        """Length of picture and sound."""
        return float(self.n_frames / self.rate)


@dataclass(frozen=True)
class Gradual:
    """A transition that takes time: frames [start_frame, end_frame) differ from both shots."""

    kind: str
    """`fade` (through black) or `dissolve`."""
    start_frame: int
    end_frame: int


@dataclass(frozen=True)
class Speech:
    """Somebody speaks, pauses for breath included."""

    start_s: float
    end_s: float


@dataclass(frozen=True)
class DemoFilm:
    """A film that was made, and all that happens in it.

    Frames count from 0, a cut is the first frame of the new shot, intervals are half-open, and
    0 s is the first picture's time as well as the first sample's.
    """

    film_id: str
    title: str
    year: int
    basis: str
    evidence: str
    path: Path
    fps_num: int
    fps_den: int
    n_frames: int
    is_black_and_white: bool
    cuts: tuple[int, ...]
    gradual: tuple[Gradual, ...]
    music: tuple[MusicCue, ...]
    speech: tuple[Speech, ...]


def transitions(script: Script) -> tuple[tuple[int, ...], tuple[Gradual, ...]]:
    """The frames of the cuts, and the gradual transitions."""
    cuts, gradual = [], []
    for shot, boundary in zip(script.shots[:-1], script.boundaries, strict=False):
        if shot.then == "cut":
            cuts.append(boundary)
        else:
            length = DISSOLVE_FRAMES if shot.then == "dissolve" else 2 * FADE_FRAMES + BLACK_FRAMES
            gradual.append(Gradual(shot.then, boundary - length // 2, boundary + length // 2))
    return tuple(cuts), tuple(gradual)
