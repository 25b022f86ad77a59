"""Agreement between annotators: per question and film, per annotator, and per clip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ossl_builder.annotations.alpha import Alpha, Floats, coincidences, krippendorff_alpha
from ossl_builder.annotations.consensus import answer_matrix, dawid_skene, valid_annotations
from ossl_builder.annotations.label_schema import LabelSchema, Question
from ossl_builder.annotations.records import Annotation
from ossl_builder.annotations.settings import LabelsSettings

# A film id, or None for all films, and its valid annotations.
Group = tuple[str | None, list[Annotation]]


@dataclass(frozen=True)
class Agreement:
    """Agreement of the annotators on one question.

    Attributes:
        question: its name.
        level: `nominal`, `ordinal` or `interval`.
        film_id: the film; None: all films together.
        alpha: Krippendorff's alpha; None: not defined.
        low: lower end of its 95 % interval; None: not defined.
        high: upper end.
        why: why alpha, or only the interval, is not defined; None: both are.
        n_clips: clips that at least two annotators answered.
        n_annotators: annotators who answered.
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
    """Disagreement of the annotators on one clip.

    Attributes:
        film_id: the film.
        clip_id: the clip.
        score: 0 (all answers are equal) to 1; mean over the questions of the distance between two
            annotators' answers, where a whole scale or another choice is 1.
        n_annotators: annotators with a valid annotation.
    """

    film_id: str
    clip_id: str
    score: float
    n_annotators: int


def agreement(
    annotations: Iterable[Annotation], schema: LabelSchema, settings: LabelsSettings
) -> list[Agreement]:
    """Return alpha of every compared question: of all films together, then of each film."""
    return [
        result
        for group in film_groups(annotations, schema)
        for result in group_agreement(group, schema, settings)
    ]


def film_groups(annotations: Iterable[Annotation], schema: LabelSchema) -> list[Group]:
    """Return the valid annotations of all films together, and of each if there are several."""
    valid = valid_annotations(annotations, schema)
    by_film: dict[str, list[Annotation]] = {}
    for annotation in valid:
        by_film.setdefault(annotation.film_id, []).append(annotation)
    return [(None, valid), *(by_film.items() if len(by_film) > 1 else ())]


def group_agreement(group: Group, schema: LabelSchema, settings: LabelsSettings) -> list[Agreement]:
    """Return alpha of every compared question, within one of `film_groups`."""
    film_id, valid = group
    return [
        _agreement(film_id, valid, question, settings) for question in compared_questions(schema)
    ]


def compared_questions(schema: LabelSchema) -> list[Question]:
    """Return the questions that have a level of measurement."""
    return [question for question in schema.questions if question.level is not None]


def alpha_of(
    annotations: Sequence[Annotation], question: Question, resamples: int = 0, seed: int = 0
) -> Alpha:
    """Return alpha of one question.

    A question with any number of choices becomes one nominal question per value (chosen or not),
    among the annotators who chose anything.

    Args:
        annotations: valid annotations.
        question: the question.
        resamples: number of bootstrap resamples; 0: no interval.
        seed: seed of the bootstrap.
    """
    numbers: Floats = np.array([0.0, 1.0])
    if question.kind == "choices":
        matrices = _choices_coincidences(annotations, question)
    else:
        matrix = answer_matrix(annotations, question)
        matrices = coincidences(
            matrix.clips, matrix.answers, len(matrix.clip_keys), len(question.answers)
        )
        if question.level == "interval":
            numbers = np.array([float(str(answer)) for answer in question.answers])
    return krippendorff_alpha(matrices, question.level or "nominal", numbers, resamples, seed)


def most_disagreed(
    annotations: Iterable[Annotation], schema: LabelSchema, n: int | None = None
) -> list[Disagreement]:
    """Return the clips with at least two annotators, largest disagreement first.

    Args:
        annotations: of any state; only valid ones are used.
        schema: the label schema.
        n: number of clips; None: all.
    """
    by_clip: dict[tuple[str, str], list[Annotation]] = {}
    for annotation in valid_annotations(annotations, schema):
        by_clip.setdefault(annotation.clip_key, []).append(annotation)
    questions = [question for question in compared_questions(schema) if question.kind != "choices"]
    disagreements = [
        Disagreement(film_id, clip_id, _disagreement_score(of_clip, questions), len(of_clip))
        for (film_id, clip_id), of_clip in by_clip.items()
        if len(of_clip) > 1
    ]
    return sorted(disagreements, key=lambda row: (-row.score, row.film_id, row.clip_id))[:n]


