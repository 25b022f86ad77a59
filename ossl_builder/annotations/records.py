"""Annotation records: JSON lines, one file per film, sorted, so that diffs are readable."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ossl_builder import files, parse
from ossl_builder.errors import OsslError

# A choice or a text, a number on a scale, or several choices.
Answer = str | int | tuple[str, ...]

STATES = ("answered", "skipped", "withdrawn")


@dataclass(frozen=True)
class Annotation:
    """One record; there is one per clip and annotator.

    Attributes:
        film_id: the clip's film.
        clip_id: the clip.
        annotator: `a01`, `a02`…; `annotators.csv`, which git ignores, has the names.
        schema: version of the label schema, `mood-1`.
        state: `answered`; `skipped`; `withdrawn`: the annotator deleted it; the record keeps the
            answers, but they do not count.
        answers: question name to answer; only questions that were answered.
        source: `label-studio`, `import`, `carried` (from another clip), `made-up` (the demo).
        updated_at: time of the annotator's last change, ISO 8601 in UTC, to the second.
        carried_from: the first clip of a transferred annotation; else None.
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
        """Clip id and annotator: unique in a corpus."""
        return self.clip_id, self.annotator

    @property
    def clip_key(self) -> tuple[str, str]:
        """Film id and clip id."""
        return self.film_id, self.clip_id

    def to_json(self) -> dict[str, Any]:
        """Return plain values in the order of a line in the file; None is left out."""
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
        """Return the record of plain values, as from `to_json`.

        Raises:
            TypeError, ValueError, KeyError: the values are not a record.
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
    """Return the file with a film's records."""
    return corpus / FOLDER / f"{film_id}.jsonl"


def film_ids(corpus: Path) -> list[str]:
    """Return the films that have records, sorted."""
    return sorted(path.stem for path in (corpus / FOLDER).glob("*.jsonl"))


def read_film(corpus: Path, film_id: str) -> tuple[Annotation, ...]:
    """Read a film's records, sorted by clip and annotator; empty if it has no file.

    Raises:
        OsslError: `annotations_damaged`, naming file and line.
    """
    path = path_of(corpus, film_id)
    try:
        # Not `splitlines`: JSON texts may contain other line separators.
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        return ()
    annotations = []
    for number, line in enumerate(lines, start=1):
        try:
            if line:
                annotations.append(Annotation.from_json(parse.json_value(line)))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise OsslError(
                "annotations_damaged",
                f"{path}, line {number}, is not an annotation record: {error}.",
                "Correct the line, or restore the file from git.",
            ) from error
    return tuple(sorted(annotations, key=lambda annotation: annotation.key))


def read_all(corpus: Path) -> Iterator[Annotation]:
    """Yield all records of a corpus, film by film."""
    for film_id in film_ids(corpus):
        yield from read_film(corpus, film_id)


def write_film(corpus: Path, film_id: str, annotations: Iterable[Annotation]) -> bool:
    """Write a film's records, and return whether they changed. The caller holds the lock."""
    ordered = sorted(annotations, key=lambda annotation: annotation.key)
    if len({annotation.key for annotation in ordered}) != len(ordered):
        raise ValueError(f"two annotations of one clip by one annotator in {film_id}")
    lines = [
        json.dumps(annotation.to_json(), ensure_ascii=False, separators=(", ", ": ")) + "\n"
        for annotation in ordered
    ]
    data = "".join(lines).encode()
    path = path_of(corpus, film_id)
    if path.exists() and path.read_bytes() == data:
        return False
    files.write_bytes(path, data)
    return True


def upsert(corpus: Path, annotations: Iterable[Annotation]) -> int:
    """Add records, or replace those with the same key, and return how many changed.

    The caller holds the corpus' lock.
    """
    by_film: dict[str, list[Annotation]] = {}
    for annotation in annotations:
        by_film.setdefault(annotation.film_id, []).append(annotation)
    changed = 0
    for film_id, new_records in by_film.items():
        by_key = {record.key: record for record in read_film(corpus, film_id)}
        changed += sum(by_key.get(record.key) != record for record in new_records)
        by_key |= {record.key: record for record in new_records}
        write_film(corpus, film_id, by_key.values())
    return changed
