"""The fingerprints stage: compute hashes of each clip's music and video."""

from __future__ import annotations

from fractions import Fraction
from importlib.metadata import version
from typing import Any

from pydantic import Field

from ossl_builder.engine.settings import Settings
from ossl_builder.engine.stage import Item, Outcome, Stage
from ossl_builder.media.flac import read_flac
from ossl_builder.stages.fingerprints import landmarks, perceptual_hash
from ossl_builder.stages.fingerprints.minhash import minhash
from ossl_builder.tables.clips import Clip
from ossl_builder.tables.fingerprints import FINGERPRINTS, Fingerprint


class FingerprintsSettings(Settings):
    """Section `fingerprints` of a recipe: number of hashes per clip.

    More hashes find shorter shared segments, and need more space.
    """

    audio_per_s: float = Field(
        2.0, ge=0, le=20, description="hashes of its music kept for each second of a clip"
    )
    video_per_s: float = Field(
        1.5, ge=0, le=20, description="hashes of its frames kept for each second of a clip"
    )
    fewest: int = Field(
        32, ge=1, le=1000, description="hashes of each kind kept of the shortest clip, if it has so"
    )


def take_fingerprints(item: Item) -> Outcome:
    """Compute the fingerprints of a film's clips, from music stem and video.

    Raises:
        OsslError: `audio_unreadable`, `video_undecodable`.
    """
    settings: FingerprintsSettings = item.config
    clips: tuple[Clip, ...] = item.rows["clips"]
    rows = []
    for number, clip in enumerate(clips):
        rows.append(
            Fingerprint(
                film_id=clip.film_id,
                clip_id=clip.clip_id,
                audio_hashes=_audio_hashes(item, clip, settings),
                video_hashes=_video_hashes(item, clip, settings),
            )
        )
        item.progress((number + 1) / len(clips))
    return Outcome(tuple(rows))


def _max_hashes(clip: Clip, per_s: float, settings: FingerprintsSettings) -> int:
    return max(round(per_s * clip.duration_s), settings.fewest) if per_s else 0


def _audio_hashes(item: Item, clip: Clip, settings: FingerprintsSettings) -> tuple[int, ...]:
    import numpy as np

    audio = np.concatenate(list(read_flac(item.file(clip.music_path))), axis=1)
    contents, moments_s = landmarks.landmarks(landmarks.at_rate(audio, clip.sample_rate))
    return minhash(contents, moments_s, _max_hashes(clip, settings.audio_per_s, settings))


def _video_hashes(item: Item, clip: Clip, settings: FingerprintsSettings) -> tuple[int, ...]:
    from ossl_builder.media.video_reader import VideoReader

    step = Fraction(clip.fps_den, clip.fps_num)
    reader = VideoReader(item.file(clip.video_path), step)
    frames = ((float(frame.ticks * reader.time_base), frame.small[:, :, 0]) for frame in reader)
    contents, moments_s = perceptual_hash.frame_pairs(*perceptual_hash.sampled(frames))
    return minhash(contents, moments_s, _max_hashes(clip, settings.video_per_s, settings))


def _tools(config: Any) -> dict[str, str]:
    names = ("av", "numpy", "opencv-python-headless", "scipy", "soundfile")
    return {name: version(name) for name in names}


FINGERPRINTS_STAGE = Stage(
    name="fingerprints",
    version=2,
    reads=("clips",),
    writes=FINGERPRINTS,
    config=FingerprintsSettings,
    run=take_fingerprints,
    tools=_tools,
)