def _agreement(
    film_id: str | None, valid: Sequence[Annotation], question: Question, settings: LabelsSettings
) -> Agreement:
    result = alpha_of(valid, question, settings.resamples, settings.seed)
    return Agreement(
        question=question.name,
        level=question.level or "",
        film_id=film_id,
        alpha=result.alpha,
        low=result.low,
        high=result.high,
        why=result.why,
        n_clips=result.n_clips,
        n_annotators=len(
            {annotation.annotator for annotation in valid if question.name in annotation.answers}
        ),
    )


def _choices_coincidences(annotations: Sequence[Annotation], question: Question) -> Floats:
    """Return coincidences of chosen and not chosen, (clips, 2, 2), summed over the values."""
    entries = [
        (annotation.clip_key, answer)
        for annotation in annotations
        if isinstance(answer := annotation.answers.get(question.name), tuple)
    ]
    clip_keys = sorted({clip for clip, _ in entries})
    index_of_clip = {clip: index for index, clip in enumerate(clip_keys)}
    clips = np.array([index_of_clip[clip] for clip, _ in entries], dtype=np.int64)
    total = np.zeros((len(clip_keys), 2, 2))
    for value in question.answers:
        is_chosen = np.array([value in answer for _, answer in entries], dtype=np.int64)
        total += coincidences(clips, is_chosen, len(clip_keys), 2)
    return total


def _disagreement_score(of_clip: Sequence[Annotation], questions: Sequence[Question]) -> float:
    distances = []
    for question in questions:
        position = {answer: index for index, answer in enumerate(question.answers)}
        positions = [
            position[annotation.answers[question.name]]
            for annotation in of_clip
            if question.name in annotation.answers
        ]
        largest = 1 if question.level == "nominal" else len(position) - 1
        pairs = [min(abs(a - b), largest) for a, b in combinations(positions, 2)]
        if pairs:
            distances.append(sum(pairs) / len(pairs) / largest)
    return round(sum(distances) / len(distances), 6) if distances else 0.0


RELIABILITY_QUESTION = "quadrant"


@dataclass(frozen=True)
class Reliability:
    """One annotator compared with the others, by the quadrant.

    Attributes:
        annotator: the annotator.
        n_answered: clips answered.
        n_skipped: clips skipped.
        alpha_with: Krippendorff's alpha of all annotators; None: not defined.
        alpha_without: alpha of the others; higher means that they agree better without this one.
        agrees_share: share of the clips shared with others on which this annotator chose the most
            probable quadrant of Dawid and Skene's model, fitted to the others; None: none shared.
        n_shared: number of these clips.
        why: why a value is not defined; None: all are.
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
    annotations: Iterable[Annotation], schema: LabelSchema, settings: LabelsSettings
) -> list[Reliability]:
    """Return the reliability of each annotator who answered or skipped a clip, by id."""
    all_annotations = list(annotations)
    valid = valid_annotations(all_annotations, schema)
    question = schema.question(RELIABILITY_QUESTION)
    if question is None:
        return []
    answered = Counter(annotation.annotator for annotation in valid)
    skipped = Counter(
        annotation.annotator for annotation in all_annotations if annotation.state == "skipped"
    )
    with_all = alpha_of(valid, question)
    rows = []
    for annotator in sorted({*answered, *skipped}):
        others = [row for row in valid if row.annotator != annotator]
        own = [row for row in valid if row.annotator == annotator]
        without = alpha_of(others, question)
        is_match = _matches_model(own, others, question, settings)
        share = sum(is_match) / len(is_match) if is_match else None
        rows.append(
            Reliability(
                annotator=annotator,
                n_answered=answered[annotator],
                n_skipped=skipped[annotator],
                alpha_with=with_all.alpha,
                alpha_without=without.alpha,
                agrees_share=share,
                n_shared=len(is_match),
                why=_undefined_reasons(
                    with_all.why, with_all.alpha, without.why, without.alpha, share
                ),
            )
        )
    return rows


def _matches_model(
    own: Sequence[Annotation],
    others: Sequence[Annotation],
    question: Question,
    settings: LabelsSettings,
) -> list[bool]:
    consensus = dawid_skene(others, question, settings.smoothing)
    return [
        annotation.answers[question.name] == consensus[annotation.clip_key].answer
        for annotation in own
        if question.name in annotation.answers and annotation.clip_key in consensus
    ]


def _undefined_reasons(
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
        reasons.append("no clip with a quadrant is shared with other annotators")
    return "; ".join(reasons) or None
