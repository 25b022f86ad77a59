"""Three-way merge of local record, server annotation and last pulled version, task by task."""

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
from ossl_builder.annotations.validation import check_answers
from ossl_builder.corpus import Corpus
from ossl_builder.errors import OsslError
from ossl_builder.label_studio.project_api import User
from ossl_builder.label_studio.state import LastPulled, Pulled, digest
from ossl_builder.label_studio.task_api import ServerAnnotation, Task
from ossl_builder.label_studio.transfer import was_transferred
from ossl_builder.tables import checked_film_id

SOURCE = "label-studio"

Side = Literal["server", "local"]
MergeResult = Literal["take", "keep", "same", "conflict"]


@dataclass(frozen=True)
class Conflict:
    """A record that changed locally and on the server since the last pull.

    Attributes:
        clip_id, annotator: the record's key.
        local: the local record.
        remote: the server's annotation, as a record.
    """

    clip_id: str
    annotator: str
    local: Annotation
    remote: Annotation


def merge(
    local: Annotation | None, remote: Annotation, last: LastPulled | None, side: Side | None
) -> MergeResult:
    """Decide between a local record and the server's annotation.

    Args:
        local: the local record of this clip and annotator; None: there is none.
        remote: the server's annotation, as a record.
        last: the last pulled version; None: it was never pulled.
        side: which version wins if both changed; None: neither.

    Returns:
        `take` the server's, `keep` the local one, they are the `same`, or there is a `conflict`.
    """
    if local is None:
        return "take"
    if local == remote:
        return "same"
    if _is_replaceable(local, last) or (last is not None and digest(local) == last.digest):
        return "take"
    if last is not None and digest(remote) == last.digest:
        return "keep"
    if side is None:
        return "conflict"
    return "take" if side == "server" else "keep"


def _is_replaceable(local: Annotation, last: LastPulled | None) -> bool:
    """Whether a new annotation by the same annotator replaces the record.

    True for records that were transferred from another clip, and for withdrawn ones.
    """
    return last is None and (
        local.source == "carried" or (local.source == SOURCE and local.state == "withdrawn")
    )


class PullRemark(NamedTuple):
    """A remark on one annotation."""

    clip_id: str
    annotator: str
    why: str


class Withdrawn(NamedTuple):
    """A record whose annotator deleted the annotation on the server."""

    clip_id: str
    annotator: str


