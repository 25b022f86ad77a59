"""Annotation records: JSON lines, one file per film, sorted, so that a diff is readable."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ossl_builder import files, parse
from ossl_builder.errors import OsslError

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
        source: `label-studio`, `import`, `carried` or `made-up` (the demo).
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


FOLDER = "annotations"


def path_of(corpus: Path, film_id: str) -> Path:
    """The file with a film's annotations."""
    return corpus / FOLDER / f"{film_id}.jsonl"


def film_ids(corpus: Path) -> list[str]:
    """Films that have annotations, sorted."""
    return sorted(path.stem for path in (corpus / FOLDER).glob("*.jsonl"))


def read_film(corpus: Path, film_id: str) -> tuple[Annotation, ...]:
    """A film's annotations, sorted by clip and annotator; none if it has no file.

    Raises:
        OsslError: `annotations_damaged`, naming file and line.
    """
    path = path_of(corpus, film_id)
    try:
        # Not `splitlines`: JSON leaves other separators of lines as they are in a text.
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        return ()
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            if line:
                found.append(Annotation.from_json(parse.json_value(line)))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise OsslError(
                "annotations_damaged",
                f"{path}, line {number}, is no annotation: {error}.",
                "Mend the line, or take the file back from git.",
            ) from error
    return tuple(sorted(found, key=lambda one: one.key))


def read_all(corpus: Path) -> Iterator[Annotation]:
    """All annotations of a corpus, film by film."""
    for film_id in film_ids(corpus):
        yield from read_film(corpus, film_id)


def write_film(corpus: Path, film_id: str, annotations: Iterable[Annotation]) -> bool:
    """Replace a film's annotations; whether anything changed. The caller holds the lock."""
    ordered = sorted(annotations, key=lambda one: one.key)
    if len({one.key for one in ordered}) != len(ordered):
        raise ValueError(f"two annotations of one clip by one annotator in {film_id}")
    lines = [
        json.dumps(one.to_json(), ensure_ascii=False, separators=(", ", ": ")) + "\n"
        for one in ordered
    ]
    data = "".join(lines).encode()
    path = path_of(corpus, film_id)
    if path.exists() and path.read_bytes() == data:
        return False
    files.write_bytes(path, data)
    return True


def put(corpus: Path, annotations: Iterable[Annotation]) -> int:
    """Add annotations, or replace those of the same clip and annotator; how many changed.

    The caller holds the corpus' lock.
    """
    by_film: dict[str, list[Annotation]] = {}
    for annotation in annotations:
        by_film.setdefault(annotation.film_id, []).append(annotation)
    changed = 0
    for film_id, given in by_film.items():
        known = {one.key: one for one in read_film(corpus, film_id)}
        changed += sum(known.get(one.key) != one for one in given)
        write_film(corpus, film_id, {**known, **{one.key: one for one in given}}.values())
    return changed
