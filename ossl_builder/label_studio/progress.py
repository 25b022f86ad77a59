"""Progress of the labelling per film and per annotator, in the records and on the server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ossl_builder.annotations import records
from ossl_builder.annotations.label_schema import LabelSchema
from ossl_builder.annotations.records import Annotation
from ossl_builder.corpus import Corpus
from ossl_builder.engine import tables_io
from ossl_builder.label_studio.task_api import Task
from ossl_builder.tables import CLIPS

OTHER = "other_questions"


@dataclass(frozen=True)
class FilmProgress:
    """Progress of one film.

    Attributes:
        film_id: the film; the corpus may no longer have its clips.
        clips: number of its clips.
        annotated: clips with a record in the state `answered`, present schema version.
        annotations: records in the state `answered`, present schema version.
        other_questions: answers to other schema versions, which are never merged.
        skipped, withdrawn: records in these states.
        tasks: tasks on the server; None: the server was not asked.
        finished: tasks that enough annotators have answered.
        answers: answers on the server, pulled or not.
    """

    film_id: str
    clips: int
    annotated: int
    annotations: int
    other_questions: int
    skipped: int
    withdrawn: int
    tasks: int | None = None
    finished: int | None = None
    answers: int | None = None


@dataclass(frozen=True)
class AnnotatorProgress:
    """Progress of one annotator, from the records.

    Attributes:
        annotator: `a01`, `a02`…
        answered: clips answered, present schema version.
        other_questions: clips answered, other schema versions.
        skipped, withdrawn: clips, by state of the record.
        films: films with at least one answer.
        last_at: last change of a record of theirs, ISO 8601 in UTC.
    """

    annotator: str
    answered: int
    other_questions: int
    skipped: int
    withdrawn: int
    films: int
    last_at: str


def film_progress(
    corpus: Corpus, schema: LabelSchema, server_tasks: Iterable[Task] | None = None
) -> list[FilmProgress]:
    """Return the progress per film, sorted by id.

    Args:
        corpus: the corpus.
        schema: its label schema.
        server_tasks: the project's tasks on the server; None: count only the records.

    Raises:
        OsslError: `table_missing`, `table_version`, `annotations_damaged`.
    """
    ids = clip_ids(corpus)
    clips = {film_id: len(film_clips) for film_id, film_clips in ids.items()}
    states: Counter[tuple[str, str]] = Counter()
    annotated: dict[str, set[str]] = {}
    for record in records.read_all(corpus.root):
        state = _state(record, schema)
        states[record.film_id, state] += 1
        if state == "answered" and record.clip_id in ids.get(record.film_id, ()):
            annotated.setdefault(record.film_id, set()).add(record.clip_id)
    tasks: Counter[str] = Counter()
    finished: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    for task in server_tasks or ():
        film_id = str(task.data.get("film_id", ""))
        tasks[film_id] += 1
        finished[film_id] += task.is_labelled
        answers[film_id] += task.n_answered
    has_server = server_tasks is not None
    return [
        FilmProgress(
            film_id=film_id,
            clips=clips.get(film_id, 0),
            annotated=len(annotated.get(film_id, ())),
            annotations=states[film_id, "answered"],
            other_questions=states[film_id, OTHER],
            skipped=states[film_id, "skipped"],
            withdrawn=states[film_id, "withdrawn"],
            tasks=tasks[film_id] if has_server else None,
            finished=finished[film_id] if has_server else None,
            answers=answers[film_id] if has_server else None,
        )
        for film_id in sorted({*clips, *(film for film, _ in states), *tasks} - {""})
    ]


def clip_ids(corpus: Corpus) -> dict[str, set[str]]:
    """Return the ids of the corpus' clips by film.

    Raises:
        OsslError: `table_missing`, `table_version`.
    """
    table = tables_io.read_arrow(corpus.root / "manifests", CLIPS, ["film_id", "clip_id"])
    by_film: dict[str, set[str]] = {}
    for film_id, clip_id in zip(
        table["film_id"].to_pylist(), table["clip_id"].to_pylist(), strict=True
    ):
        by_film.setdefault(film_id, set()).add(clip_id)
    return by_film


def _state(record: Annotation, schema: LabelSchema) -> str:
    """Return the state of a record, or `OTHER` for answers to another schema version."""
    is_other = record.state == "answered" and record.schema != schema.version
    return OTHER if is_other else record.state


def annotator_progress(corpus: Corpus, schema: LabelSchema) -> list[AnnotatorProgress]:
    """Return the progress per annotator, sorted by id."""
    states: Counter[tuple[str, str]] = Counter()
    films: dict[str, set[str]] = {}
    last: dict[str, str] = {}
    for record in records.read_all(corpus.root):
        state = _state(record, schema)
        states[record.annotator, state] += 1
        last[record.annotator] = max(last.get(record.annotator, ""), record.updated_at)
        if state == "answered":
            films.setdefault(record.annotator, set()).add(record.film_id)
    return [
        AnnotatorProgress(
            annotator=annotator,
            answered=states[annotator, "answered"],
            other_questions=states[annotator, OTHER],
            skipped=states[annotator, "skipped"],
            withdrawn=states[annotator, "withdrawn"],
            films=len(films.get(annotator, ())),
            last_at=last[annotator],
        )
        for annotator in sorted(last, key=lambda annotator: (len(annotator), annotator))
    ]
