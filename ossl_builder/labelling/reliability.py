"""How reliable each labeller is, held against the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ossl_builder.labelling.agreement import alpha_of
from ossl_builder.labelling.annotation import Annotation
from ossl_builder.labelling.answered import counting
from ossl_builder.labelling.consensus import dawid_skene
from ossl_builder.labelling.questions import Question
from ossl_builder.labelling.settings import LabelsSettings
from ossl_builder.labelling.taxonomy import Taxonomy

QUESTION = "quadrant"


@dataclass(frozen=True)
class Reliability:
    """One labeller against the others, by the quadrant.

    Attributes:
        annotator: who.
        n_answered: clips answered.
        n_skipped: clips skipped.
        alpha_with: Krippendorff's alpha of all labellers; None: not defined.
        alpha_without: alpha of the others; higher means that they agree better without this one.
        agrees_share: part of the clips shared with others on which this one chose what Dawid and
            Skene's model, fitted to the others alone, thinks most probable; None: none shared.
        n_shared: those clips.
        why: why something is not defined; None: all is.
    """

    annotator: str
    n_answered: int
    n_skipped: int
    alpha_with: float | None
    alpha_without: float | None
    agrees_share: float | None
    n_shared: int
    why: str | None


def reliability(
    annotations: Iterable[Annotation], taxonomy: Taxonomy, settings: LabelsSettings
) -> list[Reliability]:
    """Each labeller who answered or skipped anything, by id."""
    known = list(annotations)
    counted = counting(known, taxonomy)
    question = taxonomy.question(QUESTION)
    if question is None:
        return []
    answered = Counter(one.annotator for one in counted)
    skipped = Counter(one.annotator for one in known if one.state == "skipped")
    with_all = alpha_of(counted, question)
    found = []
    for annotator in sorted({*answered, *skipped}):
        others = [one for one in counted if one.annotator != annotator]
        own = [one for one in counted if one.annotator == annotator]
        without = alpha_of(others, question)
        agreed = _agreed(own, others, question, settings)
        share = sum(agreed) / len(agreed) if agreed else None
        found.append(
            Reliability(
                annotator=annotator,
                n_answered=answered[annotator],
                n_skipped=skipped[annotator],
                alpha_with=with_all.alpha,
                alpha_without=without.alpha,
                agrees_share=share,
                n_shared=len(agreed),
                why=_why(with_all.why, with_all.alpha, without.why, without.alpha, share),
            )
        )
    return found


def _agreed(
    own: Sequence[Annotation],
    others: Sequence[Annotation],
    question: Question,
    settings: LabelsSettings,
) -> list[bool]:
    consensus = dawid_skene(others, question, settings.smoothing)
    return [
        one.answers[question.name] == consensus[one.film_id, one.clip_id].answer
        for one in own
        if question.name in one.answers and (one.film_id, one.clip_id) in consensus
    ]


def _why(
    with_why: str | None,
    with_alpha: float | None,
    without_why: str | None,
    without_alpha: float | None,
    share: float | None,
) -> str | None:
    reasons = []
    if with_alpha is None:
        reasons.append(f"alpha of all: {with_why}")
    if without_alpha is None:
        reasons.append(f"alpha of the others: {without_why}")
    if share is None:
        reasons.append("no clip with a quadrant is shared with others")
    return "; ".join(reasons) or None
