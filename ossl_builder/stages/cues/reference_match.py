"""Find the reference recording of a cue, and the position in it: the rule of OSSL v1.

The chroma of the cue is compared with that of a recording at every offset of a 93-ms grid. The
similarity is the mean cosine of centred chroma vectors over the whole cue; frames that are silent
or outside the recording count as 0. Then the offset is refined to one sample by correlation of the
waveforms. If the waveforms do not match (another transfer), the offset is interpolated between grid
points.

After D. P. W. Ellis, G. E. Poliner, "Identifying cover songs with chroma features" (2007), and
M. Müller, "Fundamentals of Music Processing" (2015), chapters 3 and 7. The film must contain this
very recording, at its original speed and pitch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import gcd
from typing import TYPE_CHECKING

from ossl_builder.media import reference_tracks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Block = NDArray[np.float32]
    Audio = NDArray[np.float32]
    Frames = NDArray[np.float64]

RATE = 11_025
WINDOW, HOP = 4096, 1024
# From two octaves below middle C, where a bin is as wide as a semitone, to where music has mostly
# overtones.
LOWEST_HZ, HIGHEST_HZ = 60.0, 2500.0
A4_HZ = 440.0
# Levels are compressed, so that a loud note does not mask the others: log(1 + COMPRESSION * level),
# with levels relative to the mean level of the audio.
COMPRESSION = 20.0
# A frame below this fraction of the loudest one is silent.
SILENT = 0.01
# Waveforms with a lower correlation are not the same transfer of the recording.
SAME_WAVE = 0.2
FRAMES_AT_A_TIME = 512


@dataclass(frozen=True)
class Match:
    """The most similar recording of a cue.

    Attributes:
        recording: its path in the folder.
        offset_s: position in the recording at the cue's start; below 0: the cue starts earlier.
        similarity: mean cosine of the chroma, -1 to 1.
    """

    recording: str
    offset_s: float
    similarity: float


def mono_at_rate(blocks: Iterable[Block], rate: int) -> Audio:
    """Convert blocks [channels, samples] to mono audio at RATE, [samples]."""
    import numpy as np
    from scipy.signal import resample_poly

    mono = np.concatenate([block.mean(axis=0) for block in blocks] or [np.zeros(0, np.float32)])
    common = gcd(rate, RATE)
    return np.asarray(resample_poly(mono, RATE // common, rate // common), np.float32)


def chroma(audio: Audio) -> Frames:
    """Return centred chroma vectors of norm 1 (0 if silent), [frames, 12], one frame per HOP."""
    import numpy as np

    level = float(np.sqrt(np.mean(np.square(audio, dtype=np.float64)))) if len(audio) else 0.0
    padded = np.pad(audio / np.float32(level or 1.0), WINDOW // 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    shape = np.hanning(WINDOW).astype(np.float32)
    classes = _pitch_classes()
    parts = []
    for start in range(0, len(windows), FRAMES_AT_A_TIME):
        spectrum = np.abs(np.fft.rfft(windows[start : start + FRAMES_AT_A_TIME] * shape))
        parts.append(np.log1p(COMPRESSION * spectrum * 2 / WINDOW) @ classes.T)
    frames = np.concatenate(parts)
    frames -= frames.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(frames, axis=1, keepdims=True)
    loudest = float(lengths.max())
    is_heard = lengths > SILENT * loudest if loudest > 0 else np.zeros_like(lengths, np.bool_)
    return np.where(is_heard, frames / np.maximum(lengths, 1e-12), 0.0)


def _pitch_classes() -> Frames:
    """Return the weight of each spectral bin in each pitch class, [12, bins]."""
    import numpy as np

    hz = np.fft.rfftfreq(WINDOW, 1 / RATE)
    used = (hz > LOWEST_HZ) & (hz < HIGHEST_HZ)
    pitch = 69 + 12 * np.log2(np.where(used, hz, A4_HZ) / A4_HZ)
    away = np.abs((pitch - np.arange(12)[:, None] + 6) % 12 - 6)
    return np.where(used, np.clip(1 - away, 0, None), 0.0)


def best_matches(
    cues: list[Audio], folder: str | None, progress: Callable[[float], None]
) -> list[Match]:
    """Return for each cue the most similar recording, even if the similarity is low.

    Args:
        cues: music of the cues, mono at RATE.
        folder: folder of the recordings.
        progress: receives the fraction of the recordings that are compared.

    Raises:
        OsslError: `no_recordings`, `recording_unreadable`.
    """
    cue_chroma = [chroma(cue) for cue in cues]
    best = [("", 0.0, -2.0)] * len(cues)
    for name, audio in reference_tracks.each(folder, RATE, progress):
        frames = chroma(audio)
        for number, cue in enumerate(cue_chroma):
            hops, similarity = _alignment(cue, frames)
            if similarity > best[number][2]:
                best[number] = (name, hops, similarity)
    by_name: dict[str, list[int]] = {}
    for number, (name, _, _) in enumerate(best):
        by_name.setdefault(name, []).append(number)
    matches: dict[int, Match] = {}
    for name, numbers in by_name.items():
        audio = reference_tracks.audio_of(folder, name, RATE)
        for number in numbers:
            _, hops, similarity = best[number]
            offset_s = _refine(cues[number], audio, hops) / RATE
            matches[number] = Match(name, round(offset_s, 4), round(similarity, 4))
    return [matches[number] for number in range(len(cues))]


def _alignment(cue: Frames, recording: Frames) -> tuple[float, float]:
    """Return the offset of the best alignment, in (fractional) hops, and its similarity."""
    import numpy as np
    from scipy.signal import fftconvolve

    scores = fftconvolve(recording, cue[::-1], axes=0).sum(axis=1) / len(cue)
    at = int(np.argmax(scores))
    between = 0.0
    if 0 < at < len(scores) - 1:
        before, peak, after = scores[at - 1 : at + 2]
        bend = before - 2 * peak + after
        between = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return at + between - (len(cue) - 1), float(scores[at])


def _refine(cue: Audio, recording: Audio, hops: float) -> float:
    """Return the offset in samples by waveform correlation; the coarse one if they do not match."""
    import numpy as np
    from scipy.signal import fftconvolve

    coarse = round(hops * HOP)
    first = coarse - 2 * HOP  # earliest offset tried
    length = len(cue) + 4 * HOP
    begin, end = max(first, 0), min(first + length, len(recording))
    near = np.zeros(length)
    if begin < end:
        near[begin - first : end - first] = recording[begin:end]
    scores = fftconvolve(near, cue[::-1].astype(np.float64), mode="valid")
    energy = np.concatenate(([0.0], np.cumsum(near**2)))
    energies = energy[len(cue) :] - energy[: len(energy) - len(cue)]
    scale = np.sqrt(np.maximum(energies, 0) * float(np.sum(cue.astype(np.float64) ** 2)))
    scores = np.where(scale > 0, scores / np.maximum(scale, 1e-12), 0.0)
    at = int(np.argmax(scores))
    return float(first + at) if scores[at] >= SAME_WAVE else hops * HOP
