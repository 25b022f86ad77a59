"""A private copy of the demo corpus, with labels and splits."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ossl_builder.engine import tables_io
from ossl_builder.tables import CLIPS, LABELS, SPLITS, Clip, Label, Split
from tests.e2e.corpora import linked

SPLIT_NAMES = {"demo-caminandes": "train", "demo-sintel": "validation", "demo-steamboat": "test"}


def label(clip: Clip, quadrant: str, caption: str | None) -> Label:
    return Label(
        film_id=clip.film_id, clip_id=clip.clip_id, quadrant=quadrant, mood="happy, excited",
        rule="majority", confidence=1.0, n_annotators=3, n_skipped=0, majority_quadrant=quadrant,
        majority_share=1.0, dawid_skene_quadrant=None, dawid_skene_confidence=None, valence=7.0,
        energy=6.0, tension=3.0, music_audible="clear", speech_over_music="no", mood_words="",
        caption=caption, caption_source="none" if caption is None else "annotator",
    )  # fmt: skip


@pytest.fixture
def corpus(demo_corpus: Path, tmp_path: Path) -> Path:
    """A copy of the demo corpus with shared media; each film is in a different split."""
    root = tmp_path / "corpus"
    linked(demo_corpus, root)
    for table in (root / "manifests").iterdir():  # tables are replaced here, never written into
        table.write_bytes(shutil.copyfile(table, tmp_path / "table").read_bytes())
    clips: list[Clip] = tables_io.read_table(root / "manifests", CLIPS)
    labels = [
        label(clip, f"Q{index % 4 + 1}", "A waltz." if index % 2 else None)
        for index, clip in enumerate(clips)
    ]
    tables_io.write_corpus_table(root, LABELS, labels)
    splits = []
    for film_id, split in SPLIT_NAMES.items():
        own = [clip for clip in clips if clip.film_id == film_id]
        length = sum(clip.duration_s for clip in own)
        splits.append(Split(film_id, split, "by hand", film_id, len(own), length, "Q1", "short"))
    tables_io.write_corpus_table(root, SPLITS, splits)
    return root
