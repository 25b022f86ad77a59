"""Which annotations count, and their answers to one question as numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ossl_builder.annotations.label_schema import LabelSchema
from ossl_builder.annotations.question import Question
from ossl_builder.annotations.records import Annotation

Ints = NDArray[np.int64]
ClipKey = tuple[str, str]


@dataclass(frozen=True)
class Answered:
    """Answers to one question, one entry per answer.

    Attributes:
        clips: (n,) index into `clip_keys`.
        labellers: (n,) index into `annotators`.
        answers: (n,) index into the question's `answers`.
        clip_keys: (film, clip) of each clip that has an answer, sorted.
        annotators: those who gave one, sorted.
    """

    clips: Ints
    labellers: Ints
    answers: Ints
    clip_keys: tuple[ClipKey, ...]
    annotators: tuple[str, ...]


def counting(annotations: Iterable[Annotation], taxonomy: LabelSchema) -> list[Annotation]:
    """Those that count, sorted: answered, under this version of the questions.

    Skips and withdrawals count nowhere; answers to another version's questions mean other things.
    """
    return sorted(
        (one for one in annotations if one.state == "answered" and one.schema == taxonomy.version),
        key=lambda one: (one.film_id, *one.key),
    )


def answered(annotations: Sequence[Annotation], question: Question) -> Answered:
    """The answers of annotations that count to a question with one answer."""
    places = {answer: at for at, answer in enumerate(question.answers)}
    given = [
        ((one.film_id, one.clip_id), one.annotator, places[one.answers[question.name]])
        for one in annotations
        if one.answers.get(question.name) in places
    ]
    clip_keys = sorted({clip for clip, _, _ in given})
    annotators = sorted({annotator for _, annotator, _ in given})
    clip_at = {clip: at for at, clip in enumerate(clip_keys)}
    annotator_at = {annotator: at for at, annotator in enumerate(annotators)}
    return Answered(
        clips=np.array([clip_at[clip] for clip, _, _ in given], dtype=np.int64),
        labellers=np.array([annotator_at[who] for _, who, _ in given], dtype=np.int64),
        answers=np.array([answer for _, _, answer in given], dtype=np.int64),
        clip_keys=tuple(clip_keys),
        annotators=tuple(annotators),
    )
