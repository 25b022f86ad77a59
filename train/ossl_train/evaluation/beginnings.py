"""Sounds that all generated files share: a prompt tone left at their begin, or copies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ossl_builder.errors import OsslError
from ossl_train.evaluation.audio_files import beginning
from ossl_train.evaluation.kept import digest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Values = NDArray[np.float64]

RATE = 8000
LOOKED_AT_S = 4.0
STEP_S = 0.25
ALIKE = 0.9  # of the power is common: independent sounds share 1 / files of it
FEWEST = 4  # files, below which sounds may be alike by chance


def shared_beginning_s(paths: Sequence[Path]) -> float:
    """For how long all files begin with the same sound, in steps of 0.25 s; 0: they do not."""
    import numpy as np

    length = round(LOOKED_AT_S * RATE)
    rows = []
    for path in paths:
        try:
            start = beginning(path, LOOKED_AT_S, RATE)
        except OsslError:
            continue
        rows.append(np.pad(start.astype(np.float64), (0, length - len(start))))
    return shared_s(np.stack(rows)) if len(rows) >= FEWEST else 0.0


def shared_s(beginnings: Values) -> float:
    """The same for sounds at `RATE`, shape (files, samples)."""
    import numpy as np

    hop = round(STEP_S * RATE)
    for step in range(beginnings.shape[1] // hop):
        parts = beginnings[:, step * hop : (step + 1) * hop]
        lengths = np.linalg.norm(parts, axis=1)
        if (lengths < 1e-4 * np.sqrt(hop)).any():
            return step * STEP_S  # silence is no shared sound
        common = np.linalg.norm((parts / lengths[:, None]).mean(axis=0)) ** 2
        if common < ALIKE:
            return step * STEP_S
    return beginnings.shape[1] // hop * STEP_S


def n_copies(paths: Sequence[Path]) -> int:
    """How many files have the same bytes as another one."""
    counts = Counter(map(digest, paths))
    return sum(count for count in counts.values() if count > 1)
