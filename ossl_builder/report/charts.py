"""Compute the geometry of the plots; the templates draw them as SVG."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, log10
from typing import Any

# Size of a plot in SVG units; about the width of a column on a desktop.
WIDTH, HEIGHT = 360, 190
LEFT, RIGHT, TOP, BOTTOM = 38, 16, 10, 26
MOST_BINS = 24
# With fewer bins the bars would be too wide; empty bins are added on both sides.
LEAST_BINS = 7
# With more labelled clips than this, the plot is a grid of cells instead of dots.
MOST_DOTS = 400
SQUARE = 360
INSET = 34
SCALE = (1.0, 9.0)
FIELD = 0.5


def nice(rough: float) -> float:
    """Round up to the next of 1, 2, 5, 10, 20 and so on."""
    power = 10 ** floor(log10(rough)) if rough > 0 else 1
    return next(step * power for step in (1, 2, 5, 10) if step * power >= rough * 0.999)


def time_ticks(length_s: float) -> list[dict[str, Any]]:
    """Return about ten ticks along a film: their times in s, and as text."""
    steps = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600)
    step = next((seconds for seconds in steps if length_s / seconds <= 10), 7200)
    # The last tick needs space for its text.
    count = int(length_s * 0.965 // step)
    return [{"at": at * step, "text": clock(at * step)} for at in range(count + 1)]


def clock(seconds: float) -> str:
    """Return a time as `m:ss` or `h:mm:ss`, rounded down to seconds as in players."""
    whole = int(seconds + 1e-6)
    hours, remainder = divmod(whole, 3600)
    text = f"{remainder // 60}:{remainder % 60:02d}"
    return f"{hours}:{remainder // 60:02d}:{remainder % 60:02d}" if hours else text


def _points(
    values: Sequence[float], step_s: float, length_s: float, ends: tuple[float, float], most: int
) -> list[str]:
    """Return the points of a curve in 1000 by 100 units; each group of values gives its maximum."""
    group_size = max(1, ceil(len(values) / most))
    low, high = ends
    points = []
    for first in range(0, len(values), group_size):
        part = values[first : first + group_size]
        at = (first + len(part) / 2) * step_s / length_s * 1000
        height = (min(max(max(part), low), high) - low) / (high - low)
        points.append(f"{min(at, 1000):.1f} {100 - 100 * height:.1f}")
    return points


def line_path(
    values: Sequence[float], step_s: float, length_s: float, ends: tuple[float, float], most: int
) -> str:
    """Return a curve over a film as an SVG path in 1000 by 100 units.

    Args:
        values: one value per step.
        step_s: length of a step in s.
        length_s: length of the film in s.
        ends: the values at the bottom and at the top.
        most: the largest number of points.
    """
    return "M" + "L".join(_points(values, step_s, length_s, ends, most)) if len(values) else ""


def area_path(
    values: Sequence[float], step_s: float, length_s: float, ends: tuple[float, float], most: int
) -> str:
    """Return the curve of `line_path` as a filled area down to the bottom."""
    points = _points(values, step_s, length_s, ends, most)
    if not points:
        return ""
    first, last = points[0].split()[0], points[-1].split()[0]
    return f"M{first} 100L" + "L".join(points) + f"L{last} 100Z"


@dataclass(frozen=True)
class Bars:
    """The geometry of a histogram.

    Attributes:
        name: its id on the page.
        title, says: heading, and the plot described in one sentence.
        what: quantity and unit of the x axis.
        bars: the bars, each with x, y, w, h, text, count.
        marks: the ticks of the x axis, each with x and text.
        lines: the horizontal grid lines, each with y and text.
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
    x_label: str,
    values: Sequence[float],
    least_step: float = 0,
    whole: bool = False,
) -> Bars | None:
    """Return the histogram of values; None: no values.

    Args:
        name: id on the page.
        title: heading.
        x_label: quantity and unit of the x axis.
        values: the values in any order.
        least_step: the smallest width of a bin.
        whole: whether the values are whole numbers.
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
    texts = [_range_text(low, high, whole) for low, high in pairwise(edges)]
    says = (
        f"{len(values)} values from {_number_text(ordered[0])} to {_number_text(ordered[-1])}, "
        f"half of them below {_number_text(ordered[len(ordered) // 2])}; most often "
        f"{texts[counts.index(max(counts))]}."
    )
    width = (WIDTH - LEFT - RIGHT) / count
    # The bin of one whole number has its tick in the middle.
    shift = width / 2 if whole and step == 1 else 0.0
    marked = edges[:-1] if shift else edges
    every = ceil(len(marked) / 7)
    top = max(counts)
    return Bars(
        name,
        title,
        says,
        x_label,
        [
            _bar(LEFT + at * width, width, n, top, text)
            for at, (n, text) in enumerate(zip(counts, texts, strict=True))
        ],
        [
            {"x": _rounded(LEFT + at * width + shift), "text": _number_text(edge)}
            for at, edge in enumerate(marked)
            if at % every == 0
        ],
        _grid_lines(top),
    )


def _bar(x: float, width: float, count: int, top: int, text: str) -> dict[str, Any]:
    y = _bar_top(count, top)
    return {
        "x": _rounded(x + 0.75), "y": _rounded(y), "w": _rounded(max(width - 1.5, 0.5)),
        "h": _rounded(HEIGHT - BOTTOM - y), "text": text, "count": count,
    }  # fmt: skip


def _range_text(low: float, high: float, whole: bool) -> str:
    if whole:
        return (
            _number_text(low)
            if high - low == 1
            else f"{_number_text(low)} to {_number_text(high - 1)}"
        )
    return f"{_number_text(low)} to {_number_text(high)}"


def _bar_top(count: float, top: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - count / top)


def _grid_lines(top: int) -> list[dict[str, Any]]:
    step = max(1, int(nice(top / 3)))
    return [
        {"y": _rounded(_bar_top(at, top)), "text": _short_count(at)}
        for at in range(0, top + 1, step)
    ]


def _short_count(count: int) -> str:
    return f"{count / 1000:g}k" if count >= 10_000 else f"{count:,}"


def _number_text(value: float) -> str:
    return f"{value:.6g}".replace("-", "−")


def _rounded(value: float) -> float:
    return round(value, 2)


def mood_plane(points: Sequence[tuple[float, float, str | None]]) -> dict[str, Any] | None:
    """Return the plot of clips by valence and arousal: dots, or a grid if there are many clips.

    Args:
        points: valence and arousal (1 to 9) and the quadrant (None: undecided) of each clip.
    """
    if not points:
        return None
    if len(points) <= MOST_DOTS:
        return {"dots": _dots(points), "fields": [], "count": len(points)}
    counts: dict[tuple[int, int], int] = {}
    for valence, arousal, _ in points:
        cell = (_cell_index(valence), _cell_index(arousal))
        counts[cell] = counts.get(cell, 0) + 1
    cell_size = _position(SCALE[0] + FIELD) - _position(SCALE[0])
    most = max(counts.values())
    fields = []
    for (x, y), count in sorted(counts.items()):
        valence, arousal = SCALE[0] + x * FIELD, SCALE[0] + y * FIELD
        fields.append(
            {"x": _rounded(_position(valence)),
             "y": _rounded(SQUARE - _position(arousal) - cell_size), "w": _rounded(cell_size - 0.6),
             "ink": _rounded(0.12 + 0.88 * (count / most) ** 0.5),
             "text": f"valence {valence:g}, arousal {arousal:g}: {count} clips"}
        )  # fmt: skip
    return {"dots": [], "fields": fields, "count": len(points)}


def _dots(points: Sequence[tuple[float, float, str | None]]) -> list[dict[str, Any]]:
    """Return one dot per position, with an area proportional to the number of clips."""
    counts = Counter(points)
    return [
        {
            "x": _rounded(_position(valence)),
            "y": _rounded(SQUARE - _position(arousal)),
            "r": _rounded(min(4.5 * count**0.5, 14)),
            "quadrant": quadrant or "none",
            "text": f"valence {valence:.1f}, arousal {arousal:.1f}"
            + (f": {count} clips" if count > 1 else ""),
        }
        for (valence, arousal, quadrant), count in sorted(
            counts.items(), key=lambda entry: (entry[0][0], entry[0][1], entry[0][2] or "")
        )
    ]


def _cell_index(value: float) -> int:
    """Return the row or column in the grid; the end of the scale belongs to the last one."""
    return int(min(value - SCALE[0], SCALE[1] - SCALE[0] - FIELD) / FIELD)


def _position(value: float) -> float:
    part = (value - SCALE[0]) / (SCALE[1] - SCALE[0])
    return INSET + (SQUARE - 2 * INSET) * part


def shares(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return counts as shares in percent, in the given order; zero counts are left out."""
    total = sum(counts.values())
    return [
        {"name": name, "count": count, "percent": _rounded(100 * count / total)}
        for name, count in counts.items()
        if total and count
    ]
