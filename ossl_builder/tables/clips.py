"""The clips table: cues cut from their film, as video, mix and stems."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ossl_builder.tables.schema import Table, column


@dataclass(frozen=True)
class Clip:
    """One clip. Its audio files start exactly at the time of its first frame.

    An imported clip has no film time. Its music, often a WAV file, may differ from its video by
    one frame; its duration is that of the music.
    """

    clip_id: str = column("`<film_id>_<start ms>-<end ms>`; imported clips keep their original id")
    film_id: str = column("the film")
    start_s: float | None = column("film time of the clip's first frame", "s")
    end_s: float | None = column("film time of the frame after the clip's last frame", "s")
    duration_s: float = column("duration; for imported clips, the duration of the music", "s")
    fps: float = column("mean frame rate: n_frames / duration_s", "1/s")
    fps_num: int = column("numerator of the nominal frame rate")
    fps_den: int = column("denominator of the nominal frame rate")
    n_frames: int = column("number of frames in the MP4, counted by decoding", "frames")
    width: int = column("width; pixels are square", "pixels")
    height: int = column("height", "pixels")
    video_path: str = column("MP4 of video (H.264) and mix (AAC), relative to the corpus")
    video_sha256: str = column("SHA-256 of that file")
    mix_path: str | None = column("FLAC of the film's mix")
    mix_sha256: str | None = column("SHA-256 of that file")
    music_path: str = column("FLAC of the music stem; for imported clips, WAV")
    music_sha256: str = column("SHA-256 of that file")
    dialogue_path: str | None = column("FLAC of the dialogue stem")
    dialogue_sha256: str | None = column("SHA-256 of that file")
    sample_rate: int = column("sample rate of the audio files", "Hz")
    n_samples: int = column("samples per channel of each audio file", "samples")
    cue_id: str | None = column("the cue that the clip was cut from")
    music_lufs: float | None = column("integrated loudness of its music; empty: silent", "LUFS")
    dialogue_share: float | None = column("fraction of its duration with dialogue", "0 to 1")
    first_scene_id: str | None = column("the scene that contains its first frame")
    last_scene_id: str | None = column("the scene that contains its last frame")
    dialogue_residual_music: float | None = column(
        "estimated energy of music left in the dialogue stem, relative to that stem; lower is "
        "cleaner; empty: no dialogue stem, or a silent one",
        "dB", later=True,
    )  # fmt: skip
    music_residual_dialogue: float | None = column(
        "estimated energy of dialogue left in the music stem, relative to that stem",
        "dB", later=True,
    )  # fmt: skip
    dialogue_mos: float | None = column(
        "quality of its dialogue by DNSMOS P.835 (overall); empty: no dialogue, or not rated",
        "1 to 5", later=True,
    )  # fmt: skip


def clip_id(film_id: str, start_s: float, end_s: float) -> str:
    """Return the id of a clip cut from a film: the film's id and the times in milliseconds."""
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
        residuals = (row.dialogue_residual_music, row.music_residual_dialogue)
        if any(value is not None and value > 0 for value in residuals):
            yield f"clip {row.clip_id} has a residual louder than its stem"
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
