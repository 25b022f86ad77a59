"""Mix music and speech on the fly into what a film might sound like, with the true stems.

The recipe was tried on two films (README.md): levels within 11 dB of each other, rooms, colour and
band limits of old sound tracks, cues that begin and end, a second talker, a second piece of music,
and noise that belongs to neither stem, also alone. One core mixes some hundred times faster than
real time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import fft
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from separator.spoiling import (
    RATE,
    Sound,
    band_limit,
    colour,
    noise,
    noises_on_set,
    rms,
    room,
    worn,
)

TAIL = 12_000
"""Samples kept for the reverberation of a window."""
RMS = 0.1
LEVELS_DB = (-13.0, 11.0)
"""Speech over music; speech under loud music, the hardest case, is more frequent."""
EFFECTS_DB = (-18.0, 10.0)
"""Effects over music."""
NOISE_DB = (-45.0, -3.0)
"""Noise over music."""

WEIGHTS = {
    "acted": 1.5,
    "rec": 1.5,
    "whistle": 2.0,
    "asterisk": 1.0,
    "ktuberling": 1.3,
    "tuxpaint": 1.0,
    "flite": 0.6,
    "espeak": 0.35,
}
"""How often a second of a sound is drawn, by the first part of its name; 1 if not listed."""


@dataclass(frozen=True)
class Sounds:
    """Files of one kind and how often each is drawn."""

    names: list[str]
    sounds: list[NDArray[np.float16]]
    """float16 [samples] each, memory-mapped."""
    odds: NDArray[np.float64]

    @classmethod
    def load(cls, folder: Path) -> Sounds:
        """All .npy files of a folder, each drawn by its length times its weight."""
        paths = sorted(path for path in folder.glob("*.npy") if ".part" not in path.name)
        if not paths:
            raise FileNotFoundError(f"no .npy sounds in {folder}: make them first (README.md)")
        sounds = [np.load(path, mmap_mode="r") for path in paths]
        odds = np.array(
            [len(sound) * WEIGHTS.get(path.stem.split("-")[0], 1.0)
             for path, sound in zip(paths, sounds, strict=True)]
        )  # fmt: skip
        return cls([path.stem for path in paths], sounds, odds / odds.sum())

    def draw(self, rng: np.random.Generator) -> int:
        """Index of one, by its odds."""
        return int(rng.choice(len(self.sounds), p=self.odds))


class Mixer:
    """An endless source of windows: mixes [batch, 1, samples], stems [batch, 3, 1, samples]."""

    def __init__(
        self, music: Sounds, speech: Sounds, effects: Sounds, seconds: float, seed: int
    ) -> None:
        """`seconds` is the length of a window; the seed fixes all that follows."""
        self.music, self.speech, self.effects = music, speech, effects
        self.samples = int(seconds * RATE)
        self.rng = np.random.default_rng(seed)
        self.size = fft.next_fast_len(self.samples + TAIL, real=True)
        self.frequencies = fft.rfftfreq(self.size, 1 / RATE).astype(np.float32)
        rooms = np.random.default_rng(1)
        self.rooms = [fft.rfft(room(rooms), self.size) for _ in range(120)]
        self.twins: dict[str, list[int]] = {}
        for index, name in enumerate(music.names):
            self.twins.setdefault(name.split("-")[-1], []).append(index)

    def batch(self, size: int) -> tuple[Tensor, Tensor]:
        """Mixes [size, 1, samples] and dialogue, music and effects [size, 3, 1, samples]."""
        windows = [self.window() for _ in range(size)]
        mixes = torch.from_numpy(np.stack([mix for mix, _ in windows]))
        stems = torch.from_numpy(np.stack([stems for _, stems in windows]))
        return mixes[:, None], stems[:, :, None]

    def window(self) -> tuple[Sound, Sound]:
        """One mix [samples] and its stems [3, samples]: dialogue, music, effects."""
        rng = self.rng
        has_music, has_speech = self._who()
        band = band_limit(rng, self.frequencies)
        music = self._music(band) if has_music else np.zeros(self.samples, np.float32)
        speech = self._speech(band) if has_speech else np.zeros(self.samples, np.float32)
        speech *= np.float32(10 ** (rng.uniform(*LEVELS_DB) / 20))
        for stem in (music, speech):
            if rng.random() < 0.15:
                stem *= self._edge()
        effects = np.zeros(self.samples, np.float32)
        if rng.random() < (0.2 if has_music or has_speech else 0.6):
            effects = self._effects(band) * np.float32(10 ** (rng.uniform(*EFFECTS_DB) / 20))
        rest = np.zeros(self.samples, np.float32)
        if rng.random() < 0.55 or not (has_music or has_speech):
            level = RMS * 10 ** (rng.uniform(*NOISE_DB) / 20)
            rest += noise(rng, self.samples, level)
        if rng.random() < 0.2:
            level = RMS * 10 ** (rng.uniform(-25, 10) / 20)
            effects += noises_on_set(rng, self.samples, level)
        gain = np.float32(10 ** (rng.uniform(-18, 6) / 20))
        aged = worn(rng, np.stack([speech, music, effects, rest]) * gain)
        return aged.sum(0), aged[:3]

    def _who(self) -> tuple[bool, bool]:
        """Whether there is music, whether there is speech."""
        draw = self.rng.random()
        if draw < 0.66:
            return True, True
        if draw < 0.8:
            return True, False
        return False, draw < 0.93

    def _music(self, band: Sound) -> Sound:
        rng = self.rng
        index, speed = self.music.draw(rng), self._speed(0.6, -0.35, 0.35)
        start = rng.random()
        sound = self._crop(self.music.sounds[index], speed, start)
        twins = self.twins[self.music.names[index].split("-")[-1]]
        if len(twins) > 1 and rng.random() < 0.35:  # other players, the same notes
            twin = self.music.sounds[twins[int(rng.integers(len(twins)))]]
            detuned = speed * rng.uniform(0.997, 1.003)
            sound = sound + self._crop(twin, detuned, start) * np.float32(rng.uniform(0.3, 1))
        is_whistle = self.music.names[index].startswith("whistle")
        if rng.random() < (0.7 if is_whistle else 0.25):  # people whistle to an orchestra
            other = self.music.sounds[self.music.draw(rng)]
            layer = self._crop(other, self._speed(1.0, -0.3, 0.3), rng.random())
            sound = sound + layer * np.float32(rng.uniform(0.2, 1))
        return self._place(sound, band, in_room=0.35)

    def _speech(self, band: Sound) -> Sound:
        rng = self.rng
        talkers = 2 if rng.random() < 0.12 else 1
        sound = np.zeros(self.samples, np.float32)
        for talker in range(talkers):
            said = self.speech.sounds[self.speech.draw(rng)]
            part = self._crop(said, self._speed(0.7, -0.3, 0.25), rng.random())
            sound += part * np.float32(rng.uniform(0.3, 1) if talker else 1)
        return self._place(sound, band, in_room=0.55)

    def _effects(self, band: Sound) -> Sound:
        """Effects of one kind, or of two at a time."""
        rng = self.rng
        sound = np.zeros(self.samples, np.float32)
        for _ in range(2 if rng.random() < 0.3 else 1):
            index = self.effects.draw(rng)
            part = self._crop(self.effects.sounds[index], self._speed(0.6, -0.6, 0.6), rng.random())
            sound += part * np.float32(rng.uniform(0.3, 1))
        return self._place(sound, band, in_room=0.5)

    def _speed(self, odds: float, low: float, high: float) -> float:
        """A change of pitch and pace, in octaves between low and high, or none."""
        return 2 ** self.rng.uniform(low, high) if self.rng.random() < odds else 1.0

    def _crop(self, sound: NDArray[np.float16], speed: float, start: float) -> Sound:
        """A window of a sound, from this fraction of where it could start, played at a speed."""
        needed = max(int(self.samples * speed) + 2, self.samples)
        if len(sound) <= needed:
            sound = np.tile(sound, needed // len(sound) + 1)
        offset = int(start * (len(sound) - needed))
        piece = sound[offset : offset + needed].astype(np.float32)
        if abs(speed - 1) > 1e-4:
            piece = np.interp(np.arange(self.samples) * speed, np.arange(needed), piece)
        return np.asarray(piece[: self.samples], np.float32)

    def _place(self, sound: Sound, band: Sound, in_room: float) -> Sound:
        """Through the track's band limit, a colour and perhaps a room; then to the usual RMS."""
        gain = band
        if self.rng.random() < 0.8:
            gain = gain * colour(self.rng, self.frequencies, self.rng.uniform(0, 5))
        if self.rng.random() < in_room:
            gain = gain * self.rooms[int(self.rng.integers(len(self.rooms)))]
        heard = fft.irfft(fft.rfft(sound, self.size) * gain, self.size)[: self.samples]
        heard = np.asarray(heard, np.float32)
        # A window that fell into a pause stays nearly silent rather than being blown up.
        return heard * np.float32(RMS / rms(heard)) if rms(heard) > 2e-3 else heard

    def _edge(self) -> Sound:
        """A fade in or out within the window, from abrupt to half a second."""
        middle = self.rng.uniform(0.2, 0.8) * self.samples
        width = self.rng.choice([0.005, 0.05, 0.5]) * RATE
        ramp = np.clip((np.arange(self.samples) - middle) / width, 0, 1)
        return np.asarray(ramp if self.rng.random() < 0.5 else 1 - ramp, np.float32)


