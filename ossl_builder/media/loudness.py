"""Measure loudness after EBU R 128 and ITU-R BS.1770-4, from a stream of blocks.

Only the K-weighted mean square of short, adjacent hops is stored; momentary, short-term and
integrated loudness are computed from it, in LUFS. Mono and stereo only (channel weights of 1).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from math import log10, pi, tan
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Block = NDArray[np.float32]
    Values = NDArray[np.float64]

HOP_S = 0.1
"""Hop of the standard: the 0.4-s windows overlap by 75 %."""
MOMENTARY_S = 0.4
SHORT_TERM_S = 3.0
ABSOLUTE_GATE_LUFS = -70.0
RELATIVE_GATE_LU = -10.0
SILENT_LUFS = -120.0
"""Value of silence in loudness curves; the integrated loudness of silence is None."""
_OFFSET_DB = -0.691  # BS.1770-4, equation 2: a full-scale sine at 997 Hz reads -3.01 LUFS


class Meter:
    """Measure the K-weighted power and the sample peak of each hop of a stream of audio."""

    def __init__(self, rate: int, hop_s: float = HOP_S) -> None:
        """Create a meter; the filters start as after silence.

        Args:
            rate: sample rate of the blocks, in Hz.
            hop_s: length of a hop; a divisor of 0.1 s.
        """
        self.rate = rate
        self.hop_s = hop_s
        self.peak = 0.0
        """Largest absolute sample so far; full scale is 1."""
        self._sections = k_weighting(rate)
        self._state: Values | None = None
        self._powers: list[Values] = []
        self._peaks: list[Values] = []
        self._rest: Values | None = (
            None  # [2, samples]: weighted square and absolute value of the unfinished hop
        )
        self._done = 0  # number of finished hops

    def add(self, block: Block) -> None:
        """Add the next block, float32 [channels, samples], of any length."""
        import numpy as np
        from scipy.signal import sosfilt

        if not block.shape[1]:
            return
        if self._state is None:
            self._state = np.zeros((len(self._sections), len(block), 2))
        weighted, self._state = sosfilt(self._sections, block.astype(np.float64), zi=self._state)
        weighted *= weighted
        n_held = 0 if self._rest is None else self._rest.shape[1]
        hop_data = np.empty((2, n_held + block.shape[1]))
        if self._rest is not None:
            hop_data[:, :n_held] = self._rest
        # Reduce channel by channel: a reduction over the short axis is several times slower.
        hop_data[0, n_held:] = reduce(np.add, weighted)
        hop_data[1, n_held:] = reduce(np.maximum, np.abs(block))
        self.peak = max(self.peak, float(hop_data[1, n_held:].max()))
        # Hops begin at the sample nearest to their time, at any sample rate.
        begin = self._edge(self._done)
        count = int((begin + hop_data.shape[1]) / (self.rate * self.hop_s)) - self._done + 1
        edges = self._edge(np.arange(self._done, self._done + count + 1)) - begin
        edges = edges[edges <= hop_data.shape[1]]
        if len(edges) > 1:
            sums = np.add.reduceat(hop_data[0, : edges[-1]], edges[:-1])
            self._powers.append(sums / np.diff(edges))
            self._peaks.append(np.maximum.reduceat(hop_data[1, : edges[-1]], edges[:-1]))
            self._done += len(edges) - 1
        self._rest = hop_data[:, edges[-1] :]

    def _edge(self, hop: int | NDArray[np.int64]) -> NDArray[np.int64]:
        import numpy as np

        return np.rint(np.asarray(hop) * self.hop_s * self.rate).astype(np.int64)

    def power(self) -> Values:
        """Return the K-weighted mean square of each finished hop, summed over channels, [hops]."""
        return _joined(self._powers)

    def peaks(self) -> Values:
        """Return the largest absolute sample of each finished hop, [hops]; full scale is 1."""
        return _joined(self._peaks)


def _joined(parts: list[Values]) -> Values:
    import numpy as np

    return np.concatenate(parts) if parts else np.zeros(0)


def measured(blocks: Iterable[Block], rate: int, hop_s: float = HOP_S) -> Meter:
    """Measure all blocks; return the meter."""
    meter = Meter(rate, hop_s)
    for block in blocks:
        meter.add(block)
    return meter


def k_weighting(rate: int) -> Values:
    """Return the two filters of BS.1770-4 as second-order sections [2, 6], for any sample rate.

    The standard tabulates them at 48 kHz; the analogue prototypes of the table are taken from
    De Man, "Evaluation of implementations of the EBU R128 loudness measurement" (2018).
    """
    import numpy as np

    k, q, gain = tan(pi * 1681.974450955533 / rate), 0.7071752369554196, 3.999843853973347
    high = 10 ** (gain / 20)
    band = high**0.4996667741545416
    a0 = 1 + k / q + k * k
    shelf = [
        (high + band * k / q + k * k) / a0,
        2 * (k * k - high) / a0,
        (high - band * k / q + k * k) / a0,
        1.0,
        2 * (k * k - 1) / a0,
        (1 - k / q + k * k) / a0,
    ]
    k, q = tan(pi * 38.13547087602444 / rate), 0.5003270373238773
    a0 = 1 + k / q + k * k
    high_pass = [1.0, -2.0, 1.0, 1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0]
    return np.array([shelf, high_pass])


def lufs(power: Values) -> Values:
    """Convert K-weighted powers to loudness in LUFS; silence becomes `SILENT_LUFS`."""
    import numpy as np

    floor = 10 ** ((SILENT_LUFS - _OFFSET_DB) / 10)
    values: Values = _OFFSET_DB + 10 * np.log10(np.maximum(power, floor))
    return values


def windowed(power: Values, hops: int) -> Values:
    """Return the mean power of each window of `hops` hops, [len(power) - hops + 1]."""
    import numpy as np

    if len(power) < hops:
        return np.zeros(0)
    sums = np.concatenate(([0.0], np.cumsum(power)))
    mean: Values = np.maximum(sums[hops:] - sums[:-hops], 0) / hops
    return mean


def integrated(power: Values, hop_s: float = HOP_S) -> float | None:
    """Return the integrated (gated) loudness in LUFS (BS.1770-4); None: no window passes the gate.

    Args:
        power: K-weighted mean square of each hop.
        hop_s: length of a hop, in seconds; the 0.4-s windows are 0.1 s apart, as in the standard.
    """
    step = max(1, round(HOP_S / hop_s))
    loud = windowed(power, round(MOMENTARY_S / hop_s))[::step]
    loud = loud[lufs(loud) > ABSOLUTE_GATE_LUFS]
    if not len(loud):
        return None
    return _lufs(loud[lufs(loud) > _lufs(loud) + RELATIVE_GATE_LU])


def _lufs(power: Values) -> float:
    return float(lufs(power.mean(keepdims=True))[0])


def dbfs(peak: float) -> float | None:
    """Convert a sample peak to dBFS; None: digital silence."""
    return 20 * log10(peak) if peak > 0 else None
