"""Clean and check answers from Label Studio or a file, before they become records."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ossl_builder import parse
from ossl_builder.annotations.label_schema import TEXT_LENGTH, LabelSchema
from ossl_builder.annotations.records import Answer

MASK = "[address]"
# Wider than the addr-spec of RFC 5322: mask whatever looks like an e-mail address.
EMAIL = re.compile(r"[^\s@<>()\[\]{},;:\"']+@[^\s@<>()\[\]{},;:\"']+\.[^\W\d_]{2,}", re.UNICODE)

# How far beyond the middle of a scale a rating contradicts a quadrant. One step is within the
# variation of a single annotator.
CONTRADICTION_STEPS = 2


@dataclass(frozen=True)
class CheckedAnswers:
    """Cleaned answers, ready for a record if there is no problem.

    Attributes:
        answers: without empty answers, answers to hidden questions, and e-mail addresses.
        problems: why the answers are invalid; such answers are not recorded.
        flags: what to review in valid answers: contradictions, masked e-mail addresses.
    """

    answers: dict[str, Answer]
    problems: tuple[str, ...]
    flags: tuple[str, ...]


def check_answers(
    schema: LabelSchema, raw: Mapping[str, Any], partial: bool = False
) -> CheckedAnswers:
    """Clean and check the answers of one annotator for one clip.

    Empty answers are dropped. So are answers to questions that another answer hides: the page
    keeps them if an annotator changes that answer. Chosen values are sorted as on the page.

    Args:
        schema: the label schema.
        raw: question name to answer.
        partial: required answers may be missing.
    """
    flags = []
    answers: dict[str, Answer] = {}
    for name, answer in raw.items():
        question = schema.question(name)
        if _is_empty(answer) or (question is not None and question.is_hidden(raw)):
            continue
        if isinstance(answer, str) and question is not None and question.kind == "text":
            answer = " ".join(answer.split())
            # Check the length first: the search for addresses in a very long text is too slow.
            if len(answer) <= TEXT_LENGTH:
                answer, is_masked = mask_emails(answer)
                flags += [f"an e-mail address in {name} was masked"] * is_masked
        if isinstance(answer, list | tuple):
            order = question.answers if question else ()
            answer = tuple(sorted(answer, key=lambda value: _position(value, order)))
        answers[name] = answer
    problems = tuple(find_problems(schema, answers, partial))
    if not problems:
        flags += find_contradictions(schema, answers)
    return CheckedAnswers(answers, problems, tuple(flags))


def find_problems(
    schema: LabelSchema, answers: Mapping[str, Any], partial: bool = False
) -> list[str]:
    """Return why answers are invalid, one sentence each; empty: they are valid.

    Args:
        schema: the label schema.
        answers: question name to answer, without hidden questions.
        partial: required answers may be missing.
    """
    problems = [
        f"{parse.cut(name)} is not a question" for name in answers if schema.question(name) is None
    ]
    for question in schema.questions:
        if question.name in answers:
            problem = question.problem(answers[question.name])
            problems += [problem] if problem else []
        elif question.required and not partial and not question.is_hidden(answers):
            problems.append(f"{question.name} is not answered")
    return problems


def find_contradictions(schema: LabelSchema, answers: Mapping[str, Any]) -> list[str]:
    """Return where the quadrant and the scales of valid answers contradict each other.

    Valence contradicts a quadrant from two steps beyond the middle of its scale. Russell has one
    kind of arousal, the page has two: only both together contradict a quadrant, because suspense
    has tension without energy, and a gallop has energy without tension.
    """
    question = schema.question("quadrant")
    values = {} if question is None else {value.name: value for value in question.values}
    quadrant = values.get(answers.get("quadrant", ""))
    if quadrant is None:
        return []
    contradictions = []
    if _all_opposite(schema, answers, ("valence",), quadrant.valence):
        contradictions.append(f"quadrant {quadrant.name} with a valence of {answers['valence']}")
    if _all_opposite(schema, answers, ("energy", "tension"), quadrant.arousal):
        contradictions.append(
            f"quadrant {quadrant.name} with an energy of {answers['energy']} "
            f"and a tension of {answers['tension']}"
        )
    return contradictions


def _all_opposite(
    schema: LabelSchema, answers: Mapping[str, Any], names: tuple[str, ...], half: str
) -> bool:
    """Whether all these ratings are clearly in the other half of their scale than `half`."""
    for name in names:
        question, answer = schema.question(name), answers.get(name)
        if question is None or answer is None:
            return False
        numbers = question.answers
        middle = (int(str(numbers[0])) + int(str(numbers[-1]))) / 2
        distance = answer - middle if half == "low" else middle - answer
        if distance < CONTRADICTION_STEPS:
            return False
    return True


def mask_emails(text: str) -> tuple[str, bool]:
    """Replace each e-mail address by `[address]`; also return whether there was one."""
    masked, count = EMAIL.subn(MASK, text)
    return masked, count > 0


def _is_empty(answer: Any) -> bool:
    if isinstance(answer, str):
        return not answer.strip()
    return answer is None or (isinstance(answer, list | tuple) and not answer)


def _position(answer: Any, order: tuple[Answer, ...]) -> int:
    return order.index(answer) if answer in order else len(order)
