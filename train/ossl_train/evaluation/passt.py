"""PaSST, a tagger of the AudioSet classes, for the KL divergence; an optional extra.

Koutini et al., "Efficient Training of Audio Transformers with Patchout" (Interspeech 2022),
through the package `hear21passt`.
"""

from __future__ import annotations

import io
from contextlib import AbstractContextManager, redirect_stdout
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder.errors import OsslError
from ossl_train.evaluation.audio_files import covering_windows, mono_blocks
from ossl_train.metrics.embeddings import softmax

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Values = NDArray[np.float64]

RATE = 32_000
WINDOW_S = 10  # the longest input of PaSST
ARCHITECTURE = "passt_s_swa_p16_128_ap476"
VERSION = 1
NOT_INSTALLED = "The KL divergence needs PaSST, and hear21passt is not installed."
INSTALL = "Run `pip install hear21passt torchvision`, or remove --kl."


@dataclass(frozen=True)
class Passt:
    """A loaded PaSST; `digest` is that of its weights."""

    digest: str
    device: str
    _model: Any

    def how(self) -> dict[str, Any]:
        """Return all that the probabilities of a file depend on, besides the file."""
        return {"measure": "passt", "version": VERSION, "model": self.digest}

    def audio(self, path: Path) -> dict[str, Values]:
        """Return mean probabilities over a file's windows: {"probabilities": shape (1, classes)}.

        A window shorter than 10 s is padded with silence.
        """
        import numpy as np
        import torch

        probabilities = []
        for window in covering_windows(mono_blocks(path, RATE), RATE * WINDOW_S):
            padded = np.zeros((1, RATE * WINDOW_S), np.float32)
            padded[0, : len(window)] = window
            with torch.inference_mode(), _stdout_hidden():
                logits = self._model(torch.from_numpy(padded).to(self.device))
            probabilities.append(softmax(np.asarray(logits.float().cpu().numpy(), np.float64)))
        if not probabilities:
            raise OsslError("audio_unreadable", f"{path.name} is empty.", "Generate it again.")
        return {"probabilities": np.concatenate(probabilities).mean(axis=0, keepdims=True)}


def is_installed() -> bool:
    """Return whether the package is installed."""
    try:
        version("hear21passt")
    except PackageNotFoundError:
        return False
    return True


def load_passt(device: str = "cpu") -> Passt:
    """Load PaSST; its package downloads the weights if they are missing.

    Raises:
        OsslError: `not_installed`, `model_unavailable`.
    """
    if not is_installed():
        raise OsslError(
            "not_installed",
            NOT_INSTALLED,
            INSTALL,
        )
    try:
        with _stdout_hidden():
            from hear21passt.base import get_basic_model

            model = get_basic_model(mode="logits", arch=ARCHITECTURE).to(device).eval()
    except ImportError as error:
        raise OsslError(
            "not_installed",
            f"hear21passt is installed, but a package that it needs is missing: {error}.",
            INSTALL,
        ) from error
    except (OSError, RuntimeError) as error:
        raise OsslError(
            "model_unavailable",
            "PaSST's weights are not on this machine and cannot be downloaded "
            f"({type(error).__name__}).",
            "Run the command once with a network, or remove --kl.",
        ) from error
    return Passt(_digest(model), device, model)


def _stdout_hidden() -> AbstractContextManager[Any]:
    """Hide what the package prints to stdout, where a script expects data."""
    return redirect_stdout(io.StringIO())


def _digest(model: Any) -> str:
    import hashlib

    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
