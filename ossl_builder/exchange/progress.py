"""How far the labelling is: per film and per labeller, here and on the server."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ossl_builder.engine import manifests
from ossl_builder.labelling import records
from ossl_builder.tables import CLIPS
from ossl_builder.tools import label_studio_tasks
from ossl_builder.tools.label_studio import Server
from ossl_builder.tools.label_studio_rows import Project
from ossl_builder.workspace import Corpus


@dataclass(frozen=True)
class FilmProgress:
    """One film.

    Attributes:
        film_id: the film; its clips may be gone from the corpus.
        clips: clips it has.
        annotated: of these the clips that at least one person answered, by the records.
        annotations: answers, by the records.
        skipped, withdrawn: records in these states.
        tasks: tasks on the server; None: it was not asked.
        finished: tasks that as many people have answered as were asked.
        answers: answers on the server, pulled or not.
    """

    film_id: str
    clips: int
    annotated: int
    annotations: int
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
        answered, skipped, withdrawn: clips, by state of the record.
        films: films with at least one answer.
        last_at: when a record of theirs last changed, ISO 8601 in UTC.
    """

    annotator: str
    answered: int
    skipped: int
    withdrawn: int
    films: int
    last_at: str


def of_films(corpus: Corpus, server: Server | None, found: Project | None) -> list[FilmProgress]:
    """Progress per film, sorted by id.

    Args:
        server: None: only the records are looked at.
        found: the project on it.

    Raises:
        OsslError: `table_missing`, `table_version`, `annotations_damaged`.
        Setback: the server could not be had.
    """
    here = clip_ids(corpus)
    clips = {film_id: len(ids) for film_id, ids in here.items()}
    states: Counter[tuple[str, str]] = Counter()
    annotated: dict[str, set[str]] = {}
    for one in records.read_all(corpus.root):
        states[one.film_id, one.state] += 1
        if one.state == "answered" and one.clip_id in here.get(one.film_id, ()):
            annotated.setdefault(one.film_id, set()).add(one.clip_id)
    tasks: Counter[str] = Counter()
    finished: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    if server is not None and found is not None:
        for task in label_studio_tasks.tasks(server, found.project_id):
            film_id = str(task.data.get("film_id", ""))
            tasks[film_id] += 1
            finished[film_id] += task.is_labelled
            answers[film_id] += task.n_answered
    was_asked = server is not None
    return [
        FilmProgress(
            film_id=film_id,
            clips=clips.get(film_id, 0),
            annotated=len(annotated.get(film_id, ())),
            annotations=states[film_id, "answered"],
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
    table = manifests.read_arrow(corpus.root / "manifests", CLIPS, ["film_id", "clip_id"])
    found: dict[str, set[str]] = {}
    for film_id, clip_id in zip(
        table["film_id"].to_pylist(), table["clip_id"].to_pylist(), strict=True
    ):
        found.setdefault(film_id, set()).add(clip_id)
    return found


def of_annotators(corpus: Corpus) -> list[AnnotatorProgress]:
    """Progress per labeller, sorted by id."""
    states: Counter[tuple[str, str]] = Counter()
    films: dict[str, set[str]] = {}
    last: dict[str, str] = {}
    for one in records.read_all(corpus.root):
        states[one.annotator, one.state] += 1
        last[one.annotator] = max(last.get(one.annotator, ""), one.updated_at)
        if one.state == "answered":
            films.setdefault(one.annotator, set()).add(one.film_id)
    return [
        AnnotatorProgress(
            annotator=annotator,
            answered=states[annotator, "answered"],
            skipped=states[annotator, "skipped"],
            withdrawn=states[annotator, "withdrawn"],
            films=len(films.get(annotator, ())),
            last_at=last[annotator],
        )
        for annotator in sorted(last, key=lambda one: (len(one), one))
    ]
