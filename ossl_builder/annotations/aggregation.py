"""Derive labels from annotations: one row per annotated clip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ossl_builder.annotations import records
from ossl_builder.annotations.consensus import (
    NO_CONSENSUS,
    ClipKey,
    Consensus,
    dawid_skene,
    majority,
    valid_annotations,
)
from ossl_builder.annotations.label_schema import FIXED_QUESTIONS, LabelSchema, Question
from ossl_builder.annotations.orphans import Orphan, find_orphans
from ossl_builder.annotations.records import Annotation
from ossl_builder.annotations.settings import LabelsSettings
from ossl_builder.engine import tables_io
from ossl_builder.errors import OsslError
from ossl_builder.tables import CLIPS, Clip, Label
from ossl_builder.tables.labels import QuestionColumn, labels_table
from ossl_builder.tables.schema import Table

QUADRANT = "quadrant"
NO_MUSIC = "none"


@dataclass(frozen=True)
class LabelsReport:
    """Result of `update_labels`.

    Attributes:
        labels: the rows of the labels table.
        n_clips: clips of the corpus.
        n_skipped, n_withdrawn: annotations in these states.
        n_other_schema: annotations of other schema versions.
        orphans: annotated clips that no longer exist.
    """

    labels: tuple[Label, ...]
    n_clips: int
    n_skipped: int
    n_withdrawn: int
    n_other_schema: int
    orphans: tuple[Orphan, ...]


def update_labels(
    corpus: Path, schema: LabelSchema, settings: LabelsSettings, is_imported: bool, is_dry: bool
) -> LabelsReport:
    """Derive the labels and write the labels table. The caller holds the corpus' lock.

    Args:
        corpus: its folder.
        schema: its label schema.
        settings: section `labels` of its recipe.
        is_imported: whether its clips were imported with a release, whose labels are kept.
        is_dry: write nothing.

    Raises:
        OsslError: `labels_would_be_lost`, `table_missing`, `table_version`,
            `annotations_damaged`.
    """
    folder = corpus / "manifests"
    table = labels_table_of(schema)
    clips: list[Clip] = tables_io.read_table(folder, CLIPS)
    annotations = list(records.read_all(corpus))
    existing: list[Label] = []
    if (folder / f"{table.name}.parquet").exists():
        existing = tables_io.read_table(folder, table)
    labels = derive_labels(annotations, clips, schema, settings)
    if is_imported:
        labels = add_imported_labels(labels, existing)
    n_other = sum(annotation.schema != schema.version for annotation in annotations)
    if not labels and n_other and existing:
        raise OsslError(
            "labels_would_be_lost",
            f"The labels table would become empty: all {n_other} annotations belong to other "
            f"versions of the questions than {schema.version}. The table was not changed.",
            "Restore the moods.yaml of that version, or delete manifests/labels.parquet and merge "
            "again.",
        )
    if not is_dry:
        tables_io.write_corpus_table(corpus, table, labels)
    clip_ids: dict[str, set[str]] = {}
    for clip in clips:
        clip_ids.setdefault(clip.film_id, set()).add(clip.clip_id)
    return LabelsReport(
        labels=tuple(labels),
        n_clips=len(clips),
        n_skipped=sum(annotation.state == "skipped" for annotation in annotations),
        n_withdrawn=sum(annotation.state == "withdrawn" for annotation in annotations),
        n_other_schema=n_other,
        orphans=tuple(find_orphans(corpus, clip_ids)),
    )


def derive_labels(
    annotations: Iterable[Annotation],
    clips: Iterable[Clip],
    schema: LabelSchema,
    settings: LabelsSettings,
) -> list[Label]:
    """Derive the labels of the clips that at least one annotator answered, sorted.

    Skipped and withdrawn annotations do not count, nor do those of clips that no longer exist or
    of another schema version. Where most annotators hear no music, the clip has no mood.

    Returns:
        Rows of `labels_table_of(schema)`.
    """
    all_annotations = list(annotations)
    existing = with_existing_clip(all_annotations, clips)
    valid = valid_annotations(existing, schema)
    question = schema.question(QUADRANT)
    model = {} if question is None else dawid_skene(valid, question, settings.smoothing)
    n_skipped = Counter(
        annotation.clip_key for annotation in existing if annotation.state == "skipped"
    )
    imported = _imported_keys(all_annotations)
    row_type = labels_table_of(schema).row
    by_clip: dict[ClipKey, list[Annotation]] = {}
    for annotation in valid:
        by_clip.setdefault(annotation.clip_key, []).append(annotation)
    return [
        row_type(
            **_fixed_values(
                of_clip,
                model.get(clip_key, NO_CONSENSUS),
                n_skipped[clip_key],
                imported,
                schema,
                settings,
            ),
            **{
                question.name: _combine(of_clip, question)
                for question in _further_questions(schema)
            },
        )
        for clip_key, of_clip in sorted(by_clip.items())
    ]


def labels_table_of(schema: LabelSchema) -> Table:
    """Return the labels table with a column for each further question of a schema.

    Free texts get no column: they cannot be combined.
    """
    return labels_table(
        QuestionColumn(
            name=question.name,
            kind=float if question.kind == "scale" else str,
            doc=_column_doc(question),
            unit=f"{question.values[0].name} to {question.values[-1].name}"
            if question.kind == "scale"
            else "",
        )
        for question in _further_questions(schema)
    )


def _further_questions(schema: LabelSchema) -> list[Question]:
    return [
        question
        for question in schema.questions
        if question.name not in FIXED_QUESTIONS and question.kind != "text"
    ]


def _column_doc(question: Question) -> str:
    if question.kind == "scale":
        return f"mean answer to: {question.ask}"
    if question.kind == "choices":
        return f"choices of at least half, sorted, joined by `; `; question: {question.ask}"
    return f"most frequent answer to: {question.ask}"


def _combine(of_clip: Sequence[Annotation], question: Question) -> float | str | None:
    """Combine the answers to a further question; None: no answer, or a tie."""
    if question.kind == "scale":
        return _mean(of_clip, question.name)
    if question.kind == "choices":
        answered = [annotation for annotation in of_clip if question.name in annotation.answers]
        return "; ".join(_common_words(answered, question.name)) or None
    return _majority_answer(of_clip, question.name)


def add_imported_labels(labels: Iterable[Label], existing: Iterable[Label]) -> list[Label]:
    """Add existing labels that were imported with a release, for clips without annotations.

    A release has no annotations from which its labels could be derived again.
    """
    by_clip = {(label.film_id, label.clip_id): label for label in labels}
    for label in existing:
        if label.rule == "import" and not label.n_annotators:
            by_clip.setdefault((label.film_id, label.clip_id), label)
    return [by_clip[clip_key] for clip_key in sorted(by_clip)]


def with_existing_clip(
    annotations: Iterable[Annotation], clips: Iterable[Clip]
) -> list[Annotation]:
    """Return the annotations whose clip is in the table; see `orphans` for the others."""
    clip_keys = {(clip.film_id, clip.clip_id) for clip in clips}
    return [annotation for annotation in annotations if annotation.clip_key in clip_keys]


def _imported_keys(annotations: Sequence[Annotation]) -> set[tuple[str, str]]:
    """Return the keys of imported annotations, also of those that were transferred afterwards."""
    originals = {annotation.key for annotation in annotations if annotation.source == "import"}
    imported = set(originals)
    transferred = {
        annotation.key: (annotation.carried_from, annotation.annotator)
        for annotation in annotations
        if annotation.carried_from
    }
    for key, origin in transferred.items():
        # An annotation may have been transferred more than once.
        seen = {key}
        while origin in transferred and origin not in seen:
            seen.add(origin)
            origin = transferred[origin]
        if origin in originals:
            imported.add(key)
    return imported


def _fixed_values(
    of_clip: Sequence[Annotation],
    model: Consensus,
    n_skipped: int,
    imported: set[tuple[str, str]],
    schema: LabelSchema,
    settings: LabelsSettings,
) -> dict[str, Any]:
    """Return the values of the columns that every labels table has."""
    with_quadrant = [annotation for annotation in of_clip if QUADRANT in annotation.answers]
    vote = majority([annotation.answers[QUADRANT] for annotation in with_quadrant])
    music_audible = _majority_answer(of_clip, "music_audible")
    # A single imported mood is used as it is.
    is_import = len(with_quadrant) == 1 and with_quadrant[0].key in imported
    decision = vote if is_import or settings.rule == "majority" else model
    if len(with_quadrant) < settings.min_annotators or music_audible == NO_MUSIC:
        decision = NO_CONSENSUS
    caption, caption_source = _caption(of_clip, decision.answer, imported)
    return {
        "film_id": of_clip[0].film_id,
        "clip_id": of_clip[0].clip_id,
        "quadrant": decision.answer,
        "mood": None if decision.answer is None else schema.mood(decision.answer),
        "rule": "import" if is_import else settings.rule,
        "confidence": None if is_import else decision.confidence,
        "n_annotators": len(of_clip),
        "n_skipped": n_skipped,
        "majority_quadrant": vote.answer,
        "majority_share": vote.confidence,
        "dawid_skene_quadrant": model.answer,
        "dawid_skene_confidence": model.confidence,
        "valence": _mean(of_clip, "valence"),
        "energy": _mean(of_clip, "energy"),
        "tension": _mean(of_clip, "tension"),
        "music_audible": music_audible,
        "speech_over_music": _majority_answer(of_clip, "speech_over_music"),
        "mood_words": "; ".join(_common_words(with_quadrant, "mood_words")),
        "caption": caption,
        "caption_source": caption_source,
    }


def _majority_answer(of_clip: Sequence[Annotation], question: str) -> str | None:
    return majority(
        [annotation.answers[question] for annotation in of_clip if question in annotation.answers]
    ).answer


def _mean(of_clip: Sequence[Annotation], question: str) -> float | None:
    numbers = [
        answer
        for annotation in of_clip
        if isinstance(answer := annotation.answers.get(question), int)
    ]
    return round(sum(numbers) / len(numbers), 6) if numbers else None


def _common_words(annotations: Sequence[Annotation], question: str) -> list[str]:
    """Return the words that at least half of these annotations contain, sorted."""
    counts = Counter(
        word
        for annotation in annotations
        if isinstance(words := annotation.answers.get(question), tuple)
        for word in words
    )
    return sorted(word for word, count in counts.items() if 2 * count >= len(annotations))


def _caption(
    of_clip: Sequence[Annotation], quadrant: str | None, imported: set[tuple[str, str]]
) -> tuple[str | None, str]:
    """Choose a caption, and return its source too.

    Preferred, in this order: not imported; by an annotator who chose the clip's quadrant; by a
    more confident annotator; by the annotator with the lowest number.
    """
    with_caption = [annotation for annotation in of_clip if annotation.answers.get("caption")]
    if not with_caption:
        return None, "none"
    ranks: Mapping[object, int] = {"high": 0, "medium": 1, "low": 2}

    def rank(annotation: Annotation) -> tuple[bool, bool, int, int, str]:
        return (
            annotation.key in imported,
            annotation.answers.get(QUADRANT) != quadrant,
            ranks.get(annotation.answers.get("confidence"), len(ranks)),
            len(annotation.annotator),
            annotation.annotator,
        )

    best = min(with_caption, key=rank)
    return str(best.answers["caption"]), "import" if best.key in imported else "annotator"
