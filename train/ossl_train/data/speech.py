"""How loud a window's dialogue is, slot by slot (OSSL v2, arXiv 2608.11576)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ossl_builder.tools.loudness import k_weighting, lufs
from ossl_train.data.sounds import window_sounds
from ossl_train.data.windows import Stretch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Curve = NDArray[np.float32]

RATE = 16_000  # speech has next to nothing above 8 kHz
FLOOR_LUFS = -70.0  # the absolute gate of BS.1770


def dialogue_curves(path: Path, found: Sequence[Stretch], n_slots: int) -> Iterator[Curve]:
    """Loudness and energy of the dialogue stem, window by window.

    Args:
        path: the stem.
        found: windows that follow one another.
        n_slots: equal parts of each window.

    Yields:
        [1 + n_slots, 2]: first of the whole window, then of each slot. Loudness (BS.1770-4, of the
        mean of its channels) goes from 0 (-70 LUFS and less) to 1 (0 LUFS); energy is the root
        mean square, full scale being 1.

    Raises:
        OsslError: `sound_unreadable`.
    """
    import numpy as np
    from scipy.signal import sosfilt

    for sound in window_sounds(path, found, RATE):
        weighted = sosfilt(k_weighting(RATE), sound.astype(np.float64)) ** 2
        plain = sound.astype(np.float64) ** 2
        edges = np.rint(np.linspace(0, len(sound), n_slots + 1)).astype(int)
        parts = [slice(0, len(sound)), *map(slice, edges[:-1], edges[1:])]
        loudness = lufs(np.array([weighted[part].mean() for part in parts]))
        energy = np.sqrt([plain[part].mean() for part in parts])
        scaled = np.clip((loudness - FLOOR_LUFS) / -FLOOR_LUFS, 0, 1)
        yield np.stack([scaled, energy], axis=1).astype(np.float32)