@dataclass
class PullReport:
    """Result of a pull.

    Attributes:
        n_tasks: tasks read.
        new, changed, skipped: number of records written.
        withdrawn_records: records written because their annotator deleted the annotation.
        invalid: answers that were rejected; an earlier record stays unchanged.
        flags: valid answers to review: contradictions, masked e-mail addresses.
        conflicts: changed locally and on the server; both were left unchanged.
        gone: clips with local records whose task, or annotations, the server has lost.
        foreign: number of tasks that do not belong to this corpus.
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
        """The number of withdrawn records."""
        return len(self.withdrawn_records)


@dataclass
class TaskMerger:
    """Merges tasks one by one and collects the records to write; writes nothing.

    Attributes:
        corpus: the corpus with the local records.
        schema: its label schema.
        users: the server's users.
        side: which version wins in a conflict; None: neither.
        registry: the annotators; new ones are added.
        pulled: last pulled versions; updated.
        report: the result so far.
        to_write: records to write.
        pending: ids of tasks to pull again next time.
    """

    corpus: Corpus
    schema: LabelSchema
    users: dict[int, User]
    side: Side | None
    registry: AnnotatorRegistry
    pulled: Pulled
    report: PullReport = field(default_factory=PullReport)
    to_write: list[Annotation] = field(default_factory=list)
    pending: set[int] = field(default_factory=set)
    _films: dict[str, dict[tuple[str, str], Annotation]] = field(default_factory=dict)

    def merge_task(self, task: Task) -> None:
        """Merge one task with all its annotations."""
        self.report.n_tasks += 1
        film_id = _film_id(task)
        if film_id is None:
            self.report.foreign += 1
            return
        present = set()
        for annotation in _newest_per_user(task.annotations):
            annotator = self._annotator(annotation.user_id)
            present.add(annotator)
            remote = self._to_record(task, film_id, annotator, annotation)
            if remote is not None:
                self._merge_record(task, remote)
        self._find_withdrawn(task, film_id, present)

    def _annotator(self, user_id: int) -> str:
        user = self.users.get(user_id)
        if user is None or not (user.email or user.name):
            return self.registry.id_of(name=f"user {user_id} of Label Studio")
        return self.registry.id_of(user.email, user.name)

    def _to_record(
        self, task: Task, film_id: str, annotator: str, annotation: ServerAnnotation
    ) -> Annotation | None:
        """Convert a server annotation to a record; None, with a remark, if it is invalid."""
        version = str(task.data.get("schema", ""))
        problems: list[str] = []
        answers = {}
        if version != self.schema.version:
            problems.append(
                f"the answers are for {parse.cut(version) or 'unknown questions'}, not for "
                f"{self.schema.version}"
            )
        elif not annotation.updated_at:
            problems.append("the time of its last change is before 1970 or in the future")
        elif not annotation.is_skipped:
            checked = check_answers(self.schema, answers_of(self.schema, annotation.result))
            answers = checked.answers
            problems += checked.problems
            self.report.flags += [
                PullRemark(task.clip_id, annotator, flag) for flag in checked.flags
            ]
        if problems:
            self.report.invalid.append(PullRemark(task.clip_id, annotator, "; ".join(problems)))
            self.pending.add(task.task_id)
            return None
        return Annotation(
            film_id=film_id,
            clip_id=task.clip_id,
            annotator=annotator,
            schema=version,
            state="skipped" if annotation.is_skipped else "answered",
            answers=answers,
            source=SOURCE,
            updated_at=_to_second(annotation.updated_at),
        )

    def _merge_record(self, task: Task, remote: Annotation) -> None:
        last = self.pulled.get(remote.clip_id, {}).get(remote.annotator)
        local = self._local(remote.film_id).get(remote.key)
        if local is None and was_transferred(remote, self._local(remote.film_id).values()):
            return
        result = merge(local, remote, last, self.side)
        if result == "conflict":
            assert local is not None
            self.report.conflicts.append(Conflict(remote.clip_id, remote.annotator, local, remote))
            self.pending.add(task.task_id)
            return
        by_annotator = self.pulled.setdefault(remote.clip_id, {})
        by_annotator[remote.annotator] = LastPulled(digest(remote), task.identity)
        if result == "take":
            self._take(remote)
            if remote.state == "skipped":
                self.report.skipped += 1
            elif local is None:
                self.report.new += 1
            else:
                self.report.changed += 1

    def _find_withdrawn(self, task: Task, film_id: str, present: set[str]) -> None:
        """Withdraw records whose annotation was deleted while its task still exists."""
        by_annotator = self.pulled.get(task.clip_id, {})
        for annotator in sorted(by_annotator.keys() - present):
            last = by_annotator[annotator]
            local = self._local(film_id).get((task.clip_id, annotator))
            # An annotator's deletion changes the task. If the server was restored from a backup,
            # or the task was created again after a loss, the annotator did not delete anything.
            if local is None or last.task != task.identity:
                continue
            if _to_second(task.updated_at) < local.updated_at:
                self.report.gone.append(task.clip_id)
                continue
            remote = dataclasses.replace(
                local, state="withdrawn", updated_at=_to_second(task.updated_at)
            )
            if digest(local) != last.digest and self.side is None:
                self.report.conflicts.append(Conflict(task.clip_id, annotator, local, remote))
                self.pending.add(task.task_id)
                continue
            del by_annotator[annotator]
            if digest(local) == last.digest or self.side == "server":
                self._take(remote)
                self.report.withdrawn_records.append(Withdrawn(task.clip_id, annotator))

    def _take(self, record: Annotation) -> None:
        self.to_write.append(record)
        self._local(record.film_id)[record.key] = record

    def _local(self, film_id: str) -> dict[tuple[str, str], Annotation]:
        if film_id not in self._films:
            self._films[film_id] = {
                record.key: record for record in records.read_film(self.corpus.root, film_id)
            }
        return self._films[film_id]


def _film_id(task: Task) -> str | None:
    # The id becomes a file name: never use the server's value unchecked.
    try:
        return checked_film_id(str(task.data.get("film_id", ""))) if task.clip_id else None
    except OsslError:
        return None


def _newest_per_user(annotations: Iterable[ServerAnnotation]) -> list[ServerAnnotation]:
    """Keep one annotation per user: the one that changed last."""
    newest: dict[int, ServerAnnotation] = {}
    for annotation in sorted(annotations, key=lambda row: (row.updated_at, row.annotation_id)):
        newest[annotation.user_id] = annotation
    return sorted(newest.values(), key=lambda row: row.user_id)


def _to_second(moment: str) -> str:
    """Return `2026-01-31T12:00:00Z` for `2026-01-31T12:00:00.123456Z`."""
    return f"{moment[:19]}Z"
