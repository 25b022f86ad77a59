"""Measure the loudness of music and dialogue over a film from its stems, and cache it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder import files
from ossl_builder.engine.cache import cached_value
from ossl_builder.files import existing, inside
from ossl_builder.media import flac, loudness

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Values = NDArray[np.float64]
    Block = NDArray[np.float32]

VERSION = 1
STEP_S = 1.0
HOPS = round(STEP_S / loudness.HOP_S)
# Steps per short-term window.
WINDOW = round(loudness.SHORT_TERM_S / STEP_S)
METERED_ROLES = ("music", "dialogue")


@dataclass(frozen=True)
class Curves:
    """Loudness at steps of STEP_S, as whole tenths of LUFS or dB.

    Attributes:
        short: short-term loudness (3 s) around each step, for music and dialogue.
        low: loudness of the quietest 0.4 s that begin in each step, for music and dialogue.
        rest: level of the part of the mix that is in no stem, relative to the mix, in tenths of
            dB; empty: the film has only the music stem.
    """

    short: dict[str, list[int]]
    low: dict[str, list[int]]
    rest: list[int]


def key_of(stems: Sequence[dict[str, Any]]) -> str:
    """Return the hash of the inputs of the curves; equal stems have equal curves."""
    return files.sha256_json([VERSION, sorted((stem["role"], stem["sha256"]) for stem in stems)])


def curves_of(corpus: Path, stems: Sequence[dict[str, Any]], cache_path: Path) -> Curves | None:
    """Return a film's curves; None: it has no stems, or a file of a stem is missing.

    Args:
        corpus: the folder to which paths are relative.
        stems: the film's rows of the stems table.
        cache_path: the cache file; written if it has no curves of these stems.

    Raises:
        OsslError: `audio_unreadable`.
    """
    if not stems or not all(existing(corpus, stem["path"]) for stem in stems):
        return None
    return cached_value(
        cache_path,
        key_of(stems),
        lambda: asdict(_measure(corpus, stems)),
        lambda plain: Curves(**plain),
    )


def _measure(corpus: Path, stems: Sequence[dict[str, Any]]) -> Curves:
    import numpy as np

    rate = stems[0]["sample_rate"]
    roles = [stem["role"] for stem in stems]
    meters = {role: loudness.Meter(rate) for role in METERED_ROLES if role in roles}
    mix, residual = _PowerMeter(rate), _PowerMeter(rate)
    # All stems have equal rate and length, so their blocks match.
    streams = [flac.read_flac(inside(corpus, stem["path"])) for stem in stems]
    for blocks in zip(*streams, strict=True):
        by_role = dict(zip(roles, blocks, strict=True))
        for role, meter in meters.items():
            meter.add(by_role[role])
        if len(roles) > 2:
            mix.add(by_role["mix"])
            residual.add(by_role["mix"] - sum(by_role[role] for role in roles if role != "mix"))
    powers = {role: meter.power() for role, meter in meters.items()}
    below = 10 * np.log10((residual.values() + 1e-12) / (mix.values() + 1e-12))
    return Curves(
        short={
            role: _in_tenths(loudness.lufs(_short_term_power(power)))
            for role, power in powers.items()
        },
        low={
            role: _in_tenths(loudness.lufs(_quietest_power(power)))
            for role, power in powers.items()
        },
        rest=_in_tenths(below),
    )


class _PowerMeter:
    """Compute the mean square of each step from successive blocks."""

    def __init__(self, rate: int) -> None:
        self._length = round(rate * STEP_S)
        self._remainder: Block | None = None
        self._powers: list[float] = []

    def add(self, block: Block) -> None:
        import numpy as np

        if self._remainder is not None:
            block = np.concatenate([self._remainder, block], axis=1)
        steps = block.shape[1] // self._length
        for step in range(steps):
            part = block[:, step * self._length : (step + 1) * self._length]
            self._powers.append(float(np.mean(part * part)))
        self._remainder = block[:, steps * self._length :]

    def values(self) -> Values:
        import numpy as np

        return np.array(self._powers)


def _by_step(power: Values) -> Values:
    """Group hops by step as [steps, hops per step]; an incomplete last step is left out."""
    count = len(power) // HOPS
    return power[: count * HOPS].reshape(count, HOPS)


def _short_term_power(power: Values) -> Values:
    """Return the mean power of the 3 s around each step; at the ends, of the existing part."""
    import numpy as np

    steps = _by_step(power).mean(axis=1) if len(power) >= HOPS else np.zeros(0)
    window = np.ones(WINDOW)
    if not len(steps):
        return steps
    means: Values = np.convolve(steps, window, "same") / np.convolve(
        np.ones(len(steps)), window, "same"
    )
    return means[: len(steps)]


def _quietest_power(power: Values) -> Values:
    """Return the power of the quietest 0.4 s that begin in each step."""
    import numpy as np

    window = round(loudness.MOMENTARY_S / loudness.HOP_S)
    momentary = loudness.windowed(power, window)
    count = len(power) // HOPS
    if not count or not len(momentary):
        return np.zeros(0)
    padded = np.pad(momentary, (0, max(0, count * HOPS - len(momentary))), mode="edge")
    quietest: Values = _by_step(padded[: count * HOPS]).min(axis=1)
    return quietest


def _in_tenths(values: Values) -> list[int]:
    import numpy as np

    tenths: list[int] = np.rint(values * 10).astype(int).tolist()
    return tenths
