"""What several people say together: what most say, and what Dawid and Skene's model thinks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ossl_builder.labelling.annotation import Annotation, Answer
from ossl_builder.labelling.answered import ClipKey, answered
from ossl_builder.labelling.questions import Question

# What lies closer than this together is a tie, and probabilities are rounded accordingly: the last
# bits differ between machines, the tables must not.
DECIMALS = 6


@dataclass(frozen=True)
class Consensus:
    """What people say together of one clip.

    Attributes:
        answer: None: a tie.
        confidence: majority: the part of the answers that fell on it; Dawid and Skene: its
            probability; None: a tie.
    """

    answer: str | None
    confidence: float | None


def majority(answers: Sequence[Answer]) -> Consensus:
    """What more people say than anything else."""
    ranked = Counter(answers).most_common(2)
    if not ranked or (len(ranked) == 2 and ranked[0][1] == ranked[1][1]):
        return Consensus(None, None)
    answer, count = ranked[0]
    return Consensus(str(answer), round(count / len(answers), DECIMALS))


def dawid_skene(
    annotations: Sequence[Annotation], question: Question, smoothing: float
) -> dict[ClipKey, Consensus]:
    """The most probable answer for each clip that has one; see `dawid_skene.fit`.

    Args:
        annotations: those that count.
        question: a question with one answer.
        smoothing: what a labeller's good name is worth, in answers.
    """
    import numpy as np

    from ossl_builder.labelling.dawid_skene import fit

    given = answered(annotations, question)
    if not given.clip_keys:
        return {}
    n_choices = len(question.answers)
    fitted = fit(given.clips, given.labellers, given.answers, n_choices, smoothing)
    rounded = np.round(fitted.probabilities, DECIMALS)
    found = {}
    for clip_key, probabilities in zip(given.clip_keys, rounded.tolist(), strict=True):
        best = max(probabilities)
        is_tie = sorted(probabilities)[-2:][0] == best
        answer = str(question.answers[probabilities.index(best)])
        found[clip_key] = Consensus(None, None) if is_tie else Consensus(answer, best)
    return found
