"""The settings of an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zlib import crc32

if TYPE_CHECKING:
    import numpy as np

CLAP = "laion/clap-htsat-fused"

WithProgress = Callable[[Sequence[Any], str], Iterator[Any]]
"""Yields the items one by one and shows progress (`output.counted`)."""


@dataclass(frozen=True)
class EvaluationSettings:
    """All that the result depends on, besides the files.

    Attributes:
        clap: a CLAP on the hub or a local folder; None: no figures that need one.
        revision: revision of the CLAP on the hub.
        with_kl: whether to measure the KL divergence by PaSST.
        with_video: whether to measure against the video.
        seed: seed of all random numbers.
        resamples: resamples for the intervals of means.
        distance_resamples: resamples for the interval of the Fréchet distance, each as slow as
            the distance itself.
        neighbours: k of precision, recall, density and coverage.
        tolerance_s: largest distance of a cut and an onset that count as simultaneous.
        device: `cpu`, `cuda`, or `auto`: CUDA if there is a GPU.
    """

    clap: str | None = CLAP
    revision: str | None = None
    with_kl: bool = False
    with_video: bool = True
    seed: int = 0
    resamples: int = 1000
    distance_resamples: int = 100
    neighbours: int = 5
    tolerance_s: float = 0.1
    device: str = "auto"

    def rng(self, figure: str) -> np.random.Generator:
        """Return the random numbers of one figure; they do not depend on the other figures."""
        import numpy as np

        return np.random.default_rng([self.seed, crc32(figure.encode())])


def without_progress(items: Sequence[Any], title: str) -> Iterator[Any]:
    """Yield the items without a progress bar."""
    return iter(items)
