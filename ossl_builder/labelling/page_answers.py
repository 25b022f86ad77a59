"""Answers as Label Studio holds them, and as records hold them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ossl_builder.engine import parse
from ossl_builder.labelling.annotation import Answer
from ossl_builder.labelling.page import CLIP
from ossl_builder.labelling.questions import Question
from ossl_builder.labelling.taxonomy import Taxonomy


def answers_of(taxonomy: Taxonomy, results: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The answers in the `result` of an annotation, unchecked: `intake.receive` checks them.

    What belongs to no question is kept under its control's name, so that the check can name it.
    """
    found: dict[str, Any] = {}
    for result in results:
        name = str(result.get("from_name") or "")
        if not name:
            continue
        value = result.get("value")
        answer = _answer(taxonomy.question(name), value)
        # A control has one result. Of two that differ, neither is known to be the answer.
        found[name] = answer if found.get(name, answer) == answer else [found[name], answer]
    return found


def _answer(question: Question | None, value: Any) -> Any:
    given = _given(value) if isinstance(value, Mapping) else value
    if question is None or not isinstance(given, list):
        return given
    if question.kind == "choices":
        return tuple(given)
    if question.kind == "text":
        return " ".join(one if isinstance(one, str) else parse.shown(one) for one in given)
    if len(given) == 1:
        return as_number(given[0]) if question.kind == "scale" else given[0]
    return given


def results_of(taxonomy: Taxonomy, answers: Mapping[str, Answer]) -> list[dict[str, Any]]:
    """The inverse: a `result` for a prediction or an annotation, in the order of the page."""
    found = []
    for question in taxonomy.questions:
        if question.name not in answers:
            continue
        answer = answers[question.name]
        kind = "textarea" if question.kind == "text" else "choices"
        given = list(answer) if isinstance(answer, tuple) else [str(answer)]
        value = {"text" if kind == "textarea" else kind: given}
        found.append({"from_name": question.name, "to_name": CLIP, "type": kind, "value": value})
    return found


def as_number(text: Any) -> Any:
    """A whole number where the text is one, else the text itself."""
    try:
        return int(text) if isinstance(text, str) else text
    except ValueError:
        return text


def _given(value: Mapping[str, Any]) -> Any:
    """What stands in a result's value, whatever the control: a list, or a single value."""
    for kind in ("choices", "text", "taxonomy", "labels"):
        given = value.get(kind)
        if isinstance(given, Sequence) and not isinstance(given, str):
            return list(given)
        if given is not None:
            return [given]
    # Ratings and numbers are no lists.
    return next((value[kind] for kind in ("rating", "number") if kind in value), None)
