"""Collect the speech: free recordings from Debian packages, and synthetic voices.

    python -m separator.speech --data DIR --share /usr/share

writes DIR/speech/NAME.npy and, for languages that training never hears, DIR/speech-val/NAME.npy:
16 kHz, mono, float16, each utterance at an RMS of 0.1 where it sounds, with short pauses between.
Packages may be installed or just unpacked (`dpkg -x`) below `--share`; README.md lists licences.
"""

from __future__ import annotations

import argparse
import io
import logging
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from separator.sentences import sentences
from separator.spoiling import Sound

RATE = 16_000
RMS = 0.1
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recording:
    """Utterances of one package in one language: files below the share folder."""

    name: str
    pattern: str
    validation: bool = False
    container: str | None = None
    """Format to force where the file name does not tell."""


RECORDINGS = (
    *(
        Recording(f"asterisk-{folder[:2]}", f"asterisk/sounds/{folder}/**/*.g722",
                  folder[:2] == "it", "g722")
        for folder in ("en_US_f_Allison", "es_MX_f_Allison", "fr_CA_f_June",
                       "ru_RU_f_IvrvoiceRU", "it_IT_m_Carlo")
    ),
    *(
        Recording(f"ktuberling-{language}", f"ktuberling/sounds/{language}/*.*",
                  language in ("de", "sv", "ca", "da"))
        for language in ("da", "de", "el", "en", "es", "fi", "fr", "ga", "gl", "ca", "it", "lt",
                         "nds", "nl", "nn", "pt", "ro", "ru", "sl", "sr", "sv", "uk", "wa")
        if language != "it"
    ),
    *(
        Recording(f"tuxpaint-{language}", f"tuxpaint/stamps/**/*_desc_{language}.*",
                  language in ("ca", "da"))
        for language in ("be", "bg", "ca", "da", "el", "es", "fr", "lt", "ml", "nl", "pt_BR",
                         "ro", "ru")
    ),
    Recording("tuxpaint-en", "tuxpaint/stamps/**/*_desc.ogg"),
)  # fmt: skip

FLITE_VOICES = ("awb", "rms", "slt", "kal16")
ESPEAK_LANGUAGES = (
    "en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-029", "de", "fr-fr", "es", "it", "sv",
    "nl", "pt", "pl",
)  # fmt: skip
ESPEAK_VOICES = (
    "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "klatt", "klatt2",
    "klatt3", "klatt4", "Alex", "Alicia", "Andrea", "Andy", "Annie", "Denis", "Diogo", "Gene",
    "Hugo", "Jacky", "Lee", "Marco", "Mario", "Michael", "Mike", "Nguyen", "Storm", "adam", "anika",
    "antonio", "aunty", "belinda", "benjamin", "boris", "david", "ed", "edward", "grandma",
    "grandpa", "gustave", "john", "linda", "max", "miguel", "pablo", "paul", "pedro", "quincy",
    "rob", "robert", "sandro", "shelby", "steph", "travis", "victor", "whisper", "zac",
)  # fmt: skip


