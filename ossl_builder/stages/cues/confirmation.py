"""Confirm cues with YAMNet: reject segments in which it finds no music."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ossl_builder.engine.stage import Reject
from ossl_builder.models import yamnet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ossl_builder.stages.cues.settings import CuesSettings
    from ossl_builder.tables.cues import Cue

    Block = NDArray[np.float32]

REASON = "not_music"
SHARE = 0.1
"""The probability of music is the one that this share of a cue reaches: a cue may have pauses."""


def music_probability(blocks: Iterable[Block], rate: int) -> float:
    """Return the probability of music that `SHARE` of the audio reaches.

    Args:
        blocks: the audio, [channels, samples] each.
        rate: its sample rate, in Hz.

    Raises:
        OsslError: those of `yamnet.load`.
    """
    import numpy as np

    from ossl_builder.media.audio_reader import resampled

    mono = (block.mean(axis=0, keepdims=True) for block in blocks)
    audio = np.concatenate([block[0] for block in resampled(mono, rate, yamnet.RATE)])
    music = yamnet.load().patches(audio)[:, yamnet.MUSIC].max(axis=1)
    return float(np.quantile(music, 1 - SHARE))


def refused(cue: Cue, probability: float, settings: CuesSettings) -> Reject | None:
    """Return a reject if music is too improbable in a cue, else None."""
    if probability >= settings.confirm_min:
        return None
    message = (
        f"YAMNet finds music with a probability of {probability:.2f}, below {settings.confirm_min}."
    )
    return Reject(REASON, message, cue.start_s, cue.end_s)
