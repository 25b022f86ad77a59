"""A question to labellers: what may be answered, and what is wrong with an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ossl_builder import parse
from ossl_builder.annotations.records import Answer

KINDS = ("choice", "choices", "scale", "text")
LEVELS = ("nominal", "ordinal", "interval")
PLACES = ("left", "right", "below")
TEXT_LENGTH = 2000


@dataclass(frozen=True)
class Choice:
    """One value a labeller may choose.

    Attributes:
        name: as it stands in records; of a scale, a whole number.
        says: as it stands on the page.
        key: its key on the keyboard; empty: none.
        mood: of a quadrant: its words in a prompt; else empty.
        valence: of a quadrant: `high` or `low`; else empty.
        arousal: likewise.
    """

    name: str
    says: str
    key: str = ""
    mood: str = ""
    valence: str = ""
    arousal: str = ""


@dataclass(frozen=True)
class Question:
    """One question.

    Attributes:
        name: control's name on the page, and key in records and exports.
        ask: the question as it stands on the page.
        kind: one of `KINDS`.
        level: one of `LEVELS`; None: answers of several people are not compared.
        required: whether it must be answered when it is not hidden.
        values: what may be chosen, in the order of the page; of a scale, its numbers in order;
            of a text, nothing.
        hidden_when: (question, value): not asked when that is the answer; None: always asked.
        place: where it stands on the page, one of `PLACES`.
        ends: of a scale, what its lowest and highest number mean.
        hint: what a text is for.
    """

    name: str
    ask: str
    kind: str
    level: str | None
    required: bool
    values: tuple[Choice, ...]
    hidden_when: tuple[str, str] | None
    place: str
    ends: tuple[str, str] = ("", "")
    hint: str = ""

    @property
    def answers(self) -> tuple[Answer, ...]:
        """Every single answer: names, or the numbers of a scale; nothing for a text."""
        names = tuple(value.name for value in self.values)
        return tuple(map(int, names)) if self.kind == "scale" else names

    def is_hidden(self, answers: Mapping[str, Any]) -> bool:
        """Whether it is not asked, given the other answers."""
        if self.hidden_when is None:
            return False
        name, value = self.hidden_when
        return bool(answers.get(name) == value)

    def problem(self, answer: Any) -> str | None:
        """What is wrong with an answer, in one sentence; None: nothing."""
        if self.kind == "text":
            return self._text_problem(answer)
        if self.kind == "choices":
            return self._choices_problem(answer)
        # A bool is an int to Python, and 1.0 equals 1.
        wanted = int if self.kind == "scale" else str
        if type(answer) is wanted and answer in self.answers:
            return None
        return f"{self.name} is {parse.shown(answer)}, not {self._allowed}"

    def _text_problem(self, answer: Any) -> str | None:
        if not isinstance(answer, str):
            return f"{self.name} is {parse.shown(answer)}, not a text"
        if len(answer) > TEXT_LENGTH:
            return f"{self.name} has {len(answer)} characters, more than {TEXT_LENGTH}"
        return None

    def _choices_problem(self, answer: Any) -> str | None:
        if not isinstance(answer, tuple | list):
            return f"{self.name} is {parse.shown(answer)}, not a list"
        for one in answer:
            if one not in self.answers:
                return f"{self.name} holds {parse.shown(one)}, not {self._allowed}"
        if len(set(answer)) < len(answer):
            return f"{self.name} holds a value twice"
        return None

    @property
    def _allowed(self) -> str:
        if self.kind == "scale":
            return f"a whole number from {self.values[0].name} to {self.values[-1].name}"
        return "one of " + ", ".join(value.name for value in self.values)
