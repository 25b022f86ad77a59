"""How far the labelling is: per film and per labeller, here and on the server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ossl_builder.annotations import records
from ossl_builder.annotations.label_schema import LabelSchema
from ossl_builder.annotations.records import Annotation
from ossl_builder.corpus import Corpus
from ossl_builder.engine import tables_io
from ossl_builder.label_studio.rows import Task
from ossl_builder.tables import CLIPS

OTHER = "other_questions"


@dataclass(frozen=True)
class FilmProgress:
    """One film.

    Attributes:
        film_id: the film; its clips may be gone from the corpus.
        clips: clips it has.
        annotated: of these the clips that at least one person answered, by the records.
        annotations: answers to the present questions, by the records.
        other_questions: answers to other versions of the questions, which count nowhere.
        skipped, withdrawn: records in these states.
        tasks: tasks on the server; None: it was not asked.
        finished: tasks that as many people have answered as were asked.
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
    """One labeller, by the records.

    Attributes:
        annotator: `a01`, `a02`…
        answered: clips, under the present questions.
        other_questions: clips, under other versions of them.
        skipped, withdrawn: clips, by state of the record.
        films: films with at least one answer.
        last_at: when a record of theirs last changed, ISO 8601 in UTC.
    """

    annotator: str
    answered: int
    other_questions: int
    skipped: int
    withdrawn: int
    films: int
    last_at: str


def of_films(
    corpus: Corpus, taxonomy: LabelSchema, server_tasks: Iterable[Task] | None = None
) -> list[FilmProgress]:
    """Progress per film, sorted by id.

    Args:
        taxonomy: the present questions.
        server_tasks: the tasks of the project on the server; None: only the records are looked at.

    Raises:
        OsslError: `table_missing`, `table_version`, `annotations_damaged`.
    """
    here = clip_ids(corpus)
    clips = {film_id: len(ids) for film_id, ids in here.items()}
    states: Counter[tuple[str, str]] = Counter()
    annotated: dict[str, set[str]] = {}
    for one in records.read_all(corpus.root):
        state = _state(one, taxonomy)
        states[one.film_id, state] += 1
        if state == "answered" and one.clip_id in here.get(one.film_id, ()):
            annotated.setdefault(one.film_id, set()).add(one.clip_id)
    tasks: Counter[str] = Counter()
    finished: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    for task in server_tasks or ():
        film_id = str(task.data.get("film_id", ""))
        tasks[film_id] += 1
        finished[film_id] += task.is_labelled
        answers[film_id] += task.n_answered
    was_asked = server_tasks is not None
    return [
        FilmProgress(
            film_id=film_id,
            clips=clips.get(film_id, 0),
            annotated=len(annotated.get(film_id, ())),
            annotations=states[film_id, "answered"],
            other_questions=states[film_id, OTHER],
            skipped=states[film_id, "skipped"],
            withdrawn=states[film_id, "withdrawn"],
            tasks=tasks[film_id] if was_asked else None,
            finished=finished[film_id] if was_asked else None,
            answers=answers[film_id] if was_asked else None,
        )
        for film_id in sorted({*clips, *(film for film, _ in states), *tasks} - {""})
    ]


def clip_ids(corpus: Corpus) -> dict[str, set[str]]:
    """The clips that the corpus has, by film.

    Raises:
        OsslError: `table_missing`, `table_version`.
    """
    table = tables_io.read_arrow(corpus.root / "manifests", CLIPS, ["film_id", "clip_id"])
    found: dict[str, set[str]] = {}
    for film_id, clip_id in zip(
        table["film_id"].to_pylist(), table["clip_id"].to_pylist(), strict=True
    ):
        found.setdefault(film_id, set()).add(clip_id)
    return found


def _state(one: Annotation, taxonomy: LabelSchema) -> str:
    """The state of a record; answers to other questions are a state of their own."""
    return OTHER if one.state == "answered" and one.schema != taxonomy.version else one.state


def of_annotators(corpus: Corpus, taxonomy: LabelSchema) -> list[AnnotatorProgress]:
    """Progress per labeller under the present questions, sorted by id."""
    states: Counter[tuple[str, str]] = Counter()
    films: dict[str, set[str]] = {}
    last: dict[str, str] = {}
    for one in records.read_all(corpus.root):
        state = _state(one, taxonomy)
        states[one.annotator, state] += 1
        last[one.annotator] = max(last.get(one.annotator, ""), one.updated_at)
        if state == "answered":
            films.setdefault(one.annotator, set()).add(one.film_id)
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
        for annotator in sorted(last, key=lambda one: (len(one), one))
    ]
