"""Test clips, and annotations of them by made-up people."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from ossl_builder.annotations.records import Annotation
from ossl_builder.corpus import Corpus, create
from ossl_builder.engine.tables_io import write_corpus_table
from ossl_builder.tables import CLIPS, Clip
from ossl_builder.tables.clips import clip_id

_CLIP = Clip(
    clip_id="f_0-2000", film_id="f", start_s=0.0, end_s=2.0, duration_s=2.0, fps=24.0, fps_num=24,
    fps_den=1, n_frames=48, width=4, height=4, video_path="v", video_sha256="0", mix_path=None,
    mix_sha256=None, music_path="m", music_sha256="0", dialogue_path=None, dialogue_sha256=None,
    sample_rate=10, n_samples=20, cue_id=None, music_lufs=None, dialogue_share=None,
    first_scene_id=None, last_scene_id=None,
)  # fmt: skip

ANSWERS: dict[str, Any] = {
    "music_audible": "clear", "speech_over_music": "no", "quadrant": "Q1", "valence": 7,
    "energy": 7, "tension": 4, "confidence": "high",
}  # fmt: skip


def clip(number: int, film_id: str = "f") -> Clip:
    """The `number`th clip of a film, 2 s long."""
    start_s, end_s = 2.0 * number, 2.0 * number + 2
    name = clip_id(film_id, start_s, end_s)
    return dataclasses.replace(_CLIP, film_id=film_id, clip_id=name, start_s=start_s, end_s=end_s)


def annotation(number: int, annotator: str, film_id: str = "f", **changed: Any) -> Annotation:
    """Make an annotation. Keywords that are not fields of `Annotation` set answers; None: none."""
    fields = {field.name for field in dataclasses.fields(Annotation)}
    answers = {**ANSWERS, **{name: one for name, one in changed.items() if name not in fields}}
    one = Annotation(
        film_id=film_id,
        clip_id=clip(number, film_id).clip_id,
        annotator=annotator,
        schema="mood-1",
        state="answered",
        answers={name: answer for name, answer in answers.items() if answer is not None},
        source="label-studio",
        updated_at="2026-01-01T00:00:00Z",
    )
    return dataclasses.replace(
        one, **{name: value for name, value in changed.items() if name in fields}
    )


def corpus_with(folder: Path, clips: list[Clip]) -> Corpus:
    """Make a corpus that has only these clips."""
    corpus = create(folder)
    write_corpus_table(corpus.root, CLIPS, clips)
    return corpus
