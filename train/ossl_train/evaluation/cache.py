"""What was measured of a file, kept by content: a second run does not measure it again."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder import files

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class ResultCache:
    """A folder of measurements.

    Attributes:
        folder: made when the first one is kept.
    """

    folder: Path

    def has(self, path: Path, how: Mapping[str, Any]) -> bool:
        """Whether `of` would not have to measure."""
        return self._place(path, how).exists()

    def of(self, path: Path, how: Mapping[str, Any], measure: Callable[[Path], Arrays]) -> Arrays:
        """What `measure` gives for a file, measured now or earlier.

        Args:
            path: the file; what counts is its bytes.
            how: whatever else the result depends on: model, window, version.
            measure: gives arrays by name.
        """
        place = self._place(path, how)
        known = _read(place)
        if known is None:
            known = measure(path)
            files.write_bytes(place, _written(known))
        return known

    def _place(self, path: Path, how: Mapping[str, Any]) -> Path:
        key = files.sha256_json({"file": file_digest(path), "how": dict(how)})
        return self.folder / key[:2] / f"{key}.npz"


def file_digest(path: Path) -> str:
    """SHA-256 of a file, read once while its size and time stay."""
    status = path.stat()
    return _digest(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=65_536)
def _digest(path: Path, size: int, mtime_ns: int) -> str:
    return files.sha256_file(path)


def _written(arrays: Arrays) -> bytes:
    import numpy as np

    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _read(place: Path) -> Arrays | None:
    """None where there is nothing, or something that was damaged."""
    import zipfile

    import numpy as np

    try:
        with np.load(place, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (FileNotFoundError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None
