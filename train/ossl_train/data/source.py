"""Clips with their labels and splits, of a corpus or of a folder that `ossl export parquet` wrote.

Both have the same tables under `manifests/` and their media at the same relative paths.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ossl_builder import files
from ossl_builder.annotations.captions import current_captions
from ossl_builder.engine import tables_io
from ossl_builder.errors import OsslError
from ossl_builder.tables import CAPTIONS, CLIPS, LABELS, SPLITS, Caption, Clip, Label
from ossl_builder.tables.splits import SPLIT_NAMES

if TYPE_CHECKING:
    import numpy as np

Drawn = TypeVar("Drawn")


@dataclass(frozen=True)
class SplitClip:
    """A clip, the split of its film, its label if it has one, and a model's caption if it is used.

    A caption by a model is never part of the label.
    """

    clip: Clip
    split: str
    label: Label | None
    model_caption: Caption | None = None


@dataclass(frozen=True)
class Source:
    """The clips that a training can use.

    Attributes:
        root: the folder that paths in rows are relative to.
        clips: all clips of films that are in a split, sorted by film and clip.
        n_left_out: clips of films without a split.
        checksums: SHA-256 of each table read, by its name.
    """

    root: Path
    clips: tuple[SplitClip, ...]
    n_left_out: int
    checksums: Mapping[str, str]

    def film_ids(self) -> list[str]:
        """Return the ids of all films, sorted."""
        return sorted({split_clip.clip.film_id for split_clip in self.clips})

    def of_film(self, film_id: str) -> tuple[SplitClip, ...]:
        """Return the clips of a film."""
        return tuple(split_clip for split_clip in self.clips if split_clip.clip.film_id == film_id)

    def on(self, split: str) -> tuple[SplitClip, ...]:
        """Return the clips of one split.

        Raises:
            OsslError: `split_unknown`, `split_empty`.
        """
        if split not in SPLIT_NAMES:
            raise OsslError(
                "split_unknown", f"There is no split {split!r}.", f"Use one of {SPLIT_NAMES}."
            )
        clips = tuple(split_clip for split_clip in self.clips if split_clip.split == split)
        if not clips:
            raise OsslError(
                "split_empty",
                f"No clip of {self.root} is in the split {split}.",
                "Run `ossl split` with a share for this split.",
            )
        return clips


def draw_evenly(film_of: Mapping[Drawn, str], count: int, rng: np.random.Generator) -> list[Drawn]:
    """Draw items at random, as evenly over the films as possible.

    With equal random numbers, the items of a smaller `count` are the first of a larger one.

    Args:
        film_of: the film of each item.
        count: number of items to draw; if there are fewer, all of them.
        rng: random numbers.
    """
    by_film: dict[str, list[Drawn]] = {}
    for item, film in film_of.items():
        by_film.setdefault(film, []).append(item)
    films = [[items[at] for at in rng.permutation(len(items))] for items in by_film.values()]
    films = [films[at] for at in rng.permutation(len(films))]
    drawn: list[Drawn] = []
    while len(drawn) < count and any(films):
        drawn += [items.pop() for items in films if items][: count - len(drawn)]
    return drawn


def clip_names(clips: Sequence[Clip]) -> list[str]:
    """Name clips by clip id; prefix the film id where films use the same clip ids."""
    counts = Counter(clip.clip_id for clip in clips)
    return [
        clip.clip_id if counts[clip.clip_id] == 1 else f"{clip.film_id}_{clip.clip_id}"
        for clip in clips
    ]


def named_clips(clips: Sequence[SplitClip]) -> dict[str, SplitClip]:
    """Return clips by the names of `clip_names`."""
    return dict(zip(clip_names([row.clip for row in clips]), clips, strict=True))


def read_source(
    corpus: Path,
    data: Path | None = None,
    *,
    use_labels: bool = True,
    model_captions: bool = False,
) -> Source:
    """Read clips, splits and labels from the tables.

    Args:
        corpus: the corpus' folder (`ossl -C`).
        data: a folder written by `ossl export parquet`, used instead.
        use_labels: whether to read the labels table; without it no clip has a label.
        model_captions: whether to read the captions table as well. The labels table may be missing
            then: the captions are made without people.

    Raises:
        OsslError: `no_tables`, `table_missing`, `table_version`, `split_empty`.
    """
    root = (data or corpus).resolve()
    folder = root / "manifests"
    if not folder.is_dir():
        raise OsslError(
            "no_tables",
            f"{root} is not a corpus and not an export: it has no folder manifests.",
            "Name a corpus with `ossl -C DIR`, or an export with --data DIR.",
        )
    splits: dict[str, str | None] = {
        row.film_id: row.split for row in tables_io.read_table(folder, SPLITS)
    }
    with_captions = use_labels and model_captions
    captions = current_captions(folder) if with_captions else {}
    if with_captions and not (folder / f"{LABELS.name}.parquet").exists():
        use_labels = False
    labels = {(row.film_id, row.clip_id): row for row in _labels(folder, use_labels)}
    clips: list[Clip] = tables_io.read_table(folder, CLIPS)
    clips_in_splits = [
        SplitClip(clip, split, labels.get(key), captions.get(key))
        for clip in clips
        if (split := splits.get(clip.film_id)) is not None and (key := (clip.film_id, clip.clip_id))
    ]
    if not clips_in_splits:
        raise OsslError(
            "split_empty",
            f"No film of {root} that has clips is in a split.",
            "Run `ossl split` to assign films to splits.",
        )
    names = [CLIPS.name, SPLITS.name]
    names += [LABELS.name] * use_labels + [CAPTIONS.name] * with_captions
    return Source(
        root=root,
        clips=tuple(sorted(clips_in_splits, key=_film_and_clip)),
        n_left_out=len(clips) - len(clips_in_splits),
        checksums={name: files.sha256_file(folder / f"{name}.parquet") for name in names},
    )


def _film_and_clip(split_clip: SplitClip) -> tuple[str, str]:
    return split_clip.clip.film_id, split_clip.clip.clip_id


def _labels(folder: Path, use_labels: bool) -> list[Label]:
    if not use_labels:
        return []
    try:
        return tables_io.read_table(folder, LABELS)
    except OsslError as error:
        if error.code != "table_missing":
            raise
        hint = f"{error.hint} To train without moods: --set prompts.use_labels=false."
        raise OsslError(error.code, error.message, hint) from error
