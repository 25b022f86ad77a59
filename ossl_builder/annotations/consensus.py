"""Combine the answers of several annotators: majority vote, and Dawid and Skene's model.

Source: A. P. Dawid and A. M. Skene, "Maximum Likelihood Estimation of Observer Error-Rates Using
the EM Algorithm", Applied Statistics 28 (1979). Their maximum likelihood trusts an annotator of
three clips as much as one of three thousand. Here each annotator starts from a prior that is worth
a few answers, and is estimated only from clips that others answered too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ossl_builder.annotations.label_schema import LabelSchema, Question
from ossl_builder.annotations.records import Annotation, Answer

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
ClipKey = tuple[str, str]

# Shares that differ by less are a tie, and probabilities are rounded accordingly: their last bits
# differ between machines, but the tables must not.
DECIMALS = 6

PRIOR_ACCURACY = 0.7
MAX_ITERATIONS = 200
TOLERANCE = 1e-7
MIN_PROBABILITY = 1e-10


def valid_annotations(annotations: Iterable[Annotation], schema: LabelSchema) -> list[Annotation]:
    """Return the annotations that count, sorted: answered, under this schema version.

    Skipped and withdrawn annotations never count. Answers to other versions have other meanings.
    """
    return sorted(
        (
            annotation
            for annotation in annotations
            if annotation.state == "answered" and annotation.schema == schema.version
        ),
        key=lambda annotation: (annotation.film_id, *annotation.key),
    )


@dataclass(frozen=True)
class AnswerMatrix:
    """Answers to one question, one entry per answer.

    Attributes:
        clips: (n,) index into `clip_keys`.
        annotators: (n,) index into `annotator_ids`.
        answers: (n,) index into the question's `answers`.
        clip_keys: (film id, clip id) of each clip that has an answer, sorted.
        annotator_ids: annotators who gave an answer, sorted.
    """

    clips: Ints
    annotators: Ints
    answers: Ints
    clip_keys: tuple[ClipKey, ...]
    annotator_ids: tuple[str, ...]


def answer_matrix(annotations: Sequence[Annotation], question: Question) -> AnswerMatrix:
    """Return the answers of valid annotations to a question with one answer."""
    index_of_answer = {answer: index for index, answer in enumerate(question.answers)}
    entries = [
        (
            annotation.clip_key,
            annotation.annotator,
            index_of_answer[annotation.answers[question.name]],
        )
        for annotation in annotations
        if annotation.answers.get(question.name) in index_of_answer
    ]
    clip_keys = sorted({clip for clip, _, _ in entries})
    annotator_ids = sorted({annotator for _, annotator, _ in entries})
    index_of_clip = {clip: index for index, clip in enumerate(clip_keys)}
    index_of_annotator = {annotator: index for index, annotator in enumerate(annotator_ids)}
    return AnswerMatrix(
        clips=np.array([index_of_clip[clip] for clip, _, _ in entries], dtype=np.int64),
        annotators=np.array([index_of_annotator[name] for _, name, _ in entries], dtype=np.int64),
        answers=np.array([answer for _, _, answer in entries], dtype=np.int64),
        clip_keys=tuple(clip_keys),
        annotator_ids=tuple(annotator_ids),
    )


@dataclass(frozen=True)
class Consensus:
    """The combined answer for one clip.

    Attributes:
        answer: the answer; None: a tie.
        confidence: majority vote: the share of this answer; Dawid and Skene: its probability;
            None: a tie.
    """

    answer: str | None
    confidence: float | None


NO_CONSENSUS = Consensus(None, None)


def majority(answers: Sequence[Answer]) -> Consensus:
    """Return the most frequent answer."""
    ranked = Counter(answers).most_common(2)
    if not ranked or (len(ranked) == 2 and ranked[0][1] == ranked[1][1]):
        return NO_CONSENSUS
    answer, count = ranked[0]
    return Consensus(str(answer), round(count / len(answers), DECIMALS))


def dawid_skene(
    annotations: Sequence[Annotation], question: Question, smoothing: float
) -> dict[ClipKey, Consensus]:
    """Return the most probable answer for each clip that has one; see `fit_dawid_skene`.

    Args:
        annotations: valid annotations.
        question: a question with one answer.
        smoothing: weight of the prior, in answers per choice.
    """
    matrix = answer_matrix(annotations, question)
    if not matrix.clip_keys:
        return {}
    model = fit_dawid_skene(
        matrix.clips, matrix.annotators, matrix.answers, len(question.answers), smoothing
    )
    rounded = np.round(model.probabilities, DECIMALS)
    by_clip = {}
    for clip_key, probabilities in zip(matrix.clip_keys, rounded.tolist(), strict=True):
        highest = max(probabilities)
        is_tie = sorted(probabilities)[-2:][0] == highest
        answer = str(question.answers[probabilities.index(highest)])
        by_clip[clip_key] = NO_CONSENSUS if is_tie else Consensus(answer, highest)
    return by_clip


@dataclass(frozen=True)
class DawidSkeneFit:
    """A fitted model.

    Attributes:
        probabilities: (clips, choices), rows sum to 1.
        confusion: (annotators, choices, choices): probability that an annotator chooses the second
            if the first is true.
        shares: (choices,) share of each choice among the clips.
    """

    probabilities: Floats
    confusion: Floats
    shares: Floats


def fit_dawid_skene(
    clips: Ints,
    annotators: Ints,
    choices: Ints,
    n_choices: int,
    smoothing: float = 10.0,
    max_iterations: int = MAX_ITERATIONS,
) -> DawidSkeneFit:
    """Fit the model to answers. Their order changes only the last bits of the result.

    Args:
        clips: (n,) the clip of each answer; every number from 0 to the largest occurs.
        annotators: (n,) the annotator of each answer, numbered likewise.
        choices: (n,) each answer, 0 to `n_choices` - 1.
        n_choices: number of choices.
        smoothing: weight of the prior that an annotator is right 7 times in 10, in answers per
            choice; 0: no prior, Dawid and Skene's own estimate from all clips.
        max_iterations: limit of EM iterations; EM stops earlier if the probabilities are stable.

    Raises:
        ValueError: there are no answers.
    """
    if len(clips) == 0:
        raise ValueError("there are no answers")
    n_clips, n_annotators = int(clips.max()) + 1, int(annotators.max()) + 1
    votes = np.bincount(clips * n_choices + choices, minlength=n_clips * n_choices)
    votes = votes.reshape(n_clips, n_choices)
    probabilities: Floats = votes / votes.sum(axis=1, keepdims=True)
    # On a clip of their own, annotators always agree with the consensus: leave these clips out.
    is_shared = votes.sum(axis=1) > (1 if smoothing else 0)
    counts = is_shared[clips]
    prior = _prior(n_choices) * smoothing
    cell = annotators * n_choices + choices
    for _ in range(max_iterations):
        shares = probabilities[is_shared].sum(axis=0) + bool(smoothing)
        shares /= shares.sum()
        confusion = _confusion(probabilities, clips, cell, counts, n_annotators, prior)
        likelihood = np.log(confusion + MIN_PROBABILITY)
        scores = np.stack(
            [
                np.bincount(clips, likelihood[annotators, true, choices], minlength=n_clips)
                for true in range(n_choices)
            ],
            axis=1,
        ) + np.log(shares + MIN_PROBABILITY)
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        before, probabilities = probabilities, scores / scores.sum(axis=1, keepdims=True)
        if np.abs(probabilities - before).max() < TOLERANCE:
            break
    return DawidSkeneFit(probabilities, confusion, shares)


def _prior(n_choices: int) -> Floats:
    wrong = (1 - PRIOR_ACCURACY) / max(n_choices - 1, 1)
    return np.full((n_choices, n_choices), wrong) + np.eye(n_choices) * (PRIOR_ACCURACY - wrong)


def _confusion(
    probabilities: Floats,
    clips: Ints,
    cell: Ints,
    counts: NDArray[np.bool_],
    n_annotators: int,
    prior: Floats,
) -> Floats:
    n_choices = len(prior)
    expected = np.stack(
        [
            np.bincount(
                cell[counts],
                probabilities[clips[counts], true],
                minlength=n_annotators * n_choices,
            ).reshape(n_annotators, n_choices)
            for true in range(n_choices)
        ],
        axis=1,
    )
    weights: Floats = expected + prior
    totals = weights.sum(axis=2, keepdims=True)
    # A choice that was never true for an annotator's clips gives no information: uniform.
    return np.where(totals > 0, weights / np.where(totals > 0, totals, 1), 1 / n_choices)
