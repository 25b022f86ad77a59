"""Pre-labels: what the labels table says of clips, as Label Studio's predictions."""

from __future__ import annotations

from typing import Any

from ossl_builder.annotations.label_config import results_of
from ossl_builder.annotations.label_schema import LabelSchema
from ossl_builder.annotations.records import Answer
from ossl_builder.corpus import Corpus
from ossl_builder.engine import tables_io
from ossl_builder.tables import LABELS, Label

SCALES = ("valence", "energy", "tension")
CHOICES = ("quadrant", "music_audible", "speech_over_music")


def of(corpus: Corpus, taxonomy: LabelSchema) -> dict[str, dict[str, Any]]:
    """Clip to its prediction, marked by the rule that made it.

    Raises:
        OsslError: `table_missing`, `table_version`.
    """
    rows: list[Label] = tables_io.read_table(corpus.root / "manifests", LABELS)
    found = {}
    for row in rows:
        results = results_of(taxonomy, _answers(row, taxonomy))
        if results:
            found[row.clip_id] = {
                "model_version": f"labels by {row.rule}",
                "score": row.confidence,
                "result": results,
            }
    return found


def _answers(row: Label, taxonomy: LabelSchema) -> dict[str, Answer]:
    """A label as one person's answers; what the questions do not know is left out."""
    given: dict[str, Any] = {name: getattr(row, name) for name in CHOICES}
    # Means of several people are rounded to what one person could have answered.
    means = {name: getattr(row, name) for name in SCALES}
    given |= {name: round(mean) for name, mean in means.items() if mean is not None}
    given["mood_words"] = tuple(word for word in row.mood_words.split("; ") if word)
    given["caption"] = row.caption
    questions = {question.name: question for question in taxonomy.questions}
    return {
        name: answer
        for name, answer in given.items()
        if answer and name in questions and questions[name].problem(answer) is None
    }
