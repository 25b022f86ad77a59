"""DNSMOS P.835: the quality of speech, as listeners would rate it from 1 to 5, without a reference.

Reddy, Gopal and Cutler, "DNSMOS P.835: a non-intrusive perceptual objective speech quality metric
to evaluate noise suppressors" (2022); model by Microsoft under MIT. The weights are the ONNX file
of the package `speechmos`. Windows are those of its published evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder.engine import stage
from ossl_builder.models import published

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Audio = NDArray[np.float32]

NAME = "dnsmos"
RATE = 16_000
WINDOW_S, HOP_S = 9.01, 1.0
# From the network's outputs to opinion scores: polynomials of the published evaluation.
SPEECH = (-0.08397278, 1.22083953, 0.0052439)
BACKGROUND = (-0.13166888, 1.60915514, -0.39604546)
OVERALL = (-0.06766283, 1.11546468, 0.04602535)


@dataclass(frozen=True)
class Quality:
    """Mean opinion scores, 1 (bad) to 5 (excellent).

    Attributes:
        speech: of the voice itself.
        background: 5 if nothing else is heard.
        overall: of both.
    """

    speech: float
    background: float
    overall: float


@dataclass(frozen=True)
class Dnsmos:
    """The loaded network."""

    session: Any

    def quality(self, audio: Audio) -> Quality:
        """Return the mean quality over windows of WINDOW_S, every HOP_S.

        Args:
            audio: mono audio at RATE, [samples], not empty; if it is shorter than a window, it is
                doubled until it is not.
        """
        import numpy as np

        size = int(WINDOW_S * RATE)
        while len(audio) < size:
            audio = np.concatenate([audio, audio])
        count = int(len(audio) // RATE - WINDOW_S) + 1
        name = self.session.get_inputs()[0].name
        scores = []
        for first in range(0, count * round(HOP_S * RATE), round(HOP_S * RATE)):
            (outputs,) = self.session.run(None, {name: audio[None, first : first + size]})
            scores.append(
                [
                    np.polyval(curve, output)
                    for curve, output in zip((SPEECH, BACKGROUND, OVERALL), outputs[0], strict=True)
                ]
            )
        return Quality(*map(float, np.mean(scores, axis=0)))


def versions() -> dict[str, str]:
    """Return the versions of the installed packages that the quality depends on."""
    return stage.versions("onnxruntime")


def fingerprint() -> str | None:
    """Return the SHA-256 of the weights; None if they are not on this machine. No network."""
    return published.digest(NAME)


def load() -> Dnsmos:
    """Load the network; fetch its weights if necessary. It is cached in memory.

    Raises:
        OsslError: `not_installed`, `model_unavailable`, `checksum_differs`, `model_invalid`.
    """
    (path,) = published.fetch(NAME)
    return _load(path)


@lru_cache(maxsize=1)
def _load(path: Path) -> Dnsmos:
    from ossl_builder.models.onnx_session import open_published

    return Dnsmos(open_published(path, "DNSMOS"))
