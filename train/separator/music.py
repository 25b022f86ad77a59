"""Make the music: composed pieces (`composing`) rendered by fluidsynth with free sound fonts.

    python -m separator.music --data DIR --soundfont FILE.sf2 --pieces 0:200

writes DIR/music/NAME-SEED.npy: 16 kHz, mono, float16, RMS 0.1. The same seed gives the same piece
with each sound font, so that the mixer can thicken an orchestra with a second one.
"""

from __future__ import annotations

import argparse
import logging
import subprocess
import tempfile
from pathlib import Path

import mido
import numpy as np
import soundfile

from separator.composing import SCALES, Score
from separator.styles import STYLES

RATE = 16_000
RMS = 0.1
log = logging.getLogger(__name__)


def compose(seed: int, seconds: float = 60.0) -> tuple[mido.MidiFile, str]:
    """A piece of about this length and the name of its style."""
    rng = np.random.default_rng(seed)
    names = list(STYLES)
    weights = np.array([STYLES[name].weight for name in names])
    name = names[int(rng.choice(len(names), p=weights / weights.sum()))]
    style = STYLES[name]
    score = Score(
        rng=rng,
        seconds=seconds,
        tempo=float(rng.uniform(*style.tempo)),
        beats=3 if name == "waltz" or rng.random() < 0.2 else 4,
        loudness=int(rng.integers(*style.loudness)),
        scale=SCALES[int(rng.choice(style.scales))],
    )
    style.write(score)
    return score.midi(), name


def render(midi: Path, soundfont: Path, wav: Path, seed: int) -> None:
    """Play a MIDI file into a 16-kHz WAV file, in a room that depends on the seed."""
    rng = np.random.default_rng(seed + 7)
    settings = {
        "synth.reverb.room-size": rng.choice([0.2, 0.4, 0.6, 0.8, 0.9]),
        "synth.reverb.level": rng.choice([0.1, 0.3, 0.5, 0.7, 0.9]),
        "synth.chorus.active": rng.integers(2),
    }
    options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
    command = ["fluidsynth", "-ni", "-q", "-r", str(RATE), "-g", "0.5", *options]
    command += ["-O", "float", "-T", "wav", "-F", str(wav), str(soundfont), str(midi)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_piece(seed: int, soundfont: Path, target: Path, seconds: float) -> str:
    """Compose, render and save one piece; returns its style.

    The window of `seconds` is normalised to an RMS of 0.1 and stored as float16 [samples].
    """
    midi, style = compose(seed, seconds)
    with tempfile.TemporaryDirectory() as folder:
        midi_path, wav_path = Path(folder) / "piece.mid", Path(folder) / "piece.wav"
        midi.save(midi_path)
        render(midi_path, soundfont, wav_path, seed)
        sound, _ = soundfile.read(wav_path, dtype="float32", always_2d=True)
    mono = sound.mean(axis=1)[: int(seconds * RATE)]
    level = float(np.sqrt(np.mean(mono**2)))
    if level > 1e-4:
        part = target.with_suffix(".part.npy")
        np.save(part, np.clip(mono / level * RMS, -60, 60).astype(np.float16))
        part.rename(target)
    return style


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the training data")
    parser.add_argument("--folder", default="music", help="music, or music-val for validation")
    parser.add_argument("--soundfont", type=Path, required=True, help="an .sf2 file")
    parser.add_argument("--pieces", default="0:200", help="first:last seed, last excluded")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of a piece")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    folder = options.data / options.folder
    folder.mkdir(parents=True, exist_ok=True)
    first, last = map(int, options.pieces.split(":"))
    for seed in range(first, last):
        target = folder / f"{options.soundfont.stem}-{seed:05d}.npy"
        if not target.exists():
            style = make_piece(seed, options.soundfont, target, options.seconds)
            log.info("%s %s", target.name, style)


if __name__ == "__main__":
    main()
