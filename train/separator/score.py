"""Score separation models on a film whose stems are known: SI-SDR, cues, speed.

    python -m separator.score --film DIR --model bundled spleeter bundled+spleeter [--json]

DIR holds the film, music.flac, speech.flac and truth.json (intervals in film seconds; the mix is
music plus speech, then AAC). Nothing is ever trained or chosen on such a film. The models run as
the stage `stems` runs them, and the cues are found by the rule of the stage `cues`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from scipy import signal

from ossl_builder.media.audio_reader import FilmAudio
from ossl_builder.models import demucs, separators
from ossl_builder.stages.cues.music_activity import HOP_S, find_music, stem_curves
from ossl_builder.stages.cues.settings import CuesSettings
from separator.loss import si_sdr

FRAMES_PER_S = 10
MAX_SHIFT_S = 0.2
"""Largest shift between the film's audio and its stems that is corrected (delay of the codec)."""
Audio = NDArray[np.float32]


@dataclass(frozen=True)
class Film:
    """A film's audio and truth: mix [2, samples] and mono stems [samples], from film time 0."""

    mix: Audio
    music: Audio
    speech: Audio
    rate: int
    truth: dict[str, Any]

    @classmethod
    def load(cls, folder: Path) -> Film:
        """Decode the film as the product does, and place the stems at film time `start_s`."""
        truth = json.loads((folder / "truth.json").read_text())
        music, rate = soundfile.read(folder / "music.flac", dtype="float32", always_2d=True)
        speech, _ = soundfile.read(folder / "speech.flac", dtype="float32", always_2d=True)
        mix = np.concatenate(list(FilmAudio(folder / truth["film"], rate, 2).blocks()), axis=1)
        begin = round(truth["audio"]["start_s"] * rate)
        stems = [_placed(stem.mean(1), begin, mix.shape[1]) for stem in (music, speech)]
        shift = lag(mix.mean(0), stems[0] + stems[1], rate)
        stems = [_placed(stem, shift, mix.shape[1]) for stem in stems]
        return cls(mix, stems[0], stems[1], rate, truth)

    def frames(self, kind: str) -> NDArray[np.bool_]:
        """Return for each frame of 0.1 s whether it is in a span of `cues` or `speech`."""
        return frames_of(
            [(span["start"], span["end"]) for span in self.truth[kind]],
            self.mix.shape[1] / self.rate,
        )


def frames_of(spans: Sequence[tuple[float, float]], duration_s: float) -> NDArray[np.bool_]:
    """Return for each frame of 0.1 s whether it is in one of the spans, given in seconds."""
    inside = np.zeros(int(duration_s * FRAMES_PER_S), bool)
    for start, end in spans:
        inside[round(start * FRAMES_PER_S) : round(end * FRAMES_PER_S)] = True
    return inside


def _placed(audio: Audio, begin: int, length: int) -> Audio:
    """Return audio that begins at sample `begin` (may be negative), padded or cut to a length."""
    shifted = np.pad(audio, (begin, 0)) if begin >= 0 else audio[-begin:]
    return np.pad(shifted, (0, max(0, length - len(shifted))))[:length]


