"""Three-way merge of local record, remote annotation and last-pulled version, task by task."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ossl_builder import parse
from ossl_builder.annotations import records
from ossl_builder.annotations.annotators import AnnotatorRegistry
from ossl_builder.annotations.label_config import answers_of
from ossl_builder.annotations.label_schema import LabelSchema
from ossl_builder.annotations.records import Annotation
from ossl_builder.annotations.validation import receive
from ossl_builder.corpus import Corpus
from ossl_builder.errors import OsslError
from ossl_builder.label_studio import state as states
from ossl_builder.label_studio import transfer
from ossl_builder.label_studio.rows import Given, Person, Task
from ossl_builder.label_studio.state import LastPulled, Pulled, digest
from ossl_builder.tables import checked_film_id

Holder = Literal["server", "local"]
Verdict = Literal["take", "keep", "same", "conflict"]


@dataclass(frozen=True)
class Conflict:
    """A record that changed here and on the server since the last pull.

    Attributes:
        clip_id, annotator: which one.
        here: the record here; None: it was deleted.
        there: what the server says now, as a record.
    """

    clip_id: str
    annotator: str
    here: Annotation
    there: Annotation


def judge(
    here: Annotation | None, there: Annotation, before: LastPulled | None, side: Holder | None
) -> Verdict:
    """What to do with one annotation of the server.

    Args:
        here: the record of this clip and annotator; None: there is none.
        there: the record that the server's annotation makes.
        before: the record as it was last pulled; None: it never was.
        side: who is right where both changed; None: nobody.

    Returns:
        `take` the server's, `keep` ours, they are the `same`, or there is a `conflict`.
    """
    if here is None:
        return "take"
    if here == there:
        return "same"
    if _yields(here, before) or (before is not None and digest(here) == before.digest):
        return "take"
    if before is not None and digest(there) == before.digest:
        return "keep"
    if side is None:
        return "conflict"
    return "take" if side == "server" else "keep"


def _yields(here: Annotation, before: LastPulled | None) -> bool:
    """Whether it gives way to a new annotation by the same person.

    So do records that were carried from another clip, and those that were withdrawn.
    """
    return before is None and (
        here.source == "carried" or (here.source == "label-studio" and here.state == "withdrawn")
    )


SOURCE = "label-studio"


class PullRemark(NamedTuple):
    """Something to be told of one annotation."""

    clip_id: str
    annotator: str
    why: str


class Withdrawn(NamedTuple):
    """A record whose annotator deleted the annotation on the server."""

    clip_id: str
    annotator: str


@dataclass
class PullReport:
    """What a pull found and did.

    Attributes:
        n_tasks: tasks looked at.
        new, changed, skipped: records written, by what they became.
        withdrawn_records: those written that their annotators took back.
        invalid: answers that were kept out; the earlier record, if any, stays.
        flags: valid answers that should be looked at: contradictions, masked addresses.
        conflicts: changed here and there; both were left as they are.
        gone: clips with records here whose task, or annotations, the server has lost.
        foreign: tasks that are not of this corpus' making.
    """

    n_tasks: int = 0
    new: int = 0
    changed: int = 0
    skipped: int = 0
    withdrawn_records: list[Withdrawn] = field(default_factory=list)
    invalid: list[PullRemark] = field(default_factory=list)
    flags: list[PullRemark] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    foreign: int = 0

    @property
    def withdrawn(self) -> int:
        """How many records were taken back."""
        return len(self.withdrawn_records)


@dataclass
class TaskMerger:
    """What a pull has taken in so far; nothing is written here.

    Attributes:
        corpus: whose records.
        taxonomy: its questions.
        people: the server's users.
        side: who is right in a conflict; None: nobody.
        key: who the annotators are; it grows.
        pulled: records as they were last pulled; brought up to date.
        report: what was found.
        taken: records to be written.
        waiting: tasks to look at again next time.
    """

    corpus: Corpus
    taxonomy: LabelSchema
    people: dict[int, Person]
    side: Holder | None
    key: AnnotatorRegistry
    pulled: Pulled
    report: PullReport = field(default_factory=PullReport)
    taken: list[Annotation] = field(default_factory=list)
    waiting: set[int] = field(default_factory=set)
    _films: dict[str, dict[tuple[str, str], Annotation]] = field(default_factory=dict)

    def look_at(self, task: Task) -> None:
        """Take in one task with all its annotations."""
        self.report.n_tasks += 1
        film_id = self._film_of(task)
        if film_id is None:
            self.report.foreign += 1
            return
        present = set()
        for given in _newest(task.given):
            annotator = self._annotator(given.person)
            present.add(annotator)
            there = self._record(task, film_id, annotator, given)
            if there is not None:
                self._reconcile(task, there)
        self._notice_deleted(task, film_id, present)

    def _film_of(self, task: Task) -> str | None:
        # What the server says becomes the name of a file here.
        try:
            return checked_film_id(str(task.data.get("film_id", ""))) if task.clip_id else None
        except OsslError:
            return None

    def _annotator(self, number: int) -> str:
        person = self.people.get(number)
        if person is None or not (person.email or person.name):
            return self.key.id_of(name=f"user {number} of Label Studio")
        return self.key.id_of(person.email, person.name)

    def _record(self, task: Task, film_id: str, annotator: str, given: Given) -> Annotation | None:
        """What a person's annotation makes; None, after a remark, if it is invalid."""
        schema = str(task.data.get("schema", ""))
        problems: list[str] = []
        answers = {}
        if schema != self.taxonomy.version:
            problems.append(f"answers to {parse.cut(schema) or 'unknown questions'}, not to "
                            f"{self.taxonomy.version}")  # fmt: skip
        elif not given.updated_at:
            problems.append("its time of change is before 1970 or in the future")
        elif not given.is_skipped:
            received = receive(self.taxonomy, answers_of(self.taxonomy, given.result))
            answers = received.answers
            problems += received.problems
            self.report.flags += [
                PullRemark(task.clip_id, annotator, one) for one in received.flags
            ]
        if problems:
            self.report.invalid.append(PullRemark(task.clip_id, annotator, "; ".join(problems)))
            self.waiting.add(task.task_id)
            return None
        return Annotation(
            film_id=film_id,
            clip_id=task.clip_id,
            annotator=annotator,
            schema=schema,
            state="skipped" if given.is_skipped else "answered",
            answers=answers,
            source=SOURCE,
            updated_at=_to_second(given.updated_at),
        )

    def _reconcile(self, task: Task, there: Annotation) -> None:
        before = self.pulled.get(there.clip_id, {}).get(there.annotator)
        here = self._here(there.film_id).get(there.key)
        if here is None and transfer.has_moved(there, self._here(there.film_id).values()):
            return
        verdict = judge(here, there, before, self.side)
        if verdict == "conflict":
            assert here is not None
            self.report.conflicts.append(Conflict(there.clip_id, there.annotator, here, there))
            self.waiting.add(task.task_id)
            return
        known = self.pulled.setdefault(there.clip_id, {})
        known[there.annotator] = LastPulled(states.digest(there), task.identity)
        if verdict == "take":
            self._take(there)
            if there.state == "skipped":
                self.report.skipped += 1
            elif here is None:
                self.report.new += 1
            else:
                self.report.changed += 1

    def _notice_deleted(self, task: Task, film_id: str, present: set[str]) -> None:
        """Records whose annotation is gone while its task stays: their annotator deleted it."""
        known = self.pulled.get(task.clip_id, {})
        for annotator in sorted(known.keys() - present):
            before = known[annotator]
            here = self._here(film_id).get((task.clip_id, annotator))
            # Deleting changes the task. A server that was set back to an older state, or a task
            # made anew after it was lost, says nothing of what its annotators wanted.
            if here is None or before.task != task.identity:
                continue
            if _to_second(task.updated_at) < here.updated_at:
                self.report.gone.append(task.clip_id)
                continue
            there = dataclasses.replace(
                here, state="withdrawn", updated_at=_to_second(task.updated_at)
            )
            if states.digest(here) != before.digest and self.side is None:
                self.report.conflicts.append(Conflict(task.clip_id, annotator, here, there))
                self.waiting.add(task.task_id)
                continue
            del known[annotator]
            if states.digest(here) == before.digest or self.side == "server":
                self._take(there)
                self.report.withdrawn_records.append(Withdrawn(task.clip_id, annotator))

    def _take(self, record: Annotation) -> None:
        self.taken.append(record)
        self._here(record.film_id)[record.key] = record

    def _here(self, film_id: str) -> dict[tuple[str, str], Annotation]:
        if film_id not in self._films:
            found = records.read_film(self.corpus.root, film_id)
            self._films[film_id] = {one.key: one for one in found}
        return self._films[film_id]


def _newest(given: Iterable[Given]) -> list[Given]:
    """One annotation per person: the one that was changed last."""
    newest: dict[int, Given] = {}
    for one in sorted(given, key=lambda one: (one.updated_at, one.annotation_id)):
        newest[one.person] = one
    return sorted(newest.values(), key=lambda one: one.person)


def _to_second(moment: str) -> str:
    """`2026-01-31T12:00:00Z` from `2026-01-31T12:00:00.123456Z`."""
    return f"{moment[:19]}Z"
