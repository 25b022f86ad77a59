"""Convert the published weights of Spleeter once to a safetensors file in the user's cache."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

from ossl_builder import files
from ossl_builder.engine.cache import MadeFiles
from ossl_builder.errors import OsslError
from ossl_builder.models import published

NAME = "spleeter"
FILE = "spleeter.safetensors"
VERSION = 2
"""Raised when the conversion gives other weights."""


def weights_file() -> Path:
    """Return the safetensors file, in the form that `model_file` reads; make it if necessary.

    The cache stores its SHA-256; a damaged file is made again.

    Raises:
        OsslError: `model_unavailable`, `checksum_differs`, `model_invalid`.
    """
    checkpoints = published.fetch(NAME)
    folder = published.cache_folder() / NAME
    made = MadeFiles(folder, folder / "made.json")
    digest = files.sha256_json([VERSION, published.digest(NAME)])
    if not made.is_fresh(FILE, digest, check_bytes=True):
        files.write_bytes(folder / FILE, _converted(checkpoints))
        made.add(FILE, digest)
        made.save()
    return folder / FILE


def _converted(checkpoints: list[Path]) -> bytes:
    from pickle import UnpicklingError

    from safetensors.torch import save

    from ossl_builder.models.spleeter import Spleeter, convert

    try:
        state = convert([_read(path) for path in checkpoints])
    except (KeyError, TypeError, ValueError, UnpicklingError) as error:
        raise OsslError(
            "model_invalid",
            f"The checkpoints of Spleeter cannot be converted ({type(error).__name__}: {error}).",
            "Please report this.",
        ) from error
    metadata = {
        "klass": f"{Spleeter.__module__}.{Spleeter.__qualname__}",
        "args": json.dumps([]),
        "kwargs": json.dumps({}),
    }
    content: bytes = save(state, metadata)
    return content


def _read(path: Path) -> dict[str, Any]:
    """Read a checkpoint, a pickled mapping of NumPy arrays, without running code in it."""
    import numpy as np
    import torch

    reconstruct = importlib.import_module("numpy._core.multiarray")._reconstruct
    allowed: list[Any] = [
        (reconstruct, "numpy.core.multiarray._reconstruct"),
        np.ndarray,
        np.dtype,
        np.dtypes.Float32DType,
        np.dtypes.Float64DType,
    ]
    with torch.serialization.safe_globals(allowed):
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return checkpoint
