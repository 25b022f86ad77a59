"""Annotation records: JSON lines, one file per film, sorted, so that a diff is readable."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from ossl_builder.engine import files, parse
from ossl_builder.errors import OsslError
from ossl_builder.labelling.annotation import Annotation

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
