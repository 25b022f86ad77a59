"""The label schema: the questions that annotators are asked, read from `moods.yaml`."""

from __future__ import annotations

import dataclasses
import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ossl_builder import parse
from ossl_builder.annotations import records
from ossl_builder.annotations.records import Answer
from ossl_builder.errors import OsslError
from ossl_builder.files import bundled_folder
from ossl_builder.tables import Clip, Film, Label
from ossl_builder.tables.labels import QUADRANTS

FILE_NAME = "moods.yaml"
# The project's description on the server contains it, and is parsed again.
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")

KINDS = ("choice", "choices", "scale", "text")
LEVELS = ("nominal", "ordinal", "interval")
PLACES = ("left", "right", "below")
HALVES = {"high", "low"}
TEXT_LENGTH = 2000
# Questions that the labels table has fixed columns for. `confidence` of annotators has none: it
# only decides between captions.
FIXED_QUESTIONS = frozenset(
    ("quadrant", "valence", "energy", "tension", "music_audible", "speech_over_music",
     "mood_words", "caption", "confidence")
)  # fmt: skip
# Names of a clip's files, split and model's caption in exports.
EXPORT_COLUMNS = (
    "split", "video", "mix", "music", "dialogue", "file_name",
    "model_caption", "model_caption_model", "model_caption_revision",
)  # fmt: skip


@dataclass(frozen=True)
class Choice:
    """One value that an annotator may choose.

    Attributes:
        name: the value in records; of a scale, a whole number.
        says: its text on the page.
        key: its key on the keyboard; empty: none.
        mood: of a quadrant: its words in a prompt; else empty.
        valence: of a quadrant: `high` or `low`; else empty.
        arousal: of a quadrant: `high` or `low`; else empty.
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
        name: name of its control on the page, and its key in records and exports.
        ask: its text on the page.
        kind: one of `KINDS`.
        level: level of measurement, one of `LEVELS`; None: agreement is not computed.
        required: whether it must be answered unless it is hidden.
        values: the values to choose from, in the order of the page; of a scale, its numbers in
            order; of a text, empty.
        hidden_when: (question, value): hidden if that question has this answer; None: never.
        place: its place on the page, one of `PLACES`.
        ends: of a scale, the texts of its lowest and highest number.
        hint: of a text, what to write.
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
        """Every possible answer: names, or the numbers of a scale; empty for a text."""
        names = tuple(value.name for value in self.values)
        return tuple(map(int, names)) if self.kind == "scale" else names

    def is_hidden(self, answers: Mapping[str, Any]) -> bool:
        """Return whether other answers hide this question."""
        if self.hidden_when is None:
            return False
        name, value = self.hidden_when
        return bool(answers.get(name) == value)

    def problem(self, answer: Any) -> str | None:
        """Return why an answer is invalid, in one sentence; None: it is valid."""
        if self.kind == "text":
            return self._text_problem(answer)
        if self.kind == "choices":
            return self._choices_problem(answer)
        # Compare types too: to Python a bool is an int, and 1.0 equals 1.
        expected_type = int if self.kind == "scale" else str
        if type(answer) is expected_type and answer in self.answers:
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
        for value in answer:
            if value not in self.answers:
                return f"{self.name} contains {parse.shown(value)}, not {self._allowed}"
        if len(set(answer)) < len(answer):
            return f"{self.name} contains a value twice"
        return None

    @property
    def _allowed(self) -> str:
        if self.kind == "scale":
            return f"a whole number from {self.values[0].name} to {self.values[-1].name}"
        return "one of " + ", ".join(value.name for value in self.values)


@dataclass(frozen=True)
class LabelSchema:
    """A version of the questions.

    Attributes:
        version: `mood-1`; every record and task contains it.
        intro: text above the questions on the page.
        questions: in the order of the page.
    """

    version: str
    intro: str
    questions: tuple[Question, ...]

    def question(self, name: str) -> Question | None:
        """Return the question with this name; None: there is none."""
        return next((question for question in self.questions if question.name == name), None)

    def mood(self, quadrant: str) -> str:
        """Return the words of a quadrant in a prompt, such as `happy, excited`."""
        question = self.question("quadrant")
        values = () if question is None else question.values
        return {value.name: value.mood for value in values}[quadrant]


def bundled() -> LabelSchema:
    """Read the label schema that is part of the program."""
    return read(bundled_folder("annotations") / FILE_NAME)


def load(corpus: Path) -> LabelSchema:
    """Read a corpus' own schema, `CORPUS/annotations/moods.yaml`, or else the bundled one."""
    path = corpus / records.FOLDER / FILE_NAME
    return read(path) if path.exists() else bundled()


