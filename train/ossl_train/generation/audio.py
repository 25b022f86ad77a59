"""Codes become audio: decoded in parts, as loud as the model made it, never clipped."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ossl_builder.errors import OsslError
from ossl_builder.files import replacing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from ossl_train.musicgen import Backbone

    Mono = NDArray[np.float32]

PART_S, CONTEXT_S = 60.0, 2.0
"""A film is decoded in parts; each hears so much of what is around it."""
CEILING = 10 ** (-0.1 / 20)
"""Highest sample that is written, of full scale: 0.1 dB below, since 16 bits round."""
REACH_S = 0.005
"""So long before and after a peak the gain is lowered."""


@dataclass(frozen=True)
class Limited:
    """What was done to keep an audio below full scale.

    Attributes:
        peak: highest sample before, full scale being 1.
        seconds: for how long the gain was lowered by more than 0.1 dB.
        lowest_gain_db: where it was lowest; 0: nothing was done.
    """

    peak: float
    seconds: float
    lowest_gain_db: float


def decoded(backbone: Backbone, codes: Tensor) -> Mono:
    """Audio [samples] of codes [K, T]."""
    import torch

    rate = backbone.shape.frame_rate
    part, context = round(PART_S * rate), round(CONTEXT_S * rate)
    hop = round(backbone.shape.sample_rate / rate)
    n_frames, pieces = codes.shape[1], []
    for first in range(0, n_frames, part):
        begin, end = max(0, first - context), min(n_frames, first + part + context)
        with torch.inference_mode():
            audio = backbone.decode_audio(codes[None, :, begin:end].to(backbone.device))[0, 0]
        last = min(n_frames, first + part)
        pieces.append(audio[(first - begin) * hop : (last - begin) * hop].float().cpu())
    whole: Mono = torch.cat(pieces).numpy()
    return whole


def limited(audio: Mono, rate: int) -> tuple[Mono, Limited]:
    """The audio with peaks above `CEILING` lowered; untouched where it has none.

    The gain falls and rises within 5 ms of a peak: elsewhere the loudness is the model's own.

    Args:
        audio: [samples], full scale being 1.
        rate: samples per second.
    """
    import numpy as np
    from scipy.ndimage import minimum_filter1d, uniform_filter1d

    peak = float(np.abs(audio).max(initial=0.0))
    if peak <= CEILING:
        return audio, Limited(peak, 0.0, 0.0)
    needed = np.minimum(1.0, CEILING / np.maximum(np.abs(audio), CEILING).astype(np.float64))
    reach = 2 * round(REACH_S * rate) + 1
    # The mean over a stretch whose every value is low enough is low enough.
    gain = uniform_filter1d(minimum_filter1d(needed, reach), reach)
    lowered = np.clip(audio * gain, -CEILING, CEILING).astype(np.float32)
    audible = float((gain < 10 ** (-0.1 / 20)).sum() / rate)
    return lowered, Limited(peak, round(audible, 3), round(20 * float(np.log10(gain.min())), 2))


def write_wav(path: Path, audio: Mono, rate: int) -> None:
    """Write one channel [samples] as 16-bit WAV; equal sounds give equal bytes.

    Raises:
        OsslError: `write_failed`; a full disk comes as `OSError`.
    """
    import soundfile

    try:
        with replacing(path) as temporary:
            soundfile.write(str(temporary), audio, rate, subtype="PCM_16", format="WAV")
            with temporary.open("rb+") as file:
                # libsndfile does not tell that a disk is full: whole files have this length.
                if file.seek(0, 2) < 2 * len(audio):
                    raise OSError(errno.ENOSPC, "full")
    except soundfile.LibsndfileError as error:
        raise OsslError(
            "write_failed",
            f"{path} could not be written: {str(error).rstrip('.')}.",
            "Make room on the disk, and run the same command again.",
        ) from error
