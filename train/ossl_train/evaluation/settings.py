"""How is evaluated: what counts for the result, beside the files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zlib import crc32

if TYPE_CHECKING:
    import numpy as np

CLAP = "laion/clap-htsat-fused"

WithProgress = Callable[[Sequence[Any], str], Iterator[Any]]
"""Hands on items one by one, showing how far it is (`show.counted`)."""


@dataclass(frozen=True)
class EvaluationSettings:
    """What may be chosen.

    Attributes:
        clap: a CLAP on the hub or a local folder; None: no measure that needs one.
        revision: of it, on the hub.
        with_kl: whether to measure the KL divergence by PaSST.
        with_video: whether to measure against the video.
        seed: of all that is drawn by chance.
        resamples: of the intervals of means.
        distance_resamples: of the Fréchet distance's interval, each of which costs as much as
            the distance.
        neighbours: k of precision, recall, density and coverage.
        tolerance_s: within which a cut and an onset are at the same time.
        device: `cpu`, `cuda`, or `auto` for CUDA where there is a GPU.
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
        """Random numbers of one figure: whatever else is measured does not change them."""
        import numpy as np

        return np.random.default_rng([self.seed, crc32(figure.encode())])


def without_progress(items: Sequence[Any], what: str) -> Iterator[Any]:
    """Show nothing."""
    return iter(items)
