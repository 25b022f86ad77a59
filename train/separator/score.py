"""Score the separator on a film whose stems are known: SI-SDR, cues, speed.

    python -m separator.score --film DIR [--weights FILE] [--noise-dbfs -42]

DIR holds dev.mp4, music.flac, speech.flac and truth.json (intervals in film seconds; the mix is
music plus speech, then AAC). Nothing is ever trained or chosen on such a film. The figures go to
standard output as JSON, and Demucs is run just as the product runs it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
import torch
from demucs.apply import apply_model
from demucs.hf import load_safetensors_model
from numpy.typing import NDArray
from scipy import signal

import ossl_builder.separator
from separator.loss import si_sdr

WEIGHTS = Path(ossl_builder.separator.__file__).with_name("bundled.safetensors")
FRAMES_PER_S = 10
Sound = NDArray[np.float32]


@dataclass(frozen=True)
class Film:
    """A film's sound and truth: mix [2, samples], stems [samples], mono, aligned to the mix."""

    mix: Sound
    music: Sound
    speech: Sound
    rate: int
    truth: dict[str, Any]

    @classmethod
    def load(cls, folder: Path) -> Film:
        """Decode the film and shift it onto its stems by what AAC has delayed it."""
        truth = json.loads((folder / "truth.json").read_text())
        music, rate = soundfile.read(folder / "music.flac", dtype="float32", always_2d=True)
        speech, _ = soundfile.read(folder / "speech.flac", dtype="float32", always_2d=True)
        mix = decode(folder / truth["film"], rate)
        stems = [np.pad(stem.mean(1), (0, rate)) for stem in (music, speech)]
        delay = lag(mix.mean(0), stems[0] + stems[1], rate)
        mix = mix[:, delay:] if delay >= 0 else np.pad(mix, ((0, 0), (-delay, 0)))
        length = min(mix.shape[1], len(music))
        return cls(mix[:, :length], stems[0][:length], stems[1][:length], rate, truth)

    def frames(self, kind: str) -> NDArray[np.bool_]:
        """Whether each frame of 0.1 s lies in a cue ("cues") or in speech ("speech")."""
        inside = np.zeros(self.mix.shape[1] * FRAMES_PER_S // self.rate, bool)
        for span in self.truth[kind]:
            start, end = (round(span[edge] * FRAMES_PER_S) for edge in ("start", "end"))
            inside[start:end] = True
        return inside


def decode(path: Path, rate: int) -> Sound:
    """The sound of a film, [2, samples] at this rate."""
    resampler = av.AudioResampler(format="fltp", layout="stereo", rate=rate)
    with av.open(str(path)) as media:
        frames = [out for frame in media.decode(audio=0) for out in resampler.resample(frame)]
    frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray() for frame in frames], axis=1)


def lag(mix: Sound, reference: Sound, rate: int) -> int:
    """Samples by which the mix is late, from the loudest ten seconds of cross-correlation."""
    window = slice(15 * rate, 25 * rate)
    matches = signal.correlate(mix[window], reference[window], "full", method="fft")
    return int(matches.argmax()) - (10 * rate - 1)


def separate(model: torch.nn.Module, mix: Sound) -> tuple[Sound, Sound, float]:
    """Mono dialogue and music of a mix [2, samples], and seconds of work per second of sound."""
    begun = time.perf_counter()
    stems = apply_model(model, torch.from_numpy(mix)[None], shifts=0, split=True, overlap=0.25)[0]
    taken = time.perf_counter() - begun
    dialogue, music = stems.mean(1).numpy()
    return dialogue, music, taken / (mix.shape[1] / model.samplerate)


def gains(film: Film, dialogue: Sound, music: Sound) -> list[dict[str, float]]:
    """SI-SDR in dB before and after, for each overlap of speech and music."""
    mix, rows = film.mix.mean(0), []
    for overlap in film.truth["overlaps"]:
        window = slice(int(overlap["start"] * film.rate), int(overlap["end"] * film.rate))
        row = {"speech_over_music_db": overlap["snr_db_speech_over_music"]}
        for name, estimate, truth in (
            ("music", music, film.music), ("dialogue", dialogue, film.speech)
        ):  # fmt: skip
            before, after = (
                float(si_sdr(torch.from_numpy(sound[window]), torch.from_numpy(truth[window])))
                for sound in (mix, estimate)
            )
            row |= {f"{name}_before": before, f"{name}_after": after}
            row[f"{name}_gain"] = after - before
        rows.append({key: round(value, 2) for key, value in row.items()})
    return rows