def decode(source: Path | io.BytesIO, container: str | None = None) -> Sound:
    """Sound of a file as mono float32 [samples] at 16 kHz; empty where there is none."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
    chunks: list[Sound] = []
    file = str(source) if isinstance(source, Path) else source
    with av.open(file, format=container, metadata_errors="ignore") as media:
        for frame in media.decode(audio=0):
            frame.pts = None
            chunks += [out.to_ndarray()[0] for out in resampler.resample(frame)]
        chunks += [out.to_ndarray()[0] for out in resampler.resample(None)]
    return np.concatenate(chunks) if chunks else np.zeros(0, np.float32)


def trim(sound: Sound) -> Sound:
    """Without the silence at both ends: 25-ms energy 40 dB below the peak, kept 50 ms wide."""
    if len(sound) < RATE // 10:
        return sound[:0]
    energy = np.convolve(sound**2, np.ones(400) / 400, "same")
    heard = np.flatnonzero(energy > energy.max() * 1e-4)
    return sound[max(0, heard[0] - 800) : heard[-1] + 800] if len(heard) else sound[:0]


def level(sound: Sound) -> Sound:
    """Scaled to an RMS of 0.1 over the samples that sound."""
    rms = np.sqrt(np.mean(sound**2) + 1e-12)
    voiced = sound[np.abs(sound) > rms * 0.2]
    loud = np.sqrt(np.mean(voiced**2)) if len(voiced) else rms
    return np.asarray(sound / loud * RMS, np.float32)


def save(utterances: Iterable[Sound], target: Path, rng: np.random.Generator) -> None:
    """Shuffle, join with pauses of 0.05 to 0.7 s, and save; a file that exists stays."""
    if target.exists():
        return
    heard = [level(one) for one in map(trim, utterances) if len(one) >= RATE // 20]
    rng.shuffle(heard)
    parts = [
        part
        for one in heard
        for part in (one, np.zeros(int(rng.uniform(0.05, 0.7) * RATE), np.float32))
    ]
    if not parts:
        return
    sound = np.clip(np.concatenate(parts), -8, 8).astype(np.float16)
    target.parent.mkdir(parents=True, exist_ok=True)
    np.save(target, sound)
    log.info("%s: %d utterances, %.1f min", target.stem, len(heard), len(sound) / RATE / 60)


def recorded(recording: Recording, share: Path) -> Iterator[Sound]:
    """The utterances of a recording that the package holds; tones and silences left out."""
    for path in sorted(share.glob(recording.pattern)):
        if not any(word in path.name for word in ("silence", "beep", "tone")):
            yield decode(path, recording.container)


def spoken_by_flite(voice: str, rng: np.random.Generator, passages: int) -> Iterator[Sound]:
    """Passages by a voice of CMU Flite, each at its own pace."""
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "said.wav"
        for _ in range(passages):
            text, stretch = sentences(rng, 3), rng.uniform(0.75, 1.25)
            pace = ["--setf", f"duration_stretch={stretch:.2f}"]
            command = ["flite", "-voice", voice, *pace, "-t", text, "-o", str(wav)]
            subprocess.run(command, check=True, capture_output=True)
            yield decode(wav)


def spoken_by_espeak(rng: np.random.Generator, passages: int) -> Iterator[Sound]:
    """Passages by eSpeak NG, each in another voice, accent, pace and pitch."""
    for _ in range(passages):
        voice = f"{rng.choice(ESPEAK_LANGUAGES)}+{rng.choice(ESPEAK_VOICES)}"
        manner = ["-s", str(rng.integers(110, 210)), "-p", str(rng.integers(15, 85))]
        command = ["espeak-ng", "-v", voice, *manner, "--stdout", sentences(rng, 2)]
        said = subprocess.run(command, check=True, capture_output=True).stdout
        yield decode(io.BytesIO(said), "wav")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the training data")
    parser.add_argument("--share", type=Path, default=Path("/usr/share"), help="packages' share/")
    parser.add_argument("--passages", type=int, default=60, help="synthetic passages per voice")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    for recording in RECORDINGS:
        folder = options.data / ("speech-val" if recording.validation else "speech")
        rng = np.random.default_rng(1)
        save(recorded(recording, options.share), folder / f"{recording.name}.npy", rng)
    for number, voice in enumerate(FLITE_VOICES):
        rng = np.random.default_rng(100 + number)
        said = spoken_by_flite(voice, rng, options.passages)
        save(said, options.data / "speech" / f"flite-{voice}.npy", rng)
    for number in range(5):
        rng = np.random.default_rng(200 + number)
        said = spoken_by_espeak(rng, options.passages)
        save(said, options.data / "speech" / f"espeak-{number}.npy", rng)


if __name__ == "__main__":
    main()
