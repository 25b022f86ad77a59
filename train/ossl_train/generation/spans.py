"""Windows of a piece: each goes on from the codes of its overlap with the one before."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

from ossl_builder.errors import OsslError
from ossl_train.data.windows import Stretch


@dataclass(frozen=True)
class Span:
    """A window in frames of the music.

    Attributes:
        index: its number, from 0.
        first: the piece's frame that it begins with.
        n_frames: its length.
        n_known: frames at its begin that the window before has written.
    """

    index: int
    first: int
    n_frames: int
    n_known: int

    @property
    def end(self) -> int:
        """The piece's frame after its last."""
        return self.first + self.n_frames


def spans(duration_s: float, rate: float, window_s: float, overlap_s: float) -> tuple[Span, ...]:
    """Windows that cover a piece; the last one is as long as what remains, and its overlap.

    Args:
        duration_s: of the piece.
        rate: frames per second.
        window_s: length of a window.
        overlap_s: of each window with the one before.

    Raises:
        OsslError: `overlap_too_long`.
    """
    window, overlap = round(window_s * rate), round(overlap_s * rate)
    if overlap >= window:
        raise OsslError(
            "overlap_too_long",
            f"An overlap of {overlap_s:g} s leaves nothing of a window of {window_s:g} s.",
            "Give --overlap less than --window; a third of it is usual.",
        )
    total = n_frames(duration_s, rate)
    found: list[Span] = []
    while not found or found[-1].end < total:
        first = len(found) * (window - overlap)
        known = overlap if found else 0
        found.append(Span(len(found), first, min(window, total - first), known))
    return tuple(found)


def n_frames(duration_s: float, rate: float) -> int:
    """Frames that cover a duration."""
    return max(1, math.ceil(duration_s * rate - 1e-6))


def n_samples(duration_s: float, sample_rate: int) -> int:
    """Samples that a picture of that length holds: never one that begins after it."""
    return max(1, math.floor(duration_s * sample_rate + 1e-6))


def stretch(span: Span, rate: float, duration_s: float) -> Stretch:
    """Where a window lies in the picture, whose end is its own end."""
    start_s = span.first / rate
    return Stretch(span.index, start_s, min(span.n_frames / rate, duration_s - start_s))


def seed_of(seed: int, picture: str, index: int) -> int:
    """The seed of one window.

    Pieces with one prompt and one seed would all be one piece by the base model; so the picture,
    by its checksum, is part of the seed.
    """
    digest = hashlib.sha256(f"{seed}/{picture}/{index}".encode()).digest()
    return int.from_bytes(digest[:6], "big")
