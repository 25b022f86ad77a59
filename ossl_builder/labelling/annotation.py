"""An annotation: what one person said of one clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ossl_builder.engine import parse

# An answer: a choice, several choices, a number on a scale, or a text.
Answer = str | int | tuple[str, ...]

STATES = ("answered", "skipped", "withdrawn")


@dataclass(frozen=True)
class Annotation:
    """One record; there is one per clip and annotator.

    Attributes:
        film_id: the clip's film.
        clip_id: the clip.
        annotator: `a01`, `a02`…; who that is stands in the key, which git ignores.
        schema: version of the taxonomy it was given under, `mood-1`.
        state: `answered`; `skipped`; `withdrawn`: the annotator deleted it, its answers are kept
            here and count nowhere.
        answers: question's name to answer; only questions that were answered.
        source: `label-studio`, `import` or `carried`.
        updated_at: when its annotator last changed it, ISO 8601 in UTC to the second.
        carried_from: the clip it was given for, where `source` is `carried`; else None.
    """

    film_id: str
    clip_id: str
    annotator: str
    schema: str
    state: str
    answers: dict[str, Answer]
    source: str
    updated_at: str
    carried_from: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What it is unique by: clip and annotator."""
        return self.clip_id, self.annotator

    def to_json(self) -> dict[str, Any]:
        """As plain values, in the order of a line in a file; None is left out."""
        values: dict[str, Any] = {
            "clip_id": self.clip_id,
            "annotator": self.annotator,
            "film_id": self.film_id,
            "schema": self.schema,
            "state": self.state,
            "answers": {
                name: list(answer) if isinstance(answer, tuple) else answer
                for name, answer in sorted(self.answers.items())
            },
            "source": self.source,
            "updated_at": self.updated_at,
        }
        if self.carried_from is not None:
            values["carried_from"] = self.carried_from
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Annotation:
        """The inverse of `to_json`.

        Raises:
            TypeError, ValueError, KeyError: it is no record.
        """
        if values["state"] not in STATES:
            raise ValueError(f"its state is {parse.shown(values['state'])}")
        for name, value in values.items():
            if name != "answers" and not isinstance(value, str):
                raise ValueError(f"its {parse.cut(name)} is {parse.shown(value)}")
        answers = {
            name: tuple(answer) if isinstance(answer, list) else answer
            for name, answer in values["answers"].items()
        }
        for name, answer in answers.items():
            parts = answer if isinstance(answer, tuple) else (answer,)
            if not all(isinstance(part, str | int) for part in parts):
                raise ValueError(f"its answer to {parse.cut(name)} is {parse.shown(answer)}")
        return cls(**{**values, "answers": answers})
