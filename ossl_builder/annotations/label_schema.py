"""The taxonomy: what labellers are asked, as `moods.yaml` says it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ossl_builder import parse
from ossl_builder.annotations import records
from ossl_builder.annotations.question import KINDS, LEVELS, PLACES, Choice, Question
from ossl_builder.errors import OsslError
from ossl_builder.files import bundled_folder
from ossl_builder.tables.labels import QUADRANTS

FILE = "moods.yaml"
SIDES = {"high", "low"}
# It stands in the description of a project on the server, and is read from there again.
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")

# How far beyond the middle of a scale a rating speaks against a quadrant. One step beyond it is
# within the scatter of a single labeller.
AGAINST = 2


@dataclass(frozen=True)
class LabelSchema:
    """A version of the questions.

    Attributes:
        version: `mood-1`; every record and task carries it.
        intro: what stands above the questions.
        questions: in the order of the page.
    """

    version: str
    intro: str
    questions: tuple[Question, ...]

    def question(self, name: str) -> Question | None:
        """The question of that name."""
        return next((one for one in self.questions if one.name == name), None)

    def mood(self, quadrant: str) -> str:
        """A quadrant's words in a prompt, `happy, excited`."""
        return self._quadrants()[quadrant].mood

    def problems(self, answers: Mapping[str, Any], partial: bool = False) -> list[str]:
        """What makes a set of answers invalid, one sentence each; empty: nothing.

        An answer to a question that was hidden is none: `intake.receive` drops it before.

        Args:
            answers: question's name to answer.
            partial: required answers may be missing, as they do where others asked less.
        """
        unknown = [name for name in answers if self.question(name) is None]
        found = [f"{parse.cut(name)} is no question" for name in unknown]
        for question in self.questions:
            if question.name in answers:
                problem = question.problem(answers[question.name])
                found += [problem] if problem else []
            elif question.required and not partial and not question.is_hidden(answers):
                found.append(f"{question.name} is not answered")
        return found

    def contradictions(self, answers: Mapping[str, Any]) -> list[str]:
        """Where valid answers do not fit each other: the quadrant against the scales.

        Valence is against a quadrant from two steps beyond the middle. Of arousal Russell knows
        one kind, the page two: only both together can speak against a quadrant, because suspense
        has tension without energy, and a gallop energy without tension.
        """
        quadrant = self._quadrants().get(answers.get("quadrant", ""))
        if quadrant is None:
            return []
        found = []
        if self._all_beyond(answers, ("valence",), quadrant.valence):
            found.append(f"quadrant {quadrant.name} with a valence of {answers['valence']}")
        if self._all_beyond(answers, ("energy", "tension"), quadrant.arousal):
            found.append(
                f"quadrant {quadrant.name} with an energy of {answers['energy']} "
                f"and a tension of {answers['tension']}"
            )
        return found

    def _all_beyond(self, answers: Mapping[str, Any], names: tuple[str, ...], side: str) -> bool:
        """Whether all these ratings lie on the other side of the middle than `side`, and far."""
        for name in names:
            question, answer = self.question(name), answers.get(name)
            if question is None or answer is None:
                return False
            numbers = question.answers
            middle = (int(str(numbers[0])) + int(str(numbers[-1]))) / 2
            away = answer - middle if side == "low" else middle - answer
            if away < AGAINST:
                return False
        return True

    def _quadrants(self) -> dict[str, Choice]:
        question = self.question("quadrant")
        return {} if question is None else {value.name: value for value in question.values}


def bundled() -> LabelSchema:
    """The taxonomy that comes with the program."""
    return read(bundled_folder("annotations") / FILE)


def of(corpus: Path) -> LabelSchema:
    """A corpus' own taxonomy, `CORPUS/annotations/moods.yaml`; without it the bundled one."""
    own = corpus / records.FOLDER / FILE
    return read(own) if own.exists() else bundled()


def read(path: Path) -> LabelSchema:
    """A taxonomy from its file.

    Raises:
        OsslError: `taxonomy_invalid`, with what is wrong.
    """
    try:
        data = parse.yaml_file(path)
        taxonomy = LabelSchema(
            version=str(data["version"]),
            intro=str(data["intro"]).strip(),
            questions=tuple(_question(one) for one in data["questions"]),
        )
        problem = _problem(taxonomy)
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        problem = f"{type(error).__name__}: {' '.join(str(error).split())}"
    if problem:
        raise OsslError(
            "taxonomy_invalid",
            f"{path} is no taxonomy: {problem}.",
            "Compare it with annotations/moods.yaml of ossl-builder.",
        )
    return taxonomy


def _question(data: dict[str, Any]) -> Question:
    hidden = data.get("hidden_when")
    ends = ("", "")
    if data["kind"] == "scale":
        low, high = data["low"], data["high"]
        numbers = range(low["value"], high["value"] + 1)
        values = tuple(
            Choice(str(number), str(number), key)
            for number, key in zip(numbers, data["keys"].split(), strict=True)
        )
        ends = (low["says"], high["says"])
    else:
        values = tuple(
            Choice(name, **{"says": name, **(said or {})})
            for name, said in data.get("values", {}).items()
        )
    return Question(
        name=data["name"],
        ask=data["ask"],
        kind=data["kind"],
        level=data.get("level"),
        required=data.get("required", False),
        values=values,
        hidden_when=next(iter(hidden.items())) if hidden else None,
        place=data["place"],
        ends=ends,
        hint=data.get("hint", ""),
    )


def _problem(taxonomy: LabelSchema) -> str:
    if not VERSION.fullmatch(taxonomy.version):
        return (
            f"its version is {parse.shown(taxonomy.version)}, not letters, digits, dots, dashes "
            "and underscores, 40 at most"
        )
    keys: dict[str, str] = {}
    names = [question.name for question in taxonomy.questions]
    for question in taxonomy.questions:
        if names.count(question.name) > 1:
            return f"the question {question.name} stands twice"
        if question.kind not in KINDS or question.level not in (None, *LEVELS):
            return f"{question.name} has an unknown kind or level"
        if question.place not in PLACES:
            return f"{question.name} has an unknown place"
        if question.kind != "text" and not question.values:
            return f"{question.name} has no values"
        if question.hidden_when and question.hidden_when[0] not in names:
            return f"{question.name} is hidden by the unknown {question.hidden_when[0]!r}"
        for value in question.values:
            if type(value.name) is not str:
                return f"{question.name} has the value {value.name!r}: put it in quotes"
            if value.key and keys.setdefault(value.key, question.name) != question.name:
                return f"{question.name} and {keys[value.key]} share the key {value.key!r}"
        pressed = [value.key for value in question.values if value.key]
        if len(set(pressed)) < len(pressed):
            return f"two values of {question.name} share a key"
    return _mood_problem(taxonomy)


def _mood_problem(taxonomy: LabelSchema) -> str:
    """What the labels table could not hold: it knows four quadrants, and scales from 1 to 9."""
    quadrant = taxonomy.question("quadrant")
    if quadrant is not None:
        if quadrant.kind != "choice" or quadrant.answers != QUADRANTS:
            return f"quadrant is no choice of {', '.join(QUADRANTS)}"
        if any(not (one.mood and {one.valence, one.arousal} <= SIDES) for one in quadrant.values):
            return "a quadrant lacks its mood, or its valence and arousal: high or low"
    for name in ("valence", "energy", "tension"):
        question = taxonomy.question(name)
        if question is not None and question.answers != tuple(range(1, 10)):
            return f"{name} is no scale from 1 to 9"
    return ""
