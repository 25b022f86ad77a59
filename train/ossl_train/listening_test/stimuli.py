"""Write the stimuli: music of equal loudness and format, with the video of its clip."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ossl_builder import files
from ossl_builder.engine import tables_io
from ossl_builder.errors import OsslError
from ossl_builder.files import inside
from ossl_builder.media import mux
from ossl_builder.media.flac import FlacWriter
from ossl_builder.media.loudness import integrated, measured
from ossl_builder.tables import CLIPS, Clip
from ossl_train.data.window_loader import window_audio
from ossl_train.data.windows import WindowSpan
from ossl_train.generation.sampling import n_samples
from ossl_train.listening_test.design import KeyEntry, Stimulus, TestKey

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Mono = NDArray[np.float32]

RATE = 32_000
"""Of all stimuli, mono, as MusicGen writes: another format would reveal the film's own music."""
TARGET_LUFS = -23.0
"""EBU R 128; lower for all stimuli of a clip if one of them would clip."""
CEILING_DBFS = -1.0
FILM_ID = "listening"
"""The only film id in the test's corpus: tasks do not show the real one."""


@dataclass(frozen=True)
class StimulusAudio:
    """Music before the gain.

    Attributes:
        audio: [samples] at `RATE`, full scale 1.
        lufs: integrated loudness; None: silent.
        peak: largest sample.
    """

    audio: Mono
    lufs: float | None
    peak: float


def write_stimuli(
    root: Path,
    source: Path,
    clips: Mapping[str, Clip],
    stimuli: Sequence[Stimulus],
    audio_of: Callable[[Stimulus], Path],
) -> Iterator[KeyEntry]:
    """Write FLAC and MP4 of each stimulus; yield its entry of the key.

    Args:
        root: the folder of the test.
        source: the folder that paths of `clips` are relative to.
        clips: clips by name.
        stimuli: in their order, those of a clip together.
        audio_of: returns the file with the music of a stimulus, at least as long as its clip.

    Raises:
        OsslError: `audio_unreadable`, `file_missing`, and of `mux`.
    """
    for name, group in itertools.groupby(stimuli, key=lambda stimulus: stimulus.name):
        clip, of_clip = clips[name], list(group)
        sounds = [read_audio(audio_of(stimulus), clip.duration_s) for stimulus in of_clip]
        for stimulus, audio, gain_db in zip(of_clip, sounds, equal_gains(sounds), strict=True):
            flac, film = stimulus_paths(root, stimulus.clip_id)
            write_audio(flac, audio.audio, gain_db)
            mux.mux(inside(source, clip.video_path), flac, film)
            yield KeyEntry(
                clip_id=stimulus.clip_id,
                name=name,
                film_id=clip.film_id,
                system=stimulus.system,
                lufs=None if audio.lufs is None else round(audio.lufs, 3),
                gain_db=round(gain_db, 3),
                sha256=files.sha256_file(film),
            )


def write_table(root: Path, clips: Mapping[str, Clip], key: TestKey) -> None:
    """Write the clips table of the test, which `ossl label serve` reads."""
    rows = []
    for entry in key.stimuli:
        flac, film = stimulus_paths(root, entry.clip_id)
        clip = clips[entry.name]
        rows.append(
            dataclasses.replace(
                clip,
                clip_id=entry.clip_id,
                film_id=FILM_ID,
                start_s=None,
                end_s=None,
                video_path=film.relative_to(root).as_posix(),
                video_sha256=entry.sha256,
                mix_path=None,
                mix_sha256=None,
                music_path=flac.relative_to(root).as_posix(),
                music_sha256=files.sha256_file(flac),
                dialogue_path=None,
                dialogue_sha256=None,
                sample_rate=RATE,
                n_samples=n_samples(clip.duration_s, RATE),
                cue_id=None,
                music_lufs=None if entry.lufs is None else round(entry.lufs + entry.gain_db, 2),
                dialogue_share=None,
                first_scene_id=None,
                last_scene_id=None,
            )
        )
    tables_io.write_corpus_table(root, CLIPS, rows)


def stimulus_paths(root: Path, clip_id: str) -> tuple[Path, Path]:
    """Return the paths of a stimulus' FLAC and MP4."""
    folder = root / "films" / FILM_ID / "clips"
    return folder / f"{clip_id}.music.flac", folder / f"{clip_id}.mp4"


def read_audio(path: Path, duration_s: float, start_s: float = 0.0) -> StimulusAudio:
    """Read `duration_s` of an audio file from `start_s` on, in the format of the test.

    Raises:
        OsslError: `file_missing`, `audio_unreadable`, also if it is too short.
    """
    import numpy as np

    if not path.is_file():
        raise OsslError("file_missing", f"There is no file {path}.", "Check its name.")
    wanted = n_samples(duration_s, RATE)
    before = [WindowSpan(0, 0.0, start_s)] if start_s > 0 else []
    *_, wave = window_audio(path, [*before, WindowSpan(1, start_s, wanted / RATE)], RATE)
    return measured_audio(np.pad(wave, (0, max(0, wanted - len(wave))))[:wanted])


def measured_audio(audio: Mono) -> StimulusAudio:
    """Measure loudness and peak of audio [samples] at `RATE`."""
    meter = measured([audio[None]], RATE)
    return StimulusAudio(audio, integrated(meter.power()), meter.peak)


def common_loudness(sounds: Sequence[StimulusAudio]) -> float:
    """Return the highest loudness in LUFS at which no music of a clip clips, at most the target."""
    reachable = [
        audio.lufs + CEILING_DBFS - 20 * math.log10(audio.peak)
        for audio in sounds
        if audio.lufs is not None
    ]
    return min([TARGET_LUFS, *reachable])


def equal_gains(sounds: Sequence[StimulusAudio]) -> list[float]:
    """Return the gains in dB that make the music of a clip equally loud; 0 for silence."""
    target = common_loudness(sounds)
    return [0.0 if audio.lufs is None else target - audio.lufs for audio in sounds]


def write_audio(path: Path, audio: Mono, gain_db: float) -> None:
    """Write audio [samples] at `RATE` with a gain to a FLAC file.

    Raises:
        OsslError: `disk_full`, `write_failed`. A full disk can also raise `OSError`.
    """
    import numpy as np

    with files.replacing(path) as temporary, FlacWriter(temporary, RATE, 1) as flac:
        flac.write(audio[None] * np.float32(10 ** (gain_db / 20)))
