"""How well music matches a video: events at cuts, and loudness that follows motion.

Each measure is compared with chance: the same cuts shifted in time, and the same music with the
videos of other clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ossl_train.metrics import NotDefined, intervals
from ossl_train.metrics.intervals import FilmIndices, Interval

Values = NDArray[np.float64]

TOLERANCE_S = 0.1  # a cut and an onset within this time count as simultaneous
SHIFTS = 1000
NEAREST_S = 1.0  # shortest shift of the cuts
CONTROLS = 20  # other clips' videos that each clip's music is compared with
LONGEST_LAG = 20  # hops of 0.1 s
SHORTEST = 50  # fewest hops for a correlation


@dataclass(frozen=True)
class Timed:
    """The times of events in the music and of cuts in the video of one clip, in seconds."""

    events: Values
    cuts: Values
    duration_s: float


@dataclass(frozen=True)
class Alignment:
    """How often music has an event at a cut.

    Attributes:
        share: part of the cuts with an event within the tolerance.
        interval: of the share, over films.
        chance: mean share for cuts shifted by random times.
        p: part of the random shifts that reach the share; small if the share is above chance.
        n_cuts: number of cuts of all clips.
        clips: the clips that have cuts, by their index.
        hits: of each of these clips, the number of cuts with an event.
        counts: of each of these clips, the number of cuts.
    """

    share: float
    interval: Interval | None
    chance: float
    p: float
    n_cuts: int
    clips: tuple[int, ...]
    hits: tuple[float, ...]
    counts: tuple[float, ...]


def alignment(
    clips: Sequence[Timed],
    rng: np.random.Generator,
    resamples: int = 1000,
    tolerance_s: float = TOLERANCE_S,
    films: FilmIndices | None = None,
) -> Alignment:
    """Return the share of cuts at which the music has an event, and the share by chance.

    For chance, all cuts of a clip are shifted together by a uniform random time of at least a
    second, cyclically. The distances between cuts and the music do not change.

    Args:
        clips: events and cuts of each clip.
        rng: random numbers.
        resamples: of the interval.
        tolerance_s: largest distance of a cut and an event that count as simultaneous.
        films: the film of each clip; None: each is from a film of its own.

    Raises:
        NotDefined: no clip has a cut.
    """
    with_cuts = [index for index, clip in enumerate(clips) if len(clip.cuts)]
    cut = [clips[index] for index in with_cuts]
    if not cut:
        raise NotDefined("No clip has a cut.")
    hits = np.concatenate([_hits(clip, clip.cuts[None], tolerance_s) for clip in cut])
    counts = np.array([len(clip.cuts) for clip in cut], np.float64)
    moved = np.zeros(SHIFTS)
    for clip in cut:
        nearest_s = min(NEAREST_S, clip.duration_s / 4)
        shifts = rng.uniform(nearest_s, clip.duration_s - nearest_s, (SHIFTS, 1))
        moved += _hits(clip, (clip.cuts + shifts) % clip.duration_s, tolerance_s)
    share = float(hits.sum() / counts.sum())
    moved /= counts.sum()
    return Alignment(
        share=share,
        interval=intervals.of_ratio(
            hits, counts, resamples, rng, None if films is None else films[with_cuts]
        ),
        chance=float(moved.mean()),
        p=float((1 + (moved >= share - 1e-12).sum()) / (SHIFTS + 1)),
        n_cuts=int(counts.sum()),
        clips=tuple(with_cuts),
        hits=tuple(hits.tolist()),
        counts=tuple(counts.tolist()),
    )


def _hits(clip: Timed, cuts: Values, tolerance_s: float) -> Values:
    """Return for each row of cuts, shape (rows, cuts), the number with an event near."""
    if not len(clip.events):
        return np.zeros(len(cuts))
    after = np.searchsorted(clip.events, cuts)
    right = clip.events[np.minimum(after, len(clip.events) - 1)]
    left = clip.events[np.maximum(after - 1, 0)]
    near = np.minimum(np.abs(right - cuts), np.abs(left - cuts))
    return np.asarray((near <= tolerance_s + 1e-9).sum(axis=1), np.float64)


@dataclass(frozen=True)
class Following:
    """How well loudness follows motion.

    Attributes:
        correlation: rank correlation of a clip's loudness and motion at the same time; mean.
        control: the same with the motion of other films.
        excess: mean over clips of the difference of the two; 0: the video does not matter.
        interval: interval of the excess, over films.
        lag_s: delay of the music with the highest mean correlation, at most 2 s.
        at_lag: mean correlation at this delay.
        clips: the clips whose curves both change, by their index.
        excesses: the difference of each of these clips.
        n_left_out: number of clips whose music or video is constant, or shorter than 5 s.
    """

    correlation: float
    control: float
    excess: float
    interval: Interval | None
    lag_s: float
    at_lag: float
    clips: tuple[int, ...]
    excesses: tuple[float, ...]
    n_left_out: int


def following(
    loudness: Sequence[Values],
    motion: Sequence[Values],
    rng: np.random.Generator,
    resamples: int = 1000,
    hop_s: float = 0.1,
    films: FilmIndices | None = None,
) -> Following:
    """Measure whether music is louder where its video moves more.

    Neighbouring values of a curve are similar, so a test that assumes independence would find
    relations everywhere. The videos of other clips show the correlation that chance gives.

    Args:
        loudness: of each clip, one value per hop.
        motion: of each clip's video, in the same order.
        rng: chooses which other clips are the control, and the resamples.
        resamples: of the interval.
        hop_s: step of both.
        films: the film of each clip; None: each is from a film of its own. The control is the
            videos of other films.

    Raises:
        NotDefined: with fewer than two films whose clips can be compared.
    """
    films = np.arange(len(loudness)) if films is None else films
    own = [correlation(loud, moves) for loud, moves in zip(loudness, motion, strict=True)]
    usable = [index for index, value in enumerate(own) if value is not None]
    too_few = "The control needs clips of two films whose loudness and motion change."
    if len({int(films[index]) for index in usable}) < 2:
        raise NotDefined(too_few)
    first, controls, kept = [], [], []
    for index in usable:
        others = [other for other in usable if films[other] != films[index]]
        chosen = [others[k] for k in rng.permutation(len(others))[:CONTROLS]]
        correlations = [correlation(loudness[index], motion[other]) for other in chosen]
        defined = [value for value in correlations if value is not None]
        value = own[index]
        if value is not None and defined:
            kept.append(index)
            first.append(value)
            controls.append(float(np.mean(defined)))
    if len(kept) < 2:
        raise NotDefined(too_few)
    excess = np.array(first) - np.array(controls)
    lag, at_lag = _best_lag([loudness[k] for k in kept], [motion[k] for k in kept])
    return Following(
        correlation=float(np.mean(first)),
        control=float(np.mean(controls)),
        excess=float(excess.mean()),
        interval=intervals.of_mean(excess, resamples, rng, films[kept]),
        lag_s=lag * hop_s,
        at_lag=at_lag,
        clips=tuple(kept),
        excesses=tuple(excess.tolist()),
        n_left_out=len(own) - len(kept),
    )


def correlation(left: Values, right: Values, lag: int = 0) -> float | None:
    """Return Spearman's rank correlation of left[t + lag] and right[t], where both are defined.

    None if that is shorter than `SHORTEST` hops, or one of them does not change.
    """
    from scipy.stats import rankdata

    left, right = left[max(lag, 0) :], right[max(-lag, 0) :]
    n = min(len(left), len(right))
    if n < SHORTEST:
        return None
    left_ranks, right_ranks = rankdata(left[:n]), rankdata(right[:n])
    left_ranks, right_ranks = left_ranks - left_ranks.mean(), right_ranks - right_ranks.mean()
    length = float(np.sqrt((left_ranks**2).sum() * (right_ranks**2).sum()))
    return float((left_ranks * right_ranks).sum() / length) if length > 0 else None


def _best_lag(loudness: Sequence[Values], motion: Sequence[Values]) -> tuple[int, float]:
    """Return the lag in hops with the largest mean correlation; of equal ones the smallest."""
    best, highest = 0, -2.0
    for lag in sorted(range(-LONGEST_LAG, LONGEST_LAG + 1), key=lambda lag: (abs(lag), lag)):
        correlations = [correlation(*pair, lag) for pair in zip(loudness, motion, strict=True)]
        values = [value for value in correlations if value is not None]
        if values and np.mean(values) > highest + 1e-9:
            best, highest = lag, float(np.mean(values))
    return best, highest
