"""The demo corpus with labels and splits made by hand, and its stores."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ossl_train.data.dataset import Dataset, open_dataset
from ossl_train.data.prepare import Job, codes_jobs, features_jobs, prepare
from ossl_train.data.source import Source, read_source
from ossl_train.pretrained import with_models
from ossl_train.recipe import TrainRecipe, load_train_recipe

from ossl_builder.engine.schedule import Event
from ossl_builder.engine.tables_io import read_table, write_corpus_table
from ossl_builder.tables import CLIPS, LABELS, SPLITS, Clip, Label, Split
from tests.e2e.corpora import linked

SPLIT_OF = {"demo-sintel": "train", "demo-caminandes": "validation", "demo-steamboat": "test"}
LABEL = Label(
    film_id="", clip_id="", quadrant="Q1", mood="happy", rule="majority", confidence=0.8,
    n_annotators=3, n_skipped=0, majority_quadrant="Q1", majority_share=0.8,
    dawid_skene_quadrant="Q1", dawid_skene_confidence=0.9, valence=7.0, energy=6.5, tension=None,
    music_audible="clear", speech_over_music="no", mood_words="happy", caption=None,
    caption_source="none",
)  # fmt: skip


def clips_of(root: Path) -> list[Clip]:
    return read_table(root / "manifests", CLIPS)


def label(clip: Clip, mood: str | None, caption: str | None = None) -> Label:
    return dataclasses.replace(
        LABEL, film_id=clip.film_id, clip_id=clip.clip_id, mood=mood, caption=caption,
        caption_source="annotator" if caption else "none",
    )  # fmt: skip


def assign_splits(root: Path, splits: dict[str, str | None]) -> None:
    """Write a splits table that a person has chosen."""
    rows = [
        Split(film, split, "by hand", film, 1, 1.0, "Q1", "short") for film, split in splits.items()
    ]
    write_corpus_table(root, SPLITS, rows)


def put_labels(root: Path, mood: str = "happy") -> None:
    """Every second clip has a caption; the last one has no label at all."""
    rows = [
        label(clip, mood, "Brass and drums." if number % 2 else None)
        for number, clip in enumerate(clips_of(root)[:-1])
    ]
    write_corpus_table(root, LABELS, rows)


def copied(root: Path, to: Path) -> Path:
    """A copy of a corpus whose files may be replaced, though not written into."""
    linked(root, to)
    return to


def recipe_for(root: Path, *overrides: str) -> TrainRecipe:
    return with_models(load_train_recipe("tiny_cpu", overrides), root)


def source_of(root: Path, recipe: TrainRecipe) -> Source:
    return read_source(root, **recipe.prompts.tables())


def jobs_of(root: Path, *overrides: str) -> tuple[Job, ...]:
    recipe = recipe_for(root, *overrides)
    source = source_of(root, recipe)
    return (*features_jobs(source, recipe), *codes_jobs(source, recipe))


def store_all(
    root: Path, *overrides: str, tell: Callable[[str, Event], None] = lambda film, event: None
) -> None:
    """`ossl train features` and `ossl train codes`, in this process."""
    prepare(jobs_of(root, *overrides), tell)


def opened(root: Path, split: str = "train", *overrides: str) -> Dataset:
    recipe = recipe_for(root, *overrides)
    return open_dataset(source_of(root, recipe), recipe, split)


def stored_bytes(root: Path) -> dict[str, bytes]:
    paths = sorted((root / "train/data").rglob("*.safetensors"))
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


def equal(one: Any, other: Any) -> bool:
    """Whether two batches are the same to the bit."""
    import torch

    for field in dataclasses.fields(one):
        left, right = getattr(one, field.name), getattr(other, field.name)
        if field.name == "text":
            same = torch.equal(left.states, right.states) and torch.equal(left.mask, right.mask)
        elif isinstance(left, torch.Tensor):
            same = torch.equal(left, right)
        else:
            same = left == right
        if not same:
            return False
    return True
