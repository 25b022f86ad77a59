"""Dawid and Skene's model: what is probably true, and how each labeller errs.

Source: A. P. Dawid and A. M. Skene, "Maximum Likelihood Estimation of Observer Error-Rates Using
the EM Algorithm", Applied Statistics 28 (1979). Their maximum likelihood believes a labeller of
three clips as surely as one of three thousand; here each labeller starts from a belief that is
worth a few answers, and learns only from clips that others answered too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# The belief in a labeller of whom nothing is known yet.
RIGHT = 0.7
ROUNDS = 200
TOLERANCE = 1e-7
TINY = 1e-10


@dataclass(frozen=True)
class Fit:
    """A fitted model.

    Attributes:
        probabilities: (clips, choices), rows sum to 1.
        confusion: (labellers, choices, choices): how probably a labeller, the first choice being
            true, says the second.
        shares: (choices,) how frequent each choice is among the clips.
    """

    probabilities: Floats
    confusion: Floats
    shares: Floats


def fit(
    clips: Ints,
    labellers: Ints,
    choices: Ints,
    n_choices: int,
    smoothing: float = 10.0,
    rounds: int = ROUNDS,
) -> Fit:
    """Fit the model to answers. Their order matters to the last bits only.

    Args:
        clips: (n,) the clip of each answer; every number from 0 to the largest occurs.
        labellers: (n,) who gave it; likewise.
        choices: (n,) what was chosen, 0 to `n_choices` - 1.
        n_choices: how many choices there are.
        smoothing: how many answers per choice the belief is worth that a labeller is right 7 times
            in 10; 0: none, Dawid and Skene's own estimate from all clips.
        rounds: most rounds of EM; it ends before when probabilities change no more.

    Raises:
        ValueError: there are no answers.
    """
    if len(clips) == 0:
        raise ValueError("there are no answers")
    n_clips, n_labellers = int(clips.max()) + 1, int(labellers.max()) + 1
    votes = np.bincount(clips * n_choices + choices, minlength=n_clips * n_choices)
    votes = votes.reshape(n_clips, n_choices)
    probabilities: Floats = votes / votes.sum(axis=1, keepdims=True)
    # Alone with a clip, a labeller is always right: that teaches nothing.
    shared = votes.sum(axis=1) > (1 if smoothing else 0)
    teaches = shared[clips]
    belief = _belief(n_choices) * smoothing
    cell = labellers * n_choices + choices
    for _ in range(rounds):
        shares = probabilities[shared].sum(axis=0) + bool(smoothing)
        shares /= shares.sum()
        confusion = _confusion(probabilities, clips, cell, teaches, n_labellers, belief)
        likelihood = np.log(confusion + TINY)
        scores = np.stack(
            [
                np.bincount(clips, likelihood[labellers, true, choices], minlength=n_clips)
                for true in range(n_choices)
            ],
            axis=1,
        ) + np.log(shares + TINY)
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        before, probabilities = probabilities, scores / scores.sum(axis=1, keepdims=True)
        if np.abs(probabilities - before).max() < TOLERANCE:
            break
    return Fit(probabilities, confusion, shares)


def _belief(n_choices: int) -> Floats:
    wrong = (1 - RIGHT) / max(n_choices - 1, 1)
    return np.full((n_choices, n_choices), wrong) + np.eye(n_choices) * (RIGHT - wrong)


def _confusion(
    probabilities: Floats,
    clips: Ints,
    cell: Ints,
    teaches: NDArray[np.bool_],
    n_labellers: int,
    belief: Floats,
) -> Floats:
    n_choices = len(belief)
    counts = np.stack(
        [
            np.bincount(
                cell[teaches],
                probabilities[clips[teaches], true],
                minlength=n_labellers * n_choices,
            ).reshape(n_labellers, n_choices)
            for true in range(n_choices)
        ],
        axis=1,
    )
    told: Floats = counts + belief
    totals = told.sum(axis=2, keepdims=True)
    # A choice that was never true of a labeller's clips says nothing of her.
    return np.where(totals > 0, told / np.where(totals > 0, totals, 1), 1 / n_choices)