class Batches(IterableDataset[tuple[Tensor, Tensor]]):  # type: ignore[misc] # torch has no types
    """Batches of windows without end; each process that loads them draws its own."""

    def __init__(self, data: Path, seconds: float, size: int, seed: int) -> None:
        """`size` windows of `seconds` each, of the sounds in DATA/music, speech and effects."""
        self.data, self.seconds, self.size, self.seed = data, seconds, size, seed

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Mix until nobody asks any more."""
        worker = get_worker_info()
        seed = self.seed + 7919 * (worker.id if worker else 0)
        mixer = Mixer(*load_all(self.data), self.seconds, seed)
        while True:
            yield mixer.batch(self.size)


def load_all(data: Path, suffix: str = "") -> list[Sounds]:
    """Return music, speech and effects of a data folder; with suffix "-val", the unseen ones."""
    return [Sounds.load(data / f"{kind}{suffix}") for kind in ("music", "speech", "effects")]


def remix(mixes: Tensor, stems: Tensor) -> tuple[Tensor, Tensor]:
    """Combine the stems and the noise of a batch differently, each up to 5 dB louder or softer.

    On a GPU a step is faster than the mixing of its windows; this gives several steps per batch.
    Shapes are those of `Mixer.batch`.
    """
    rest = mixes - stems.sum(1)
    parts = torch.cat((stems, rest[:, None]), dim=1)
    size, kinds = parts.shape[:2]
    order = torch.rand(size, kinds, device=parts.device).argsort(0)
    drawn = parts[order, torch.arange(kinds, device=parts.device)]
    decibels = torch.empty(size, kinds, 1, 1, device=parts.device).uniform_(-5, 5)
    drawn = drawn * 10 ** (decibels / 20)
    return drawn.sum(1), drawn[:, : kinds - 1]


def fixed_batches(mixer: Mixer, batches: int, size: int) -> Sequence[tuple[Tensor, Tensor]]:
    """So many batches, for validation."""
    return [mixer.batch(size) for _ in range(batches)]
