"""How loud music and dialogue are through a film, measured once from its stems and kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
# A short-term window is three steps.
WINDOW = round(loudness.SHORT_TERM_S / STEP_S)
HEARD = ("music", "dialogue")


@dataclass(frozen=True)
class Curves:
    """Loudness at steps of STEP_S; figures in tenths of LUFS or dB, whole numbers.

    Attributes:
        short: for music and dialogue, short-term loudness (3 s) around each step.
        low: for the same, the quietest 0.4 s that begin within each step.
        rest: what of the mix is in no stem, below the mix, in tenths of dB; empty: the film has
            no stem but its music.
    """

    short: dict[str, list[int]]
    low: dict[str, list[int]]
    rest: list[int]


def key_of(stems: Sequence[dict[str, Any]]) -> str:
    """What curves are made from, as a hash; equal stems have equal curves."""
    return files.sha256_json([VERSION, sorted((stem["role"], stem["sha256"]) for stem in stems)])


def curves_of(corpus: Path, stems: Sequence[dict[str, Any]], kept: Path) -> Curves | None:
    """A film's curves; None if it has no stems, or one of their files is gone.

    Args:
        corpus: what paths are relative to.
        stems: the film's rows of the stems table.
        kept: where the curves are kept; written if it holds none of these stems.

    Raises:
        OsslError: `audio_unreadable`.
    """
    if not stems or not all(existing(corpus, stem["path"]) for stem in stems):
        return None
    return cached_value(
        kept, key_of(stems), lambda: asdict(_measured(corpus, stems)), lambda plain: Curves(**plain)
    )


def _measured(corpus: Path, stems: Sequence[dict[str, Any]]) -> Curves:
    import numpy as np

    rate = stems[0]["sample_rate"]
    roles = [stem["role"] for stem in stems]
    meters = {role: loudness.Meter(rate) for role in HEARD if role in roles}
    mix, rest = _Power(rate), _Power(rate)
    for blocks in _together(corpus, stems):
        by_role = dict(zip(roles, blocks, strict=True))
        for role, meter in meters.items():
            meter.add(by_role[role])
        if len(roles) > 2:
            mix.add(by_role["mix"])
            rest.add(by_role["mix"] - sum(by_role[role] for role in roles if role != "mix"))
    powers = {role: meter.power() for role, meter in meters.items()}
    below = 10 * np.log10((rest.values() + 1e-12) / (mix.values() + 1e-12))
    return Curves(
        short={role: _tenths(loudness.lufs(_short(power))) for role, power in powers.items()},
        low={role: _tenths(loudness.lufs(_low(power))) for role, power in powers.items()},
        rest=_tenths(below),
    )


def _together(corpus: Path, stems: Sequence[dict[str, Any]]) -> Iterator[tuple[Block, ...]]:
    """Blocks of all stems in step; they have one rate and length."""
    streams = [flac.read_flac(inside(corpus, stem["path"])) for stem in stems]
    yield from zip(*streams, strict=True)


class _Power:
    """Mean square of each step."""

    def __init__(self, rate: int) -> None:
        self._length = round(rate * STEP_S)
        self._held: Block | None = None
        self._found: list[float] = []

    def add(self, block: Block) -> None:
        import numpy as np

        if self._held is not None:
            block = np.concatenate([self._held, block], axis=1)
        steps = block.shape[1] // self._length
        for step in range(steps):
            part = block[:, step * self._length : (step + 1) * self._length]
            self._found.append(float(np.mean(part * part)))
        self._held = block[:, steps * self._length :]

    def values(self) -> Values:
        import numpy as np

        return np.array(self._found)


def _steps(power: Values) -> Values:
    """Hops by the step they lie in, [steps, hops per step]; a rest of a step is left out."""
    count = len(power) // HOPS
    return power[: count * HOPS].reshape(count, HOPS)


def _short(power: Values) -> Values:
    """Mean power of the 3 s around each step; at the ends of what there is."""
    import numpy as np

    steps = _steps(power).mean(axis=1) if len(power) >= HOPS else np.zeros(0)
    window = np.ones(WINDOW)
    if not len(steps):
        return steps
    found: Values = np.convolve(steps, window, "same") / np.convolve(
        np.ones(len(steps)), window, "same"
    )
    return found[: len(steps)]


def _low(power: Values) -> Values:
    """Power of the quietest 0.4 s that begin in each step."""
    import numpy as np

    window = round(loudness.MOMENTARY_S / loudness.HOP_S)
    momentary = loudness.windowed(power, window)
    count = len(power) // HOPS
    if not count or not len(momentary):
        return np.zeros(0)
    padded = np.pad(momentary, (0, max(0, count * HOPS - len(momentary))), mode="edge")
    found: Values = _steps(padded[: count * HOPS]).min(axis=1)
    return found


def _tenths(values: Values) -> list[int]:
    import numpy as np

    found: list[int] = np.rint(values * 10).astype(int).tolist()
    return found