def lag(mix: Audio, reference: Audio, rate: int) -> int:
    """Return the samples by which the mix is late, from the 20 s with most energy."""
    length = min(20 * rate, len(mix))
    energy = np.convolve(np.square(reference[:: rate // 10]), np.ones(200), "valid")
    first = min(int(np.argmax(energy)) * (rate // 10) if len(energy) else 0, len(mix) - length)
    window = slice(first, first + length)
    matches = signal.correlate(mix[window], reference[window], "full", method="fft")
    reach = round(MAX_SHIFT_S * rate)
    centre = len(matches) // 2
    return int(matches[centre - reach : centre + reach + 1].argmax()) - reach


def separate(model: separators.Separator, mix: Audio) -> tuple[dict[str, Audio], float]:
    """Return the stems of a mix, [2, samples] each, by role, and processor seconds per second."""
    begun = time.process_time()
    blocks = (mix[:, at : at + 44_100] for at in range(0, mix.shape[1], 44_100))
    stems = np.concatenate(list(demucs.separate(model.members, blocks)), axis=-1)
    spent = time.process_time() - begun
    return dict(zip(model.roles, stems, strict=True)), spent / (mix.shape[1] / model.rate)


def gains(film: Film, dialogue: Audio, music: Audio) -> list[dict[str, float]]:
    """Return SI-SDR in dB before and after, for each overlap of speech and music.

    Args:
        film: the film.
        dialogue, music: the separated stems, mono.
    """
    mix, rows = film.mix.mean(0), []
    for overlap in film.truth["overlaps"]:
        window = slice(int(overlap["start"] * film.rate), int(overlap["end"] * film.rate))
        row = {"speech_over_music_db": overlap["snr_db_speech_over_music"]}
        for name, estimate, truth in (
            ("music", music, film.music), ("dialogue", dialogue, film.speech)
        ):  # fmt: skip
            before, after = (
                float(si_sdr(torch.from_numpy(audio[window]), torch.from_numpy(truth[window])))
                for audio in (mix, estimate)
            )
            row |= {f"{name}_before": before, f"{name}_after": after}
            row[f"{name}_gain"] = after - before
        rows.append({key: round(value, 2) for key, value in row.items()})
    return rows


def cue_spans(stems: dict[str, Audio], rate: int) -> list[tuple[float, float]]:
    """Return the cues of separated stems in seconds, by the default rule of the stage `cues`."""
    settings = CuesSettings()
    curves = {role: stem_curves([np.clip(stem, -1, 1)], rate) for role, stem in stems.items()}
    music = curves.pop("music")
    others = sum((curve.power for curve in curves.values()), np.zeros_like(music.power))
    spans = [(a * HOP_S, b * HOP_S) for a, b in find_music(music, others, settings)]
    return [(start, end) for start, end in spans if end - start >= settings.min_s]


def cues(film: Film, stems: dict[str, Audio]) -> dict[str, float]:
    """Return cue F1 over frames, and the share of frames of speech alone claimed as music."""
    claimed = frames_of(cue_spans(stems, film.rate), film.mix.shape[1] / film.rate)
    true, speech = film.frames("cues"), film.frames("speech")
    alone = speech & ~true
    return {
        "cue_f1": round(f1(claimed, true), 4),
        "claimed_in_speech_alone": round(float(claimed[alone].mean()), 4),
    }


def f1(claimed: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """Return the F1 score of frames; 1 where there is nothing and nothing is claimed."""
    total = claimed.sum() + true.sum()
    return float(2 * (claimed & true).sum() / total) if total else 1.0


def score(film: Film, name: str, noise_dbfs: Sequence[float]) -> dict[str, Any]:
    """Return all figures of a model, clean and with white noise added to the mix."""
    model = separators.load(name, {}, {}, "cpu")
    stems, pace = separate(model, film.mix)
    rows = gains(film, stems["dialogue"].mean(0), stems["music"].mean(0))
    result: dict[str, Any] = {
        "model": name,
        "music_gain": round(float(np.mean([row["music_gain"] for row in rows])), 2),
        "dialogue_gain": round(float(np.mean([row["dialogue_gain"] for row in rows])), 2),
        "processor_s_per_s": round(pace, 4),
        "overlaps": rows,
        "clean": cues(film, stems),
    }
    for dbfs in noise_dbfs:
        rng = np.random.default_rng(0)
        noise = rng.standard_normal(film.mix.shape[1]).astype(np.float32) * 10 ** (dbfs / 20)
        noisy, _ = separate(model, (film.mix + noise).astype(np.float32))
        result[f"noise {dbfs:g} dBFS"] = cues(film, noisy)
    return result


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return the figures as a Markdown table, one row per model."""
    conditions = [key for key in results[0] if key == "clean" or key.startswith("noise")]
    header = ["model", "music", "dialogue", "CPU s/s", *(f"cue F1, {c}" for c in conditions),
              *(f"speech taken for music, {c}" for c in conditions)]  # fmt: skip
    lines = [header, ["---"] * len(header)]
    for result in results:
        lines.append(
            [result["model"], f"{result['music_gain']:+.1f}", f"{result['dialogue_gain']:+.1f}",
             f"{result['processor_s_per_s']:.3f}",
             *(f"{result[c]['cue_f1']:.3f}" for c in conditions),
             *(f"{result[c]['claimed_in_speech_alone']:.1%}" for c in conditions)]
        )  # fmt: skip
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--film", type=Path, required=True, help="folder of a film with truth.json")
    parser.add_argument("--model", nargs="+", default=["bundled"], help="values of stems.model")
    parser.add_argument("--noise-dbfs", type=float, nargs="*", default=[-50.0, -42.0],
                        help="white noise to add, dBFS RMS")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    options = parser.parse_args()
    film = Film.load(options.film)
    results = [score(film, name, options.noise_dbfs) for name in options.model]
    text = json.dumps(results, indent=1) if options.json else table(results)
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
