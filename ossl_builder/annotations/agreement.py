"""Agreement between annotators: per question and film, per annotator, and per clip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ossl_builder.annotations import alpha as alphas
from ossl_builder.annotations.aggregation import dawid_skene
from ossl_builder.annotations.alpha import Alpha, Floats
from ossl_builder.annotations.answer_matrix import answered, counting
from ossl_builder.annotations.label_schema import LabelSchema
from ossl_builder.annotations.question import Question
from ossl_builder.annotations.records import Annotation
from ossl_builder.annotations.settings import LabelsSettings

# A film, None being all of them, and the annotations of it that count.
Group = tuple[str | None, list[Annotation]]


@dataclass(frozen=True)
class Agreement:
    """How far people agree on one question.

    Attributes:
        question: its name.
        level: `nominal`, `ordinal` or `interval`.
        film_id: within this film; None: in all of them together.
        alpha: Krippendorff's alpha; None: not defined.
        low: lower end of its 95 % interval; None: not defined.
        high: upper end.
        why: why alpha, or only the interval, is not defined; None: both are.
        n_clips: clips that at least two people answered.
        n_annotators: people who answered.
    """

    question: str
    level: str
    film_id: str | None
    alpha: float | None
    low: float | None
    high: float | None
    why: str | None
    n_clips: int
    n_annotators: int


@dataclass(frozen=True)
class Disagreement:
    """How far people disagree on one clip.

    Attributes:
        film_id: the film.
        clip_id: the clip.
        score: 0, all answers equal, to 1; the mean over the questions of how far two people's
            answers lie apart, a whole scale or another choice being 1.
        n_annotators: people whose answers count.
    """

    film_id: str
    clip_id: str
    score: float
    n_annotators: int


def agreement(
    annotations: Iterable[Annotation], taxonomy: LabelSchema, settings: LabelsSettings
) -> list[Agreement]:
    """Alpha of every question that is compared: over all films, then film by film."""
    return [
        one
        for group in groups(annotations, taxonomy)
        for one in agreement_within(group, taxonomy, settings)
    ]


def groups(annotations: Iterable[Annotation], taxonomy: LabelSchema) -> list[Group]:
    """The annotations that count: of all films together, and of each if there are several."""
    counted = counting(annotations, taxonomy)
    by_film: dict[str, list[Annotation]] = {}
    for one in counted:
        by_film.setdefault(one.film_id, []).append(one)
    return [(None, counted), *(by_film.items() if len(by_film) > 1 else ())]


def agreement_within(
    group: Group, taxonomy: LabelSchema, settings: LabelsSettings
) -> list[Agreement]:
    """Alpha of every question that is compared, within one of `groups`."""
    film_id, chosen = group
    return [_agreement(film_id, chosen, question, settings) for question in compared(taxonomy)]


def compared(taxonomy: LabelSchema) -> list[Question]:
    """The questions whose answers are compared."""
    return [question for question in taxonomy.questions if question.level is not None]


def alpha_of(
    annotations: Sequence[Annotation], question: Question, resamples: int = 0, seed: int = 0
) -> Alpha:
    """Alpha of one question, of annotations that count.

    A question with any number of answers is taken as one nominal question per value, chosen or
    not, of those who chose anything.
    """
    found = _sets(annotations, question) if question.kind == "choices" else None
    numbers: Floats = np.array([0.0, 1.0])
    if found is None:
        given = answered(annotations, question)
        n_answers = len(question.answers)
        found = alphas.coincidences(given.clips, given.answers, len(given.clip_keys), n_answers)
        if question.level == "interval":
            numbers = np.array([float(str(answer)) for answer in question.answers])
    return alphas.alpha(found, question.level or "nominal", numbers, resamples, seed)


def most_disagreed(
    annotations: Iterable[Annotation], taxonomy: LabelSchema, n: int | None = None
) -> list[Disagreement]:
    """Clips with at least two people's answers, most disagreed on first.

    Args:
        annotations: of any state; only those that count are looked at.
        taxonomy: the questions.
        n: how many clips; None: all of them.
    """
    by_clip: dict[tuple[str, str], list[Annotation]] = {}
    for one in counting(annotations, taxonomy):
        by_clip.setdefault((one.film_id, one.clip_id), []).append(one)
    questions = [question for question in compared(taxonomy) if question.kind != "choices"]
    found = [
        Disagreement(film_id, clip_id, _score(people, questions), len(people))
        for (film_id, clip_id), people in by_clip.items()
        if len(people) > 1
    ]
    return sorted(found, key=lambda one: (-one.score, one.film_id, one.clip_id))[:n]


def _agreement(
    film_id: str | None, chosen: Sequence[Annotation], question: Question, settings: LabelsSettings
) -> Agreement:
    found = alpha_of(chosen, question, settings.resamples, settings.seed)
    return Agreement(
        question=question.name,
        level=question.level or "",
        film_id=film_id,
        alpha=found.alpha,
        low=found.low,
        high=found.high,
        why=found.why,
        n_clips=found.n_clips,
        n_annotators=len({one.annotator for one in chosen if question.name in one.answers}),
    )


def _sets(annotations: Sequence[Annotation], question: Question) -> Floats:
    """Coincidences of chosen and not chosen, (clips, 2, 2), summed over a question's values."""
    given = [
        ((one.film_id, one.clip_id), answer)
        for one in annotations
        if isinstance(answer := one.answers.get(question.name), tuple)
    ]
    clip_at = {clip: at for at, clip in enumerate(sorted({clip for clip, _ in given}))}
    clips = np.array([clip_at[clip] for clip, _ in given], dtype=np.int64)
    total = np.zeros((len(clip_at), 2, 2))
    for value in question.answers:
        chosen = np.array([value in answer for _, answer in given], dtype=np.int64)
        total += alphas.coincidences(clips, chosen, len(clip_at), 2)
    return total


def _score(people: Sequence[Annotation], questions: Sequence[Question]) -> float:
    apart = []
    for question in questions:
        places = {answer: at for at, answer in enumerate(question.answers)}
        given = [
            places[one.answers[question.name]] for one in people if question.name in one.answers
        ]
        furthest = 1 if question.level == "nominal" else len(places) - 1
        pairs = [min(abs(one - other), furthest) for one, other in combinations(given, 2)]
        if pairs:
            apart.append(sum(pairs) / len(pairs) / furthest)
    return round(sum(apart) / len(apart), 6) if apart else 0.0


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
    annotations: Iterable[Annotation], taxonomy: LabelSchema, settings: LabelsSettings
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
