"""The sound of a clip's windows: one channel, at the wanted rate, its loudness kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ossl_builder.errors import OsslError, Rejected
from ossl_builder.tools.sound import FilmSound
from ossl_train.data.windows import Stretch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Mono = NDArray[np.float32]


def window_sounds(path: Path, found: Sequence[Stretch], rate: int) -> Iterator[Mono]:
    """The sound of each window, [samples], full scale being 1; nothing is normalised.

    The file is read once; a window's worth of it is in memory at a time.

    Args:
        path: a sound file of the clip; channels become one by their mean.
        found: windows that follow one another.
        rate: wanted sample rate, in Hz; resampled by libswresample.

    Raises:
        OsslError: `sound_unreadable`, also where the file is shorter than its windows.
    """
    import numpy as np

    held: Mono = np.zeros(0, np.float32)
    try:
        blocks = FilmSound(path, rate, 1).blocks()
        for window in found:
            wanted = round(window.end_s * rate) - round(window.start_s * rate)
            while len(held) < wanted and (block := next(blocks, None)) is not None:
                held = np.concatenate((held, block[0]))
            if len(held) < wanted - 1:  # a sample may be lost to rounding
                raise _unreadable(path)
            yield held[:wanted]
            held = held[wanted:]
    except (OSError, OsslError, Rejected) as error:
        raise _unreadable(path) from error


def _unreadable(path: Path) -> OsslError:
    return OsslError(
        "sound_unreadable",
        f"{path} is missing, damaged, or shorter than its clip.",
        "Build the clip again, or leave its film out.",
    )
