"""Fingerprints: hashes by which clips that share music or picture find each other."""

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
    """How many hashes describe a clip: more find shorter shared stretches, and take more room."""

    audio_per_s: float = Field(
        2.0, ge=0, le=20, description="hashes of its music kept for each second of a clip"
    )
    picture_per_s: float = Field(
        1.5, ge=0, le=20, description="hashes of its pictures kept for each second of a clip"
    )
    fewest: int = Field(
        32, ge=1, le=1000, description="hashes of each kind kept of the shortest clip, if it has so"
    )


def take_fingerprints(item: Item) -> Outcome:
    """Take the fingerprints of a film's clips: of their music stem, and of their picture.

    Raises:
        OsslError: `sound_unreadable`, `picture_undecodable`.
    """
    settings: FingerprintsSettings = item.config
    clips: tuple[Clip, ...] = item.rows["clips"]
    rows = []
    for number, clip in enumerate(clips):
        rows.append(
            Fingerprint(
                film_id=clip.film_id,
                clip_id=clip.clip_id,
                audio_hashes=_of_music(item, clip, settings),
                picture_hashes=_of_picture(item, clip, settings),
            )
        )
        item.progress((number + 1) / len(clips))
    return Outcome(tuple(rows))


def _most(clip: Clip, per_s: float, settings: FingerprintsSettings) -> int:
    return max(round(per_s * clip.duration_s), settings.fewest) if per_s else 0


def _of_music(item: Item, clip: Clip, settings: FingerprintsSettings) -> tuple[int, ...]:
    import numpy as np

    sound = np.concatenate(list(read_flac(item.file(clip.music_path))), axis=1)
    what, moments_s = landmarks.landmarks(landmarks.at_rate(sound, clip.sample_rate))
    return minhash(what, moments_s, _most(clip, settings.audio_per_s, settings))


def _of_picture(item: Item, clip: Clip, settings: FingerprintsSettings) -> tuple[int, ...]:
    from ossl_builder.media.video_reader import VideoReader

    step = Fraction(clip.fps_den, clip.fps_num)
    reader = VideoReader(item.file(clip.video_path), step)
    pictures = (
        (float(picture.ticks * reader.time_base), picture.small[:, :, 0]) for picture in reader
    )
    what, moments_s = perceptual_hash.frame_pairs(*perceptual_hash.sampled(pictures))
    return minhash(what, moments_s, _most(clip, settings.picture_per_s, settings))


def _tools(config: Any) -> dict[str, str]:
    names = ("av", "numpy", "opencv-python-headless", "scipy", "soundfile")
    return {name: version(name) for name in names}


FINGERPRINTS_STAGE = Stage(
    name="fingerprints",
    doc="Take fingerprints of the clips' music and picture.",
    version=1,
    reads=("clips",),
    writes=FINGERPRINTS,
    config=FingerprintsSettings,
    run=take_fingerprints,
    tools=_tools,
)
