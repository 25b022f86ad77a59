"""Clips: cues cut out of their film, as frame plus mix plus stems."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ossl_builder.tables.schema import Table, column


@dataclass(frozen=True)
class Clip:
    """One clip. Its sounds begin with its first frame, to the sample.

    An imported clip has no film time, and its music, often a WAV file, may be longer or shorter
    than its frames by one of them: its length is that of its music.
    """

    clip_id: str = column("`<film_id>_<start ms>-<end ms>`; imported corpora keep their own")
    film_id: str = column("the film")
    start_s: float | None = column("film time of its first frame", "s")
    end_s: float | None = column("film time of the video after its last", "s")
    duration_s: float = column("length; of imported clips, that of their music", "s")
    fps: float = column("mean frame rate: n_frames / duration_s", "1/s")
    fps_num: int = column("numerator of the nominal frame rate")
    fps_den: int = column("denominator of the nominal frame rate")
    n_frames: int = column("frames in the MP4, counted by decoding", "frames")
    width: int = column("width, pixels being square", "pixels")
    height: int = column("height", "pixels")
    video_path: str = column("H.264/AAC MP4 of video and mix, relative to the corpus")
    video_sha256: str = column("its SHA-256")
    mix_path: str | None = column("FLAC of the film's mix")
    mix_sha256: str | None = column("its SHA-256")
    music_path: str = column("FLAC of the music stem; of imported clips, WAV")
    music_sha256: str = column("its SHA-256")
    dialogue_path: str | None = column("FLAC of the dialogue stem")
    dialogue_sha256: str | None = column("its SHA-256")
    sample_rate: int = column("sample rate of the audio files", "Hz")
    n_samples: int = column("samples per channel of each audio file", "samples")
    cue_id: str | None = column("the cue it was cut from")
    music_lufs: float | None = column("integrated loudness of its music; empty: silent", "LUFS")
    dialogue_share: float | None = column("part of its time in which dialogue is heard", "0 to 1")
    first_scene_id: str | None = column("the scene its first frame belongs to")
    last_scene_id: str | None = column("the scene its last frame belongs to")


def clip_id(film_id: str, start_s: float, end_s: float) -> str:
    """The id of a clip cut from a film: its film and its times in milliseconds."""
    return f"{film_id}_{round(start_s * 1000)}-{round(end_s * 1000)}"


def _check(rows: Sequence[Clip]) -> Iterable[str]:
    for row in rows:
        if row.duration_s <= 0 or row.n_frames <= 0 or row.n_samples <= 0:
            yield f"clip {row.clip_id} is empty"
        if abs(row.n_samples / row.sample_rate - row.duration_s) > 1 / row.sample_rate:
            yield f"clip {row.clip_id}: audio and video differ in length"
        if (row.start_s is None) != (row.end_s is None):
            yield f"clip {row.clip_id} has one end"
        if row.start_s is not None and row.end_s is not None:
            if abs(row.end_s - row.start_s - row.duration_s) > 1e-6:
                yield f"clip {row.clip_id} has a duration that is not its times'"
            if row.clip_id != clip_id(row.film_id, row.start_s, row.end_s):
                yield f"clip {row.clip_id} has an id that is not its times'"
        if row.dialogue_share is not None and not 0 <= row.dialogue_share <= 1:
            yield f"clip {row.clip_id} has a share outside 0 to 1"


CLIPS = Table(
    name="clips",
    doc="One row per clip.",
    row=Clip,
    version=1,
    key=("film_id", "clip_id"),
    check=_check,
)
