"""The labels table: labels derived from the annotations of a clip."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ossl_builder.tables.schema import Table, column, question_column

QUADRANTS = ("Q1", "Q2", "Q3", "Q4")
CAPTION_SOURCES = ("annotator", "import", "none")


@dataclass(frozen=True)
class Label:
    """The label of one clip that has an annotation or was imported with a mood."""

    film_id: str = column("the film")
    clip_id: str = column("the clip")
    quadrant: str | None = column("Russell's quadrant by `rule`: `Q1` to `Q4`; empty: none")
    mood: str | None = column("the mood in words, as used in prompts")
    rule: str = column("rule that decided the quadrant: `majority`, `dawid_skene` or `import`")
    confidence: float | None = column("confidence of the rule in the quadrant", "0 to 1")
    n_annotators: int = column("number of annotators whose answers count")
    n_skipped: int = column("number of annotators who skipped the clip")
    majority_quadrant: str | None = column("quadrant of the majority; empty: a tie, or no answers")
    majority_share: float | None = column("fraction of the answers with that quadrant", "0 to 1")
    dawid_skene_quadrant: str | None = column("most probable quadrant by the Dawid-Skene model")
    dawid_skene_confidence: float | None = column("its probability", "0 to 1")
    valence: float | None = column("mean valence", "1 to 9")
    energy: float | None = column("mean energy arousal", "1 to 9")
    tension: float | None = column("mean tension arousal", "1 to 9")
    music_audible: str | None = column("most frequent answer: `clear`, `faint` or `none`")
    speech_over_music: str | None = column("most frequent answer: `no`, `some` or `most`")
    mood_words: str = column(
        "mood words chosen by at least half of the annotators, sorted, joined by `; `"
    )
    caption: str | None = column("one sentence that describes the music")
    caption_source: str = column("source of the caption: `annotator`, `import` or `none`")


def _check(rows: Sequence[Label]) -> Iterable[str]:
    for row in rows:
        for name in ("quadrant", "majority_quadrant", "dawid_skene_quadrant"):
            if getattr(row, name) not in (None, *QUADRANTS):
                yield f"clip {row.clip_id} has the {name} {getattr(row, name)!r}"
        for name in ("confidence", "majority_share", "dawid_skene_confidence"):
            value = getattr(row, name)
            if value is not None and not 0 <= value <= 1:
                yield f"clip {row.clip_id} has a {name} outside 0 to 1"
        for name in ("valence", "energy", "tension"):
            value = getattr(row, name)
            if value is not None and not 1 <= value <= 9:
                yield f"clip {row.clip_id} has a {name} outside 1 to 9"
        if row.caption_source not in CAPTION_SOURCES:
            yield f"clip {row.clip_id} has a caption from {row.caption_source!r}"
        if (row.caption is None) != (row.caption_source == "none"):
            yield f"clip {row.clip_id} has a caption without source, or a source without caption"
        if row.rule not in ("majority", "dawid_skene", "import"):
            yield f"clip {row.clip_id} was labelled by {row.rule!r}"


LABELS = Table(
    name="labels",
    doc="One row per clip that has an annotation or was imported with a mood.",
    row=Label,
    version=1,
    key=("film_id", "clip_id"),
    check=_check,
)


@dataclass(frozen=True)
class QuestionColumn:
    """A column with the combined answers to a question that only some label schemas have.

    Attributes:
        name: the question's name.
        kind: `float` or `str`; the column may be empty.
        doc: its meaning.
        unit: its unit; empty: none.
    """

    name: str
    kind: type[Any]
    doc: str
    unit: str = ""


def labels_table(columns: Iterable[QuestionColumn]) -> Table:
    """Return the labels table with further columns; without any, `LABELS` itself."""
    fields = [(col.name, col.kind | None, question_column(col.doc, col.unit)) for col in columns]
    if not fields:
        return LABELS
    row = dataclasses.make_dataclass("Label", fields, bases=(Label,), frozen=True)
    return dataclasses.replace(LABELS, row=row)


def stored_labels_table(folder: Path) -> Table:
    """Return the labels table with the further columns that its file has.

    Args:
        folder: the tables' folder.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(folder / f"{LABELS.name}.parquet")
    except (OSError, pa.ArrowInvalid):
        return LABELS  # reading the table raises the error with its message
    fixed = LABELS.types()
    further = []
    for field in schema:
        # Only columns that `Table.arrow_schema` marked: a file may come from anywhere.
        if field.name in fixed or b"ossl.doc" not in (field.metadata or {}):
            continue
        kind = float if pa.types.is_float64(field.type) else str
        doc, unit = (field.metadata.get(key, b"").decode() for key in (b"ossl.doc", b"ossl.unit"))
        if field.name.isidentifier() and (kind is float or pa.types.is_string(field.type)):
            further.append(QuestionColumn(field.name, kind, doc, unit))
    return labels_table(further)
