"""Geometry of the plots: where things stand in a drawing. The templates put ink on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, log10
from typing import Any

# Of a plot, in the units of its drawing; a column on a desktop is about as wide.
WIDTH, HEIGHT = 360, 190
LEFT, RIGHT, TOP, BOTTOM = 38, 16, 10, 26
MOST_BINS = 24
# Fewer would be blocks, not bars: empty ones stand around them.
LEAST_BINS = 7
# More labelled clips than these are drawn as fields of a grid.
MOST_DOTS = 400
SQUARE = 360
INSET = 34
SCALE = (1.0, 9.0)
FIELD = 0.5


def nice(rough: float) -> float:
    """The next larger one of 1, 2, 5, 10, 20 and so on."""
    power = 10 ** floor(log10(rough)) if rough > 0 else 1
    return next(step * power for step in (1, 2, 5, 10) if step * power >= rough * 0.999)


def time_ticks(length_s: float) -> list[dict[str, Any]]:
    """About ten marks along a film: their times in s, and as text."""
    steps = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600)
    step = next((one for one in steps if length_s / one <= 10), 7200)
    # The last one needs room for its text.
    count = int(length_s * 0.965 // step)
    return [{"at": at * step, "text": clock(at * step)} for at in range(count + 1)]


def clock(seconds: float) -> str:
    """A time as `m:ss` or `h:mm:ss`, begun seconds left out, as players show it."""
    whole = int(seconds + 1e-6)
    hours, rest = divmod(whole, 3600)
    text = f"{rest // 60}:{rest % 60:02d}"
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else text


def _points(
    values: Sequence[float], step_s: float, length_s: float, ends: tuple[float, float], most: int
) -> list[str]:
    """Points in a drawing of 1000 by 100; of several that fall together the loudest."""
    together = max(1, ceil(len(values) / most))
    low, high = ends
    found = []
    for first in range(0, len(values), together):
        part = values[first : first + together]
        at = (first + len(part) / 2) * step_s / length_s * 1000
        height = (min(max(max(part), low), high) - low) / (high - low)
        found.append(f"{min(at, 1000):.1f} {100 - 100 * height:.1f}")
    return found


def line_path(
    values: Sequence[float], step_s: float, length_s: float, ends: tuple[float, float], most: int
) -> str:
    """A curve over a film as an SVG path in 1000 by 100.

    Args:
        values: one for each step.
        step_s: length of a step.
        length_s: the film's.
        ends: the values at the bottom and at the top.
        most: points.
    """
    return "M" + "L".join(_points(values, step_s, length_s, ends, most)) if len(values) else ""


def area_path(
    values: Sequence[float], step_s: float, length_s: float, ends: tuple[float, float], most: int
) -> str:
    """The same, filled down to the ground."""
    points = _points(values, step_s, length_s, ends, most)
    if not points:
        return ""
    first, last = points[0].split()[0], points[-1].split()[0]
    return f"M{first} 100L" + "L".join(points) + f"L{last} 100Z"


@dataclass(frozen=True)
class Bars:
    """A histogram, drawn.

    Attributes:
        name: its id on the page.
        title, says: heading, and the plot in one sentence.
        what: what lies along it, with its unit.
        bars: each with x, y, w, h, text, count.
        marks: along it, each with x and text.
        lines: counts, each with y and text.
    """

    name: str
    title: str
    says: str
    what: str
    bars: list[dict[str, Any]]
    marks: list[dict[str, Any]]
    lines: list[dict[str, Any]]


def histogram(
    name: str,
    title: str,
    what: str,
    values: Sequence[float],
    least_step: float = 0,
    whole: bool = False,
) -> Bars | None:
    """How often values of each size occur; None: there are none.

    Args:
        name: id on the page.
        title: heading.
        what: what is counted along it, with its unit.
        values: any order.
        least_step: no narrower bins than this.
        whole: the values are whole numbers.
    """
    if not values:
        return None
    ordered = sorted(values)
    step = max(nice((ordered[-1] - ordered[0] or 1) / MOST_BINS * 1.6), least_step)
    first = floor(ordered[0] / step)
    count = floor(ordered[-1] / step) - first + 1
    if count < LEAST_BINS:
        first -= (LEAST_BINS - count) // 2
        count = LEAST_BINS
    counts = [0] * count
    for value in values:
        counts[floor(value / step) - first] += 1
    edges = [(first + at) * step for at in range(count + 1)]
    texts = [_stretch(low, high, whole) for low, high in pairwise(edges)]
    says = (
        f"{len(values)} values from {_number(ordered[0])} to {_number(ordered[-1])}, half of them "
        f"below {_number(ordered[len(ordered) // 2])}; most often "
        f"{texts[counts.index(max(counts))]}."
    )
    width = (WIDTH - LEFT - RIGHT) / count
    # What lies between two whole numbers is marked in its middle.
    shift = width / 2 if whole and step == 1 else 0.0
    marked = edges[:-1] if shift else edges
    every = ceil(len(marked) / 7)
    top = max(counts)
    return Bars(
        name,
        title,
        says,
        what,
        [
            _bar(LEFT + at * width, width, n, top, text)
            for at, (n, text) in enumerate(zip(counts, texts, strict=True))
        ],
        [
            {"x": _two(LEFT + at * width + shift), "text": _number(edge)}
            for at, edge in enumerate(marked)
            if at % every == 0
        ],
        _lines(top),
    )


def _bar(x: float, width: float, count: int, top: int, text: str) -> dict[str, Any]:
    y = _height(count, top)
    return {
        "x": _two(x + 0.75), "y": _two(y), "w": _two(max(width - 1.5, 0.5)),
        "h": _two(HEIGHT - BOTTOM - y), "text": text, "count": count,
    }  # fmt: skip


def _stretch(low: float, high: float, whole: bool) -> str:
    if whole:
        return _number(low) if high - low == 1 else f"{_number(low)} to {_number(high - 1)}"
    return f"{_number(low)} to {_number(high)}"


def _height(count: float, top: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - count / top)


def _lines(top: int) -> list[dict[str, Any]]:
    step = max(1, int(nice(top / 3)))
    return [{"y": _two(_height(at, top)), "text": _short(at)} for at in range(0, top + 1, step)]


def _short(count: int) -> str:
    return f"{count / 1000:g}k" if count >= 10_000 else f"{count:,}"


def _number(value: float) -> str:
    return f"{value:.6g}".replace("-", "−")


def _two(value: float) -> float:
    return round(value, 2)


def mood_plane(points: Sequence[tuple[float, float, str | None]]) -> dict[str, Any] | None:
    """Clips over valence and arousal, as dots or, if they are many, as fields of a grid.

    Args:
        points: valence and arousal, 1 to 9, and the quadrant; None: it has none.
    """
    if not points:
        return None
    if len(points) <= MOST_DOTS:
        return {"dots": _dots(points), "fields": [], "count": len(points)}
    counts: dict[tuple[int, int], int] = {}
    for valence, arousal, _ in points:
        place = (_field(valence), _field(arousal))
        counts[place] = counts.get(place, 0) + 1
    side = _across(SCALE[0] + FIELD) - _across(SCALE[0])
    most = max(counts.values())
    fields = []
    for (x, y), count in sorted(counts.items()):
        valence, arousal = SCALE[0] + x * FIELD, SCALE[0] + y * FIELD
        fields.append(
            {"x": _two(_across(valence)), "y": _two(SQUARE - _across(arousal) - side),
             "w": _two(side - 0.6), "ink": _two(0.12 + 0.88 * (count / most) ** 0.5),
             "text": f"valence {valence:g}, arousal {arousal:g}: {count} clips"}
        )  # fmt: skip
    return {"dots": [], "fields": fields, "count": len(points)}


def _dots(points: Sequence[tuple[float, float, str | None]]) -> list[dict[str, Any]]:
    """A dot for each place, the larger the more clips lie there."""
    together = Counter(points)
    return [
        {
            "x": _two(_across(valence)),
            "y": _two(SQUARE - _across(arousal)),
            "r": _two(min(4.5 * count**0.5, 14)),
            "quadrant": quadrant or "none",
            "text": f"valence {valence:.1f}, arousal {arousal:.1f}"
            + (f": {count} clips" if count > 1 else ""),
        }
        for (valence, arousal, quadrant), count in sorted(
            together.items(), key=lambda one: (one[0][0], one[0][1], one[0][2] or "")
        )
    ]


def _field(value: float) -> int:
    """The row or column of the grid; the scale's end belongs to the last one."""
    return int(min(value - SCALE[0], SCALE[1] - SCALE[0] - FIELD) / FIELD)


def _across(value: float) -> float:
    part = (value - SCALE[0]) / (SCALE[1] - SCALE[0])
    return INSET + (SQUARE - 2 * INSET) * part


def shares(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """Parts of a whole as widths in percent, in the order given."""
    total = sum(counts.values())
    return [
        {"name": name, "count": count, "percent": _two(100 * count / total)}
        for name, count in counts.items()
        if total and count
    ]
