"""Find dissolves: segments in which one shot is blended linearly into the next.

In a dissolve, frame k of n is (1 - x) A + x B with x = k / n. So the frame is on the straight line
from A to B, and its variance is below the line between their variances by x (1 - x) var(B - A):
the parabola of Lienhart (2001, Reliable Transition Detection in Videos) and Truong, Dorai and
Venkatesh (2000). If A and B move, the frames leave the line but still follow the parabola, because
movement does not change variances. A pan follows neither, or not in all parts of the frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ossl_builder.stages.scenes.similarity import Luma, part_within_reach

Floats = NDArray[np.float64]

SPANS = (8, 10, 12, 15, 18, 22, 27, 33, 40, 48, 58, 70)  # window lengths to test, in frames
_SAMPLES = 16  # number of frames of a window that are tested when windows are chosen
_BLOCK = 192  # number of frames searched at once, so that all lengths share their products
_GRID = (3, 4)  # rows and columns of the parts of the frame, each of which must dissolve
_SLOWEST_S = 1 / 31  # frames closer together than this are skipped
_LEAST_CHANGE = 150.0  # variance of B - A
_BLANK = 15.0  # below this variance, or 5 % of the other frame's, A or B is blank: it is a fade
_SAME = 0.78  # fraction of the frame that stays the same if a title fades in over one shot
_LIT = 24  # a pixel that never gets this bright belongs to a border


@dataclass(frozen=True)
class Dissolve:
    """A dissolve from frame index `start` (only shot A) to `end` (only shot B), with its error."""

    start: int
    end: int
    error: float


class DissolveFinder:
    """Find dissolves in frames that are fed one by one; a few seconds of them are in memory."""

    def __init__(self, tolerance: float) -> None:
        """Start without frames; `tolerance`: largest `blend_error` of a dissolve."""
        self._tolerance = tolerance
        self._frames: list[Floats] = []
        self._lumas: list[Luma] = []
        self._numbers: list[int] = []
        self._last_s = -1.0
        self._dissolves: list[tuple[float, Dissolve]] = []
        self._titles: list[tuple[float, Dissolve]] = []

    def feed(self, number: int, time_s: float, frame: NDArray[np.float32], luma: Luma) -> None:
        """Add the next frame.

        Args:
            number: the frame index.
            time_s: its time in seconds.
            frame: luma, 0 to 255, about [18, 32].
            luma: the same at about [36, 64].
        """
        if time_s - self._last_s < _SLOWEST_S:
            return
        self._last_s = time_s
        self._numbers.append(number)
        self._frames.append(frame.astype(np.float64))
        self._lumas.append(luma)
        if len(self._frames) == _BLOCK + SPANS[-1]:
            self._search(_BLOCK)
            del self._frames[:_BLOCK], self._lumas[:_BLOCK], self._numbers[:_BLOCK]

    def finish(self) -> list[Dissolve]:
        """Return all dissolves, in film order; if some overlap, only the one of highest weight.

        Titles that fade in or out over one shot are not dissolves. They also remove overlapping
        dissolves of lower weight.
        """
        self._search(len(self._frames))
        chosen: list[Dissolve] = []
        dissolves_and_titles = self._dissolves + self._titles
        by_weight = sorted(dissolves_and_titles, key=lambda pair: (-pair[0], pair[1].start))
        for _, candidate in by_weight:
            if all(
                candidate.end <= accepted.start or accepted.end <= candidate.start
                for accepted in chosen
            ):
                chosen.append(candidate)
        titles = [title for _, title in self._titles]
        chosen = [dissolve for dissolve in chosen if dissolve not in titles]
        return sorted(chosen, key=lambda dissolve: dissolve.start)

    def _search(self, n_starts: int) -> None:
        """Search the windows that begin in the first `n_starts` of the frames in memory."""
        if len(self._frames) <= SPANS[0]:
            return
        frames = np.stack(self._frames)
        tried: list[tuple[int, int, float]] = []
        for weight, start, span in _candidate_windows(frames, n_starts):
            # A part of a dissolve resembles a dissolve. So test only windows whose weight is near
            # that of the best window that they overlap.
            rivals = [w for a, b, w in tried if start < b and a < start + span]
            if rivals and weight < 0.8 * max(rivals):
                continue
            tried.append((start, start + span, weight))
            error = blend_error(frames[start : start + span + 1])
            if error > self._tolerance:
                continue
            within = part_within_reach(self._lumas[start], self._lumas[start + span])
            numbers = self._numbers[start], self._numbers[start + span]
            windows = self._dissolves if within < _SAME else self._titles
            windows.append((weight, Dissolve(*numbers, error)))


def _candidate_windows(frames: Floats, n_starts: int) -> list[tuple[float, int, int]]:
    """Return windows that resemble a dissolve: (weight, start, span), highest weight first.

    All values are computed from the covariances of frames that are at most one window apart.
    """
    flat = frames.reshape(len(frames), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    # products[j, i] is the covariance of frames i and i + j. One matrix product would compute
    # more than is needed, on all cores.
    products = np.zeros((min(SPANS[-1] + 1, len(flat)), len(flat)))
    for j in range(len(products)):
        ends = len(flat) - j
        products[j, :ends] = np.einsum("ij,ij->i", flat[:ends], flat[j:]) / flat.shape[1]
    variance = products[0]
    windows: list[tuple[float, int, int]] = []
    for span in SPANS:
        a = np.arange(0, min(n_starts, len(flat) - span), max(1, span // 12))
        if not len(a):
            break
        b = a + span
        # Long windows need not be tested at every start, or in every frame.
        steps = np.unique(np.linspace(1, span - 1, min(span - 1, _SAMPLES)).round().astype(int))
        between = a[:, None] + steps
        x = steps / span
        from_a, from_b = products[steps, a[:, None]], products[span - steps, between]
        across = products[span, a]
        change = np.maximum(variance[a] + variance[b] - 2 * across, 1e-3)
        along = from_b - from_a + (variance[a] - across)[:, None]
        along /= change[:, None]
        off = (variance[between] + variance[a][:, None] - 2 * from_a) / change[:, None] - along**2
        dip = (1 - x) * variance[a][:, None] + x * variance[b][:, None] - variance[between]
        dip /= change[:, None]
        parabola = x * (1 - x)
        fit = (
            np.clip(1 - np.sqrt(((along - x) ** 2).mean(axis=1)) / 0.2, 0, 1)
            * np.clip(1 - off.mean(axis=1) / 0.35, 0, 1)
            * np.clip(1 - np.sqrt(((dip - parabola) ** 2).mean(axis=1)) / 0.16, 0, 1)
        )
        good = (
            (fit > 0.03)
            & ((dip * parabola).sum(axis=1) > 0.45 * (parabola**2).sum())
            & (change > 0.12 * (variance[a] + variance[b]))
            & (change > 0.4 * _LEAST_CHANGE)
        )
        weights = change * fit
        windows += [(float(weights[k]), int(a[k]), span) for k in np.flatnonzero(good)]
    return sorted(windows, key=lambda window: (-window[0], window[1], window[2]))


def blend_error(window: Floats) -> float:
    """Return how far a window is from a linear blend of its first and last frame.

    Args:
        window: luma, shape (n + 1, h, w), 0 to 255.

    Returns:
        0 for a perfect blend of still frames; above 0.3 it is not a dissolve; infinite if the first
        and last frame are too similar, are blank, or differ only in a small part of the frame.
    """
    lit = window.max(axis=0) > _LIT  # not the borders of a narrower or wider film
    n_lit = int(lit.sum())
    if n_lit < lit.size / 8:
        return np.inf
    x = np.arange(len(window)) / (len(window) - 1)
    level = (window * lit).sum(axis=(1, 2), keepdims=True) / n_lit
    centred = np.where(lit, window - level, 0.0)
    step = centred[-1] - centred[0]
    change = float((step**2).sum()) / n_lit
    variance = (centred**2).sum(axis=(1, 2)) / n_lit
    fainter, stronger = sorted((variance[0], variance[-1]))
    if change < _LEAST_CHANGE or fainter < max(_BLANK, 0.05 * stronger):
        return np.inf
    likeness = (centred[0] * centred[-1]).sum() / n_lit / np.sqrt(variance[0] * variance[-1])
    parabola = x * (1 - x)
    dip = ((1 - x) * variance[0] + x * variance[-1] - variance) / change
    depth = float((dip * parabola).sum() / (parabola**2).sum())
    part_error, spread = _parts(window, lit, step, x)
    if likeness > 0.8 or not 0.55 < depth < 1.6 or spread < 0.3:
        return np.inf
    off = centred - centred[0] - x[:, None, None] * step
    residual = float(((off**2).sum(axis=(1, 2)) / n_lit / change).mean())
    path = np.sqrt((np.diff(centred, axis=0) ** 2).sum(axis=(1, 2)) / n_lit).sum()
    # Moving frames leave the line, but then their path is long. A short path is an error.
    straightness = min(0.6, float(np.sqrt(change) / path))
    return residual + 0.5 * part_error + 0.25 * straightness


def _parts(window: Floats, lit: NDArray[np.bool_], step: Floats, x: Floats) -> tuple[float, float]:
    """Compare the parts of the frame.

    Returns:
        Error of the parabola over the parts, and evenness of their changes (1: all are equal).
    """
    height, width = lit.shape
    rows, columns = _GRID
    misses: list[Floats] = []
    changes: list[float] = []
    shares: list[float] = []
    for i in range(rows):
        for j in range(columns):
            part = (
                slice(height * i // rows, height * (i + 1) // rows),
                slice(width * j // columns, width * (j + 1) // columns),
            )
            mask = lit[part]
            if mask.sum() < 8:
                continue
            pixels = window[:, part[0], part[1]][:, mask]
            pixels = pixels - pixels.mean(axis=1, keepdims=True)
            variance = (pixels**2).sum(axis=1)
            change = float(((pixels[-1] - pixels[0]) ** 2).sum())
            line = (1 - x) * variance[0] + x * variance[-1]
            misses.append(np.abs(line - variance - x * (1 - x) * change))
            changes.append(change)
            shares.append(float((step[part] ** 2).sum()))
    total = np.asarray(shares)
    spread = float(total.sum() ** 2 / (len(total) * (total**2).sum() + 1e-9))
    missed = np.sum(misses, axis=0)
    return float(np.sqrt((missed**2).mean()) / (sum(changes) + 1e-9)), spread
