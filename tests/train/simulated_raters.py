"""Simulated raters, each with a different mean and noise."""

from __future__ import annotations

from collections.abc import Collection
from zlib import crc32

import numpy as np
from ossl_train.listening_test.design import QUESTIONS as FILE

from ossl_builder.annotations import label_schema as taxonomies
from ossl_builder.annotations.records import Answer

TAXONOMY = taxonomies.read(FILE)
QUESTIONS = ("mood_fit", "genre_fit", "video_fit", "quality")


def rate(
    clip: str,
    system: str,
    rater: int,
    liking: dict[str, float],
    seed: int,
    on: Collection[str] = QUESTIONS,
) -> dict[str, Answer]:
    """A rater's answers to a stimulus, 1 to 5: effects of clip, rater and preference, and noise.

    Args:
        clip, system: of the stimulus.
        rater: number of the rater.
        liking: planted preference for each system.
        seed: of the whole test.
        on: questions to which the preference applies.
    """
    found: dict[str, Answer] = {}
    for question in QUESTIONS:
        suits = _drawn(seed, clip, question) * 0.5
        strict = _drawn(seed, str(rater)) * 0.4
        scatter = _drawn(seed, clip, system, str(rater), question) * 0.8
        liked = liking.get(system, 0.0) if question in on else 0.0
        score = 2.8 + liked + suits + strict + scatter
        found[question] = int(np.clip(round(score), 1, 5))
    return found


def _drawn(seed: int, *what: str) -> float:
    return float(np.random.default_rng([seed, crc32("/".join(what).encode())]).normal())