def read(path: Path) -> LabelSchema:
    """Read and check a label schema.

    Raises:
        OsslError: `taxonomy_invalid`, with the first problem.
    """
    try:
        data = parse.yaml_file(path)
        schema = LabelSchema(
            version=str(data["version"]),
            intro=str(data["intro"]).strip(),
            questions=tuple(_parse_question(question) for question in data["questions"]),
        )
        problem = _problem(schema)
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        problem = f"{type(error).__name__}: {' '.join(str(error).split())}"
    if problem:
        raise OsslError(
            "taxonomy_invalid",
            f"{path} is not a valid label schema: {problem}.",
            "Compare it with annotations/moods.yaml of ossl-builder.",
        )
    return schema


def _parse_question(data: dict[str, Any]) -> Question:
    hidden_when = data.get("hidden_when")
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
            Choice(name, **{"says": name, **(fields or {})})
            for name, fields in data.get("values", {}).items()
        )
    return Question(
        name=data["name"],
        ask=data["ask"],
        kind=data["kind"],
        level=data.get("level"),
        required=data.get("required", False),
        values=values,
        hidden_when=next(iter(hidden_when.items())) if hidden_when else None,
        place=data["place"],
        ends=ends,
        hint=data.get("hint", ""),
    )


def _problem(schema: LabelSchema) -> str:
    if not VERSION.fullmatch(schema.version):
        return (
            f"its version is {parse.shown(schema.version)}; allowed are letters, digits, dots, "
            "dashes and underscores, 40 at most"
        )
    question_of_key: dict[str, str] = {}
    names = [question.name for question in schema.questions]
    for question in schema.questions:
        if names.count(question.name) > 1:
            return f"the question {question.name} is given twice"
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
            if value.key and question_of_key.setdefault(value.key, question.name) != question.name:
                other = question_of_key[value.key]
                return f"{question.name} and {other} share the key {value.key!r}"
        keys = [value.key for value in question.values if value.key]
        if len(set(keys)) < len(keys):
            return f"two values of {question.name} share a key"
    return _mood_problem(schema) or _column_problem(schema)


def _mood_problem(schema: LabelSchema) -> str:
    """Return what the fixed columns of the labels table could not contain."""
    quadrant = schema.question("quadrant")
    if quadrant is not None:
        if quadrant.kind != "choice" or quadrant.answers != QUADRANTS:
            return f"quadrant is not a choice of {', '.join(QUADRANTS)}"
        for value in quadrant.values:
            if not (value.mood and {value.valence, value.arousal} <= HALVES):
                return f"{value.name} needs a mood, and valence and arousal: high or low"
    for name in ("valence", "energy", "tension"):
        question = schema.question(name)
        if question is not None and question.answers != tuple(range(1, 10)):
            return f"{name} is not a scale from 1 to 9"
    return ""


def _column_problem(schema: LabelSchema) -> str:
    """Return which question cannot become a column of the labels table and of exports."""
    columns = {field.name for row in (Label, Clip, Film) for field in dataclasses.fields(row)}
    for question in schema.questions:
        if question.name in FIXED_QUESTIONS:
            continue
        name = question.name
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name, re.ASCII) or keyword.iskeyword(name):
            return f"the name {parse.shown(name)} needs lower case letters, digits, underscores"
        if name in columns or name in EXPORT_COLUMNS:
            return f"the name {name} is already a column of a table or an export"
    return ""
