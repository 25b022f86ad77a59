"""One measured figure: its value, how sure it is, and of how much it was measured."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ossl_train.metrics.intervals import Interval

DIGITS = 6  # significant: the last digits of sums depend on the number of threads


@dataclass(frozen=True)
class Figure:
    """A row of the report.

    Attributes:
        name: stable, for scripts.
        says: what it is, for people.
        of: `generated`, `own music` or `reference`: whose music it describes.
        value: None: not defined, and `why` says so.
        interval: 95 % confidence interval; None: cannot be given.
        n: of how many it is measured.
        unit: what n counts: `clips`, `windows`, `cuts`.
        chance: what is reached without any relation; None: there is no such level.
        better: `lower`, `higher` or empty.
        why: why it is not defined.
        more: further numbers, by name.
    """

    name: str
    says: str
    of: str
    value: float | None
    n: int
    unit: str
    interval: Interval | None = None
    chance: float | None = None
    better: str = ""
    why: str = ""
    more: tuple[tuple[str, float], ...] = ()

    def plain(self) -> dict[str, Any]:
        """For JSON: finite numbers of `DIGITS` significant digits, or null."""
        low, high = self.interval or (None, None)
        return {
            "name": self.name,
            "says": self.says,
            "of": self.of,
            "value": rounded(self.value),
            "low": rounded(low),
            "high": rounded(high),
            "n": self.n,
            "unit": self.unit,
            "chance": rounded(self.chance),
            "better": self.better,
            "why": self.why,
            "more": {name: rounded(value) for name, value in self.more},
        }


def undefined(name: str, says: str, of: str, why: str, n: int = 0, unit: str = "clips") -> Figure:
    """A figure that these data do not define."""
    return Figure(name, says, of, None, n, unit, why=why)


def rounded(value: float | None) -> float | None:
    """To `DIGITS` significant digits; None where it is None."""
    if value is None:
        return None
    if not math.isfinite(value):
        raise ValueError(f"a figure is {value}")
    return float(f"{value:.{DIGITS}g}") + 0.0  # no -0.0
