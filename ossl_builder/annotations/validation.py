"""Taking answers in, from wherever they come: cleaned, checked, without anybody's address."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ossl_builder.annotations.label_schema import LabelSchema
from ossl_builder.annotations.question import TEXT_LENGTH
from ossl_builder.annotations.records import Answer

MASK = "[address]"
# Wider than RFC 5322's addr-spec where it matters: what looks like an address is masked.
EMAIL = re.compile(r"[^\s@<>()\[\]{},;:\"']+@[^\s@<>()\[\]{},;:\"']+\.[^\W\d_]{2,}", re.UNICODE)


@dataclass(frozen=True)
class Received:
    """Answers as they go into a record, if there is no problem.

    Attributes:
        answers: cleaned: nothing empty, nothing to hidden questions, no addresses.
        problems: what makes them invalid; such answers are not recorded.
        flags: what should be looked at, without being invalid: contradictions, masked addresses.
    """

    answers: dict[str, Answer]
    problems: tuple[str, ...]
    flags: tuple[str, ...]


def receive(taxonomy: LabelSchema, given: Mapping[str, Any], partial: bool = False) -> Received:
    """Clean and check what one person answered for one clip.

    Empty answers are dropped; so are answers to questions that another answer hides, which a page
    may still hold when the labeller changed her mind. Chosen values are sorted as on the page. With
    `partial`, required answers may be missing.
    """
    flags = []
    answers: dict[str, Answer] = {}
    for name, answer in given.items():
        question = taxonomy.question(name)
        if _is_empty(answer) or (question is not None and question.is_hidden(given)):
            continue
        if isinstance(answer, str) and question is not None and question.kind == "text":
            answer = " ".join(answer.split())
            # The length first: searching a very long text for addresses takes for ever.
            if len(answer) <= TEXT_LENGTH:
                answer, masked = mask(answer)
                flags += [f"an address in {name} was masked"] * masked
        if isinstance(answer, list | tuple):
            order = question.answers if question else ()
            answer = tuple(sorted(answer, key=lambda one: _place(one, order)))
        answers[name] = answer
    problems = tuple(taxonomy.problems(answers, partial))
    if not problems:
        flags += taxonomy.contradictions(answers)
    return Received(answers, problems, tuple(flags))


def mask(text: str) -> tuple[str, bool]:
    """A text with `[address]` in the place of each e-mail address; whether there was one."""
    masked, count = EMAIL.subn(MASK, text)
    return masked, count > 0


def _is_empty(answer: Any) -> bool:
    if isinstance(answer, str):
        return not answer.strip()
    return answer is None or (isinstance(answer, list | tuple) and not answer)


def _place(answer: Any, order: tuple[Answer, ...]) -> int:
    return order.index(answer) if answer in order else len(order)
