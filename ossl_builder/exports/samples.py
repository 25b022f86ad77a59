"""Join a clip with its film and label to a sample, as the export formats for training need it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ossl_builder.annotations.captions import current_captions
from ossl_builder.exports.link_or_copy import Checked, size_of_file
from ossl_builder.exports.selection import Selection
from ossl_builder.files import inside
from ossl_builder.tables import CAPTIONS, CLIPS, FILMS, LABELS, Table

# The path column of the clips table for each media role; mix and dialogue may be missing.
MEDIA = {
    "video": "video_path",
    "mix": "mix_path",
    "music": "music_path",
    "dialogue": "dialogue_path",
}

CLIP_COLUMNS = (
    "clip_id", "film_id", "start_s", "end_s", "duration_s", "fps", "n_frames", "width", "height",
    "sample_rate", "n_samples", "music_lufs", "dialogue_share", "video_sha256", "mix_sha256",
    "music_sha256", "dialogue_sha256", "dialogue_residual_music", "music_residual_dialogue",
)  # fmt: skip
FILM_COLUMNS = (
    "title", "year", "country", "basis", "evidence", "is_claim", "verdict", "source",
    "licence_url", "rights_statement",
)  # fmt: skip
LABEL_COLUMNS = (
    "quadrant", "mood", "confidence", "n_annotators", "valence", "energy", "tension",
    "music_audible", "speech_over_music", "mood_words", "caption", "caption_source",
)  # fmt: skip
# A model's caption has columns of its own, so that nobody takes it for one of a person.
CAPTION_COLUMNS = {
    "model_caption": "caption",
    "model_caption_model": "model",
    "model_caption_revision": "revision",
}


# Name, plain type, unit and meaning.
Column = tuple[str, type, str, str]


@dataclass(frozen=True)
class Sample:
    """One clip.

    Attributes:
        clip_id: the clip.
        split: the split of its film; empty: the corpus has no splits.
        facts: the value of each column in `columns()`.
        media: the file of each role that the clip has.
        columns: `columns()` of the selection.
    """

    clip_id: str
    split: str
    facts: dict[str, Any]
    media: dict[str, Path]
    columns: Sequence[Column]

    def file(self, role: str) -> Checked:
        """Return the file of a role with its hash in the tables."""
        return Checked(self.media[role], self.facts[f"{role}_sha256"])

    def size_bytes(self) -> int:
        """Return the total size of its media in bytes."""
        return sum(size_of_file(path) for path in self.media.values())


def columns(selection: Selection) -> list[Column]:
    """Return name, plain type, unit and meaning of each column of a sample, in order."""
    labels = selection.stored_table(LABELS)
    described_columns: list[Column] = [
        ("split", str, "", "`train`, `validation` or `test`; empty: the corpus has no splits")
    ]
    groups: tuple[tuple[Table, tuple[str, ...]], ...] = (
        (CLIPS, CLIP_COLUMNS),
        (FILMS, FILM_COLUMNS),
        (labels, _label_columns(labels)),
    )
    for table, names in groups:
        described = {column.name: column.metadata for column in table.columns}
        for name in names:
            meta = described[name]
            described_columns.append((name, table.types()[name][0], meta["unit"], meta["doc"]))
    if selection.has(CAPTIONS):
        docs = {column.name: column.metadata["doc"] for column in CAPTIONS.columns}
        described_columns += [
            (name, str, "", docs[column]) for name, column in CAPTION_COLUMNS.items()
        ]
    return described_columns


def _label_columns(labels: Table) -> tuple[str, ...]:
    """Return the columns of labels in a sample: the fixed ones, and those of further questions."""
    further = (column.name for column in labels.columns if column.metadata.get("is_stored"))
    return (*LABEL_COLUMNS, *further)


def samples(selection: Selection) -> Iterator[Sample]:
    """Yield each clip of the selected films with its film and label, sorted by film and clip."""
    films = {
        row["film_id"]: row
        for batch in selection.batches(FILMS, ["film_id", *FILM_COLUMNS])
        for row in batch.to_pylist()
    }
    all_columns = columns(selection)
    label_columns = _label_columns(selection.stored_table(LABELS))
    unlabelled = dict.fromkeys(label_columns)
    labels = {
        row["clip_id"]: row
        for batch in (selection.batches(LABELS) if selection.has(LABELS) else ())
        for row in batch.select(["clip_id", *label_columns]).to_pylist()
    }
    captions = _model_captions(selection)
    for batch in selection.batches(CLIPS, [*CLIP_COLUMNS, *MEDIA.values()]):
        for row in batch.to_pylist():
            film = films[row["film_id"]]
            label = labels.get(row["clip_id"], unlabelled)
            split = selection.splits.get(row["film_id"], "")
            yield Sample(
                clip_id=row["clip_id"],
                split=split,
                facts={
                    "split": split,
                    **{name: row[name] for name in CLIP_COLUMNS},
                    **{name: film[name] for name in FILM_COLUMNS},
                    **{name: label[name] for name in label_columns},
                    **captions(row["film_id"], row["clip_id"]),
                },
                media={
                    role: inside(selection.root, row[column])
                    for role, column in MEDIA.items()
                    if row[column] is not None
                },
                columns=all_columns,
            )


def _model_captions(selection: Selection) -> Callable[[str, str], dict[str, Any]]:
    """Return a function from film and clip to the values of `CAPTION_COLUMNS`."""
    if not selection.has(CAPTIONS):
        return lambda film_id, clip_id: {}
    captions = current_captions(selection.folder)

    def values(film_id: str, clip_id: str) -> dict[str, Any]:
        row = captions.get((film_id, clip_id))
        return {
            name: None if row is None else getattr(row, column)
            for name, column in CAPTION_COLUMNS.items()
        }

    return values
