"""Test films from real shots: artefacts that look like scene changes, and true scene changes.

A film is a series of pieces. Each piece is made from a real shot and has one fault of its kind: a
title that fades, weave, a splice, a flash, fast movement. The pieces are joined by cuts, and some
kinds have true cuts and dissolves inside, so that one run tells false and lost boundaries.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.uint8]  # shape (n, h, w, 3), BGR
Dice = np.random.Generator

FPS = 24
SIZE = (320, 180)
_SCALE = SIZE[0] / 640  # pixels below are those of a frame 640 wide
_LONGEST = 144  # frames kept of a shot
_MARGIN = 8  # pixels that weave may move the frame by
# First frames of the shots of the cartoon, and the frame after the last.
_STEAMBOAT = (0, 113, 449, 625, 672)
_FOG = {279: 349}  # this shot of `dev.mp4` comes out of white fog, which is a true change
_WORDS = ["the", "sea", "and", "a", "ship", "of", "old", "songs", "which", "nobody", "saw", "again"]
_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_COMPLEX)


@dataclass(frozen=True)
class Shot:
    """Frames of one real shot; two shots of one `scene` show the same place."""

    frames: Pictures
    scene: str
    is_cartoon: bool


@dataclass(frozen=True)
class Piece:
    """Frames made from shots; `changes` are the true scene changes inside: (first, last)."""

    kind: str
    frames: Pictures
    changes: tuple[tuple[int, int], ...] = ()


def real_shots(media: Path, half: int | None = None) -> list[Shot]:
    """The shots of `dev.mp4` and of a cartoon that have two seconds and more.

    Args:
        media: the folder of the shared media.
        half: 0 or 1: every second shot only. The rules were chosen on half 0, and corrected once
            after a look at half 1.
    """
    truth = json.loads((media / "mixfilm" / "truth.json").read_text())
    dev = _decoded(media / "mixfilm" / "dev.mp4")
    shots = []
    for shot in truth["shots"]:
        start, end = shot["start_frame"], shot["end_frame"]
        start = _FOG.get(start, start)
        for change in truth["gradual"]:
            if change["start_frame"] < end and start < change["end_frame"]:
                if change["start_frame"] <= start:
                    start = change["end_frame"]
                else:
                    end = change["start_frame"]
        kept = dev[start : min(end, start + _LONGEST)]
        shots.append(Shot(kept, shot["scene"], shot["source"].startswith("popeye")))
    cartoon = _decoded(media / "demo" / "steamboat_willie_1928_28s.mp4")
    shots += [
        Shot(cartoon[a : min(b, a + _LONGEST)], f"steamboat {a}", True)
        for a, b in pairwise(_STEAMBOAT)
    ]
    shots = [shot for shot in shots if len(shot.frames) >= 2 * FPS]
    return shots if half is None else shots[half::2]


def _decoded(path: Path) -> Pictures:
    with av.open(str(path)) as container:
        frames = [
            cv2.resize(frame.to_ndarray(format="bgr24"), SIZE, interpolation=cv2.INTER_AREA)
            for frame in container.decode(video=0)
        ]
    return np.stack(frames)


def _run_of(shot: Shot, n: int, dice: Dice, step: int = 1) -> Pictures:
    """`n` frames of a shot, or as many as it has, every `step`-th."""
    room = max(0, len(shot.frames) - n * step)
    start = int(dice.integers(0, room + 1))
    return shot.frames[start : start + n * step : step].copy()


# --- titles ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Title:
    """How much of the video is covered (0 to 1), and with what."""

    cover: NDArray[np.float32]
    paint: NDArray[np.float32]

    def over(self, frame: NDArray[np.uint8], strength: float) -> NDArray[np.uint8]:
        """The frame with the title over it."""
        cover = self.cover[..., None] * np.float32(strength)
        return np.rint(frame * (1 - cover) + self.paint * cover).astype(np.uint8)


TITLES = ("caption", "lower third", "main title", "credits")


def title(size: str, dice: Dice) -> Title:
    """A title of one of the sizes `TITLES`, with a dark box behind it or without."""
    width, height = SIZE
    font = int(dice.choice(_FONTS))

    def line(n: int) -> str:
        text = " ".join(dice.choice(_WORDS, n))
        return text.upper() if size != "caption" and dice.random() < 0.5 else text

    if size == "caption":
        lines = [line(5) for _ in range(dice.integers(1, 3))]
        letter, top = height * dice.uniform(0.04, 0.06), height * 0.82
    elif size == "lower third":
        lines = [line(2), line(4)]
        letter, top = height * dice.uniform(0.06, 0.08), height * 0.68
    elif size == "main title":
        lines = [line(1) + "!" for _ in range(dice.integers(1, 3))]
        letter, top = height * dice.uniform(0.16, 0.3), height * 0.2
    else:
        lines = [line(int(dice.integers(2, 5))) for _ in range(dice.integers(8, 12))]
        letter, top = height * 0.045, height * 0.06
    text = np.zeros((height, width), np.uint8)
    edges = []
    for k, words in enumerate(lines):
        scale = letter / 22
        thick = max(1, round(scale * dice.uniform(1.5, 3)))
        across = cv2.getTextSize(words, font, scale, thick)[0][0]
        scale *= min(1.0, 0.92 * width / across)
        across = min(across, int(0.92 * width))
        left = width // 16 if size == "lower third" else (width - across) // 2
        row = round(top + letter + 1.6 * letter * k)
        cv2.putText(text, words, (left, row), font, scale, 255, thick, cv2.LINE_AA)
        edges += [(left, row - letter), (left + across, row)]
    cover = text.astype(np.float32) / 255
    colour = [(255, 255, 255), (90, 230, 250), (210, 210, 210)][dice.integers(0, 3)]
    paint = np.broadcast_to(np.float32(colour), (height, width, 3))
    # A dense box behind large letters would hide the shot.
    if size != "credits" and dice.random() < 0.4:
        xs, ys = zip(*edges, strict=True)
        pad = int(0.4 * letter)
        box = np.zeros_like(cover)
        corners = (
            slice(max(0, int(min(ys)) - pad), int(max(ys)) + pad),
            slice(max(0, min(xs) - pad), max(xs) + pad),
        )
        box[corners] = dice.uniform(0.3, 0.6) if size == "main title" else dice.uniform(0.5, 1)
        paint = paint * cover[..., None]
        cover = np.maximum(cover, box)
    return Title(cover, paint)


def titled(size: str) -> Callable[[list[Shot], Dice], Piece]:
    """A piece over which a title fades in, out, or in and out, in 0.3 to 2 seconds."""

    def make(shots: list[Shot], dice: Dice) -> Piece:
        frames = _run_of(shots[0], 120, dice)
        over = title(size, dice)
        length = int(dice.integers(7, min(49, len(frames) // 2)))
        way = dice.integers(0, 3)
        ramp = np.arange(len(frames))
        start = int(dice.integers(8, max(9, len(frames) // 2 - length)))
        into = np.clip((ramp - start) / length, 0, 1)
        end = len(frames) - int(dice.integers(8, max(9, len(frames) // 2 - length)))
        out = np.clip((end - ramp) / length, 0, 1)
        strength = (into, out, into * out)[way]
        shown = [over.over(p, s) if s else p for p, s in zip(frames, strength, strict=True)]
        return Piece(size, np.stack(shown))

    return make


# --- the film in the gate, splices, flashes, movement ---------------------------------------------


def _moved(frames: Pictures, ways: NDArray[np.float64]) -> Pictures:
    """Each frame moved by its pixels (across, down), with no border to be seen."""
    width, height = SIZE
    scale = 1 + 2 * _MARGIN * _SCALE / min(SIZE)
    moved = []
    for frame, (across, down) in zip(frames, ways * _SCALE, strict=True):
        shift = np.float32(
            [
                [scale, 0, -width * (scale - 1) / 2 + across],
                [0, scale, -height * (scale - 1) / 2 + down],
            ]
        )
        moved.append(cv2.warpAffine(frame, shift, SIZE, borderMode=cv2.BORDER_REPLICATE))
    return np.stack(moved)


def _weave(n: int, dice: Dice) -> NDArray[np.float64]:
    """Random jumps and slow drift, 1 to 8 pixels."""
    size = dice.uniform(1, _MARGIN)
    if dice.random() < 0.5:
        return dice.uniform(-size, size, (n, 2)) * [0.5, 1]
    turns = dice.uniform(0.3, 1.5, 2) * np.arange(n)[:, None] / FPS
    return size * np.sin(2 * np.pi * (turns + dice.random(2)))


def woven(shots: list[Shot], dice: Dice) -> Piece:
    """Weave throughout."""
    frames = _run_of(shots[0], 96, dice)
    return Piece("weave", _moved(frames, _weave(len(frames), dice)))


def jumped(shots: list[Shot], dice: Dice) -> Piece:
    """Single jumps in the gate: the video stays where it jumped to, or comes back."""
    frames = _run_of(shots[0], 96, dice)
    ways = np.zeros((len(frames), 2))
    at = int(dice.integers(12, len(frames) - 12))
    back = at + int(dice.integers(1, 10)) if dice.random() < 0.5 else len(frames)
    ways[at:back] = dice.uniform(1, _MARGIN, 2) * dice.choice([-1, 1], 2) * [0.4, 1]
    return Piece("gate jump", _moved(frames, ways))


def spliced(shots: list[Shot], dice: Dice) -> Piece:
    """1 to 4 frames lost, and at times a jump at the splice."""
    frames = _run_of(shots[0], 96, dice)
    at = int(dice.integers(12, len(frames) - 16))
    frames = np.delete(frames, slice(at, at + int(dice.integers(1, 5))), axis=0)
    if dice.random() < 0.5:
        ways = np.zeros((len(frames), 2))
        ways[at:] = dice.uniform(-3, 3, 2)
        frames = _moved(frames, ways)
    return Piece("lost frames", frames)


def _damaged(frame: NDArray[np.uint8], dice: Dice) -> NDArray[np.uint8]:
    height, width = frame.shape[:2]
    kind = dice.integers(0, 5)
    if kind == 0:
        return np.full_like(frame, dice.integers(225, 256))
    if kind == 1:  # scratches
        hurt = frame.copy()
        for _ in range(dice.integers(10, 40)):
            start = (int(dice.integers(0, width)), int(dice.integers(0, height)))
            end = (
                start[0] + int(dice.integers(-20, 20)),
                start[1] + int(dice.integers(-height // 2, height // 2)),
            )
            cv2.line(hurt, start, end, (240, 240, 240), int(dice.integers(1, 4)))
        return hurt
    if kind == 2:  # noise
        noise = dice.normal(0, 60, frame.shape)
        return np.clip(frame + noise, 0, 255).astype(np.uint8)
    if kind == 3:  # torn: the lower part moved aside
        hurt = frame.copy()
        row = int(dice.integers(height // 5, 4 * height // 5))
        hurt[row:] = np.roll(hurt[row:], int(dice.integers(width // 16, width // 2)), axis=1)
        return hurt
    hurt = frame.copy()  # a band of glue
    row = int(dice.integers(0, 2 * height // 3))
    hurt[row : row + height // 3] = 255 - hurt[row : row + height // 3] // 8
    return hurt


def damaged(shots: list[Shot], dice: Dice) -> Piece:
    """1 to 4 damaged frames at a splice."""
    frames = _run_of(shots[0], 96, dice)
    at = int(dice.integers(12, len(frames) - 16))
    for k in range(at, at + int(dice.integers(1, 5))):
        frames[k] = _damaged(frames[k], dice)
    return Piece("damaged frames", frames)


def _lit(frame: NDArray[np.uint8], gain: float, offset: float) -> NDArray[np.uint8]:
    return np.asarray(cv2.convertScaleAbs(frame, alpha=gain, beta=offset))


def _flash(frames: Pictures, at: int, dice: Dice) -> None:
    n = int(dice.integers(1, 6))
    kind = dice.integers(0, 4)
    height, width = frames.shape[1:3]
    y, x = np.mgrid[:height, :width]
    centre = dice.uniform(0.2, 0.8, 2) * (height, width)
    far = np.hypot(y - centre[0], x - centre[1]) / (_SCALE * dice.uniform(80, 250))
    spot = (230 * np.exp(-(far**2)))[..., None]
    for k in range(n):
        frame = frames[at + k]
        if kind == 0:
            frame[:] = _lit(frame, 0.15, 215)
        elif kind == 1:  # in a part of the video
            frame[:] = np.clip(frame + spot, 0, 255).astype(np.uint8)
        elif kind == 2:  # lightning flickers
            frame[:] = _lit(frame, dice.choice([1.0, 2.5]), dice.choice([10, 70]))
        else:  # a pulse of exposure that dies away
            frame[:] = _lit(frame, 1 + 3 * (1 - k / n), 60 * (1 - k / n))


def flashed(shots: list[Shot], dice: Dice) -> Piece:
    """A flash of 1 to 5 frames."""
    frames = _run_of(shots[0], 72, dice)
    _flash(frames, int(dice.integers(10, len(frames) - 16)), dice)
    return Piece("flash", frames)


def hurried(shots: list[Shot], dice: Dice) -> Piece:
    """A cartoon at two or three times its speed."""
    frames = _run_of(shots[0], 72, dice, step=int(dice.integers(2, 4)))
    return Piece("fast cartoon", frames)


def crossed(shots: list[Shot], dice: Dice) -> Piece:
    """Something of 15 to 40 % of the video jumps in or out within 1 to 4 frames."""
    frames = _run_of(shots[0], 72, dice)
    other = shots[1].frames[0]
    width, height = SIZE
    axes = np.sqrt(dice.uniform(0.15, 0.4) * width * height / np.pi * np.array([0.6, 1 / 0.6]))
    steps = int(dice.integers(1, 5))
    at = int(dice.integers(12, len(frames) - 16))
    end = np.array([dice.uniform(0.3, 0.7) * width, 0.55 * height])
    begin = np.array([dice.choice([-0.5, 1.5]) * width, 0.55 * height])
    leaves = dice.random() < 0.5
    for k in range(len(frames)):
        way = np.clip((k - at + 1) / steps, 0, 1)
        way = 1 - way if leaves else way
        centre = begin + way * (end - begin)
        mask = np.zeros((height, width), np.uint8)
        middle = (round(centre[0]), round(centre[1]))
        cv2.ellipse(mask, middle, (round(axes[0]), round(axes[1])), 0, 0, 360, 255, -1)
        shift = np.float32([[1, 0, centre[0] - width / 2], [0, 1, centre[1] - height / 2]])
        body = cv2.warpAffine(other, shift, SIZE, borderMode=cv2.BORDER_REFLECT)
        frames[k][mask > 0] = body[mask > 0]
    return Piece("character", frames)


# --- true changes amid such faults ----------------------------------------------------------------


def _joined(kind: str, *parts: Pictures) -> Piece:
    cuts = np.cumsum([len(part) for part in parts])[:-1]
    return Piece(kind, np.concatenate(parts), tuple((int(cut), int(cut)) for cut in cuts))


def _two(shots: list[Shot], dice: Dice, n: int = 48) -> tuple[Pictures, Pictures]:
    return _run_of(shots[0], n, dice), _run_of(shots[1], n, dice)


def short(shots: list[Shot], dice: Dice) -> Piece:
    """Three shots of 8 frames."""
    parts = [_run_of(shot, 8, dice) for shot in shots[1:4]]
    return _joined("short shots", _run_of(shots[0], 36, dice), *parts, _run_of(shots[4], 36, dice))


def cut_in_weave(shots: list[Shot], dice: Dice) -> Piece:
    """A cut while the film weaves."""
    piece = _joined("cut in weave", *_two(shots, dice))
    ways = _weave(len(piece.frames), dice)
    return Piece(piece.kind, _moved(piece.frames, ways), piece.changes)


def cut_after_flash(shots: list[Shot], dice: Dice) -> Piece:
    """A cut 6 to 12 frames after a flash began, or as much before it."""
    piece = _joined("cut by a flash", *_two(shots, dice))
    gap = int(dice.integers(6, 13))
    _flash(piece.frames, 48 - gap if dice.random() < 0.5 else 48 + gap, dice)
    return piece


def cut_under_title(shots: list[Shot], dice: Dice) -> Piece:
    """A cut while a title is shown."""
    piece = _joined("cut under a title", *_two(shots, dice))
    over = title(str(dice.choice(TITLES)), dice)
    return Piece(piece.kind, np.stack([over.over(p, 1) for p in piece.frames]), piece.changes)


def cut_at_damage(shots: list[Shot], dice: Dice) -> Piece:
    """A cut next to which 1 or 2 frames are damaged."""
    a, b = _two(shots, dice)
    n = int(dice.integers(1, 3))
    for k in range(n):
        b[k] = _damaged(b[k], dice)
    piece = _joined("cut at damage", a, b)
    return Piece(piece.kind, piece.frames, ((48, 48 + n),))


def axial(shots: list[Shot], dice: Dice) -> Piece:
    """A cut from a view to a closer one of the same."""
    a = _run_of(shots[0], 96, dice)
    height, width = a.shape[1:3]
    part = dice.uniform(0.45, 0.65)
    high, wide = round(part * height), round(part * width)
    top, left = dice.integers(0, height - high), dice.integers(0, width - wide)
    for k in range(48, len(a)):
        a[k] = cv2.resize(a[k][top : top + high, left : left + wide], SIZE)
    return Piece("closer view", a, ((48, 48),) if len(a) > 56 else ())


def dissolved(shots: list[Shot], dice: Dice) -> Piece:
    """A dissolve of 12 to 48 frames."""
    length = int(dice.integers(12, 49))
    a, b = _two(shots, dice, 40 + length)
    n = min(len(a), len(b), 40 + length)
    a, b, length = a[:n], b[:n], min(length, n - 20)
    x = (np.arange(length) / length)[:, None, None, None]
    blend = (1 - x) * a[-length:] + x * b[:length]
    frames = np.concatenate([a[:-length], np.rint(blend).astype(np.uint8), b[length:]])
    return Piece("dissolve", frames, ((n - length, n),))


def dissolved_under_title(shots: list[Shot], dice: Dice) -> Piece:
    """A dissolve while a title is shown, or fades in or out."""
    piece = dissolved(shots, dice)
    over = title(str(dice.choice(TITLES[:3])), dice)
    strength = np.ones(len(piece.frames))
    if dice.random() < 0.4:
        first, last = piece.changes[0]
        strength = np.clip((np.arange(len(strength)) - first) / (last - first), 0, 1)
    shown = [over.over(p, s) for p, s in zip(piece.frames, strength, strict=True)]
    return Piece("dissolve under a title", np.stack(shown), piece.changes)


FALSE_KINDS: dict[str, Callable[[list[Shot], Dice], Piece]] = {
    **{size: titled(size) for size in TITLES},
    "weave": woven,
    "gate jump": jumped,
    "lost frames": spliced,
    "damaged frames": damaged,
    "flash": flashed,
    "fast cartoon": hurried,
    "character": crossed,
}
TRUE_KINDS: dict[str, Callable[[list[Shot], Dice], Piece]] = {
    "short shots": short,
    "cut in weave": cut_in_weave,
    "cut by a flash": cut_after_flash,
    "cut under a title": cut_under_title,
    "cut at damage": cut_at_damage,
    "closer view": axial,
    "dissolve": dissolved,
    "dissolve under a title": dissolved_under_title,
}


def pieces(shots: list[Shot], kind: str, seconds: float, seed: int) -> Iterator[Piece]:
    """Pieces of a kind until there are so many seconds; every second is black-and-white."""
    make = {**FALSE_KINDS, **TRUE_KINDS}[kind]
    dice = np.random.default_rng([seed, sum(map(ord, kind))])
    usable = [shot for shot in shots if shot.is_cartoon] if kind == "fast cartoon" else shots
    n = 0
    count = 0
    last: set[str] = set()  # two pieces that show one place have no cut between them
    while n < seconds * FPS:
        chosen: dict[str, Shot] = {}
        for k in dice.permutation(len(usable)):
            if usable[k].scene not in last:
                chosen.setdefault(usable[k].scene, usable[k])
        last = set(list(chosen)[:2])
        piece = make(list(chosen.values()), dice)
        if count % 2:
            gray = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in piece.frames]
            colourless = np.repeat(np.stack(gray)[..., None], 3, axis=-1)
            piece = Piece(piece.kind, colourless, piece.changes)
        yield piece
        n += len(piece.frames)
        count += 1


# --- films and what was found in them -------------------------------------------------------------


@dataclass
class Film:
    """Ground truth of a film made of pieces."""

    changes: list[tuple[int, int, str]] = field(default_factory=list)
    kinds: list[tuple[int, str]] = field(default_factory=list)
    n: int = 0

    def add(self, piece: Piece) -> None:
        """Record the next piece."""
        if self.n:
            self.changes.append((self.n, self.n, "join"))
        self.changes += [(self.n + a, self.n + b, piece.kind) for a, b in piece.changes]
        self.kinds.append((self.n, piece.kind))
        self.n += len(piece.frames)

    def kind_at(self, number: int) -> str:
        """The kind of the piece that a frame is of."""
        return max((start, kind) for start, kind in self.kinds if start <= number)[1]


@dataclass
class Score:
    """False boundaries by kind, and true changes found and lost by kind."""

    false: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)
    where: list[tuple[str, int]] = field(default_factory=list)

    def add(self, other: Score) -> None:
        """Add the score of another film."""
        self.false += other.false
        self.found += other.found
        self.lost += other.lost
        self.seconds += other.seconds
        self.where += other.where


def score(film: Film, boundaries: Iterable[int], into: Score) -> None:
    """Match boundaries with the true changes, at most one frame off."""
    left = sorted(boundaries)
    for first, last, kind in film.changes:
        near = [number for number in left if first - 1 <= number <= last + 1]
        (into.found if near else into.lost)[kind] += 1
        if not near:
            into.where.append((f"lost {kind}", first))
        for number in near[:1]:
            left.remove(number)
    for number in left:
        into.false[film.kind_at(number)] += 1
        into.where.append((f"false {film.kind_at(number)}", number))
    ends = [start for start, _ in film.kinds[1:]] + [film.n]
    for (start, kind), end in zip(film.kinds, ends, strict=True):
        into.seconds[kind] += (end - start) / FPS


def write(path: Path, film_pieces: Iterable[Piece], rate: Fraction = Fraction(FPS)) -> Film:
    """Write a film of pieces as H.264."""
    film = Film()
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=rate, options={"preset": "ultrafast", "crf": "20"})
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for piece in film_pieces:
            film.add(piece)
            for frame in piece.frames:
                out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "bgr24")))
        out.mux(stream.encode(None))
    return film
