"""A cache of measurements of single files, by content: a second run does not repeat them."""

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
        folder: created with the first measurement.
    """

    folder: Path

    def has(self, path: Path, how: Mapping[str, Any]) -> bool:
        """Return whether the measurement of a file is in the cache."""
        return self._path(path, how).exists()

    def of(self, path: Path, how: Mapping[str, Any], measure: Callable[[Path], Arrays]) -> Arrays:
        """Return the measurement of a file, from the cache or measured now.

        Args:
            path: the file; its bytes are part of the key.
            how: everything else that the result depends on: model, window, version.
            measure: returns arrays by name.
        """
        cached = self._path(path, how)
        arrays = _read(cached)
        if arrays is None:
            arrays = measure(path)
            files.write_bytes(cached, _npz_bytes(arrays))
        return arrays

    def _path(self, path: Path, how: Mapping[str, Any]) -> Path:
        key = files.sha256_json({"file": file_digest(path), "how": dict(how)})
        return self.folder / key[:2] / f"{key}.npz"


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, remembered while its size and time do not change."""
    status = path.stat()
    return _digest(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=65_536)
def _digest(path: Path, size: int, mtime_ns: int) -> str:
    return files.sha256_file(path)


def _npz_bytes(arrays: Arrays) -> bytes:
    import numpy as np

    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _read(place: Path) -> Arrays | None:
    """Return None if there is no file, or a damaged one."""
    import zipfile

    import numpy as np

    try:
        with np.load(place, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (FileNotFoundError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None