def cue_frames(music: Sound, rate: int) -> NDArray[np.bool_]:
    """Which frames of 0.1 s a plain rule claims as music.

    On and off where the level over a second passes 20 and 26 dB under the film's loud passages, or
    6 and 3 dB over its floor if that is higher; nothing shorter than two seconds.
    """
    hop = rate // FRAMES_PER_S
    count = len(music) // hop
    energy = np.square(music[: count * hop], dtype=np.float64).reshape(count, hop).mean(1)
    level = 10 * np.log10(np.convolve(energy, np.ones(10) / 10, "same") + 1e-12)
    loud, floor = np.percentile(level, 95), np.percentile(level, 5)
    on, off = max(loud - 20, floor + 6), max(loud - 26, floor + 3)
    claimed = np.zeros(count, bool)
    active = False
    for frame, now in enumerate(level):
        active = now > (off if active else on)
        claimed[frame] = active
    for value in (False, True):  # close short gaps, then drop short cues
        for start, end in _runs(claimed == value):
            if end - start < 2 * FRAMES_PER_S and (value or (start > 0 and end < count)):
                claimed[start:end] = not value
    return claimed


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.r_[0, flags.astype(int), 0]))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def cues(film: Film, music: Sound) -> dict[str, float]:
    """Cue F1 over frames, and the share of frames of speech alone that are claimed as music."""
    claimed, true = cue_frames(music, film.rate), film.frames("cues")
    count = min(len(claimed), len(true))
    claimed, true, speech = claimed[:count], true[:count], film.frames("speech")[:count]
    f1 = 2 * (claimed & true).sum() / (claimed.sum() + true.sum())
    alone = speech & ~true
    return {
        "cue_f1": round(float(f1), 4),
        "claimed_in_speech_alone": round(float(claimed[alone].mean()), 4),
    }


def level_db(sound: Sound) -> float:
    """RMS in dB re full scale."""
    return round(float(10 * np.log10(np.mean(np.square(sound)) + 1e-12)), 1)


def score(film: Film, model: torch.nn.Module, noise_dbfs: list[float]) -> dict[str, Any]:
    """All figures of a film, clean and with white noise at each level added to the mix."""
    dialogue, music, pace = separate(model, film.mix)
    rows = gains(film, dialogue, music)
    result: dict[str, Any] = {
        "overlaps": rows,
        "mean_music_gain": round(float(np.mean([row["music_gain"] for row in rows])), 2),
        "mean_dialogue_gain": round(float(np.mean([row["dialogue_gain"] for row in rows])), 2),
        "seconds_per_second": round(pace, 4),
        "threads": torch.get_num_threads(),
        "clean": cues(film, music),
        "unprocessed": cues(film, film.mix.mean(0)),
    }
    neither = np.repeat(~(film.frames("cues") | film.frames("speech")), film.rate // FRAMES_PER_S)
    for dbfs in noise_dbfs:
        rng = np.random.default_rng(0)
        noise = rng.standard_normal(film.mix.shape[1]).astype(np.float32) * 10 ** (dbfs / 20)
        noisy = (film.mix + noise).astype(np.float32)
        _, music, _ = separate(model, noisy)
        result[f"noise {dbfs:g} dBFS"] = cues(film, music) | {
            "rest_before_dbfs": level_db(noisy.mean(0)[: len(neither)][neither]),
            "rest_in_music_dbfs": level_db(music[: len(neither)][neither]),
        }
    return result


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--film", type=Path, required=True, help="folder of a film with truth.json")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="a .safetensors file")
    parser.add_argument("--noise-dbfs", type=float, nargs="*", default=[-50.0, -42.0],
                        help="white noise to add, dBFS RMS")  # fmt: skip
    parser.add_argument("--threads", type=int, default=1, help="of torch; README.md says why 1")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = load_safetensors_model(options.weights)
    figures = score(Film.load(options.film), model, options.noise_dbfs)
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
