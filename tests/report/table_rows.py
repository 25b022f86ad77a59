"""Made-up table rows, for cases that no test film has."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ossl_builder.corpus import Corpus, create
from ossl_builder.engine import tables_io
from ossl_builder.tables import CLIPS, FILMS, LABELS, SCENES, SPLITS, Clip, Film, Label, Table
from ossl_builder.tables.scenes import Scene
from ossl_builder.tables.splits import Split
from tests.rows import film_row

QUADRANTS = ("Q1", "Q2", "Q3", "Q4")
SCENE_S = 540
MOODS = ("happy, excited", "tense, angry", "sad, gloomy", "relaxed, tender")


def film(film_id: str, **other: Any) -> Film:
    return dataclasses.replace(film_row(f"films/{film_id}/a.mp4"), film_id=film_id, **other)


def clip(film_id: str, begin: float, end: float, **other: Any) -> Clip:
    length = end - begin
    name = f"{film_id}_{round(begin * 1000)}-{round(end * 1000)}"
    path = f"films/{film_id}/clips/{name}"
    row = Clip(
        clip_id=name, film_id=film_id, start_s=begin, end_s=end, duration_s=length, fps=24.0,
        fps_num=24, fps_den=1, n_frames=round(length * 24), width=640, height=480,
        video_path=f"{path}.mp4", video_sha256="0" * 64, mix_path=f"{path}.mix.flac",
        mix_sha256="0" * 64, music_path=f"{path}.music.flac", music_sha256="0" * 64,
        dialogue_path=None, dialogue_sha256=None, sample_rate=48000,
        n_samples=round(length * 48000), cue_id=None, music_lufs=-24.0, dialogue_share=0.25,
        first_scene_id=None, last_scene_id=None,
    )  # fmt: skip
    return dataclasses.replace(row, **other)


def label(of: Clip, quadrant: str | None, valence: float | None, arousal: float | None) -> Label:
    return Label(
        film_id=of.film_id, clip_id=of.clip_id, quadrant=quadrant,
        mood=MOODS[QUADRANTS.index(quadrant)] if quadrant else None, rule="majority",
        confidence=None, n_annotators=3, n_skipped=0, majority_quadrant=quadrant,
        majority_share=None, dawid_skene_quadrant=None, dawid_skene_confidence=None,
        valence=valence, energy=arousal, tension=arousal, music_audible="clear",
        speech_over_music="no", mood_words="", caption=None, caption_source="none",
    )  # fmt: skip


def write_rows(corpus: Corpus, table: Table, rows: Sequence[Any]) -> None:
    """Write a table with these rows, which must be sorted."""
    schema = table.arrow_schema()
    columns = {name: [getattr(row, name) for row in rows] for name in schema.names}
    path = corpus.root / "manifests" / f"{table.name}.parquet"
    tables_io.write_arrow(path, table, [pa.Table.from_pydict(columns, schema)])


def large(root: Path, n_films: int, n_clips: int) -> Corpus:
    """Make a large corpus: films of 90 minutes with clips, labels, scenes and splits."""
    corpus = create(root)
    rng = np.random.default_rng(0)
    films, clips, labels, scenes, splits = [], [], [], [], []
    for number in range(n_films):
        name = f"film-{number:04d}"
        title = f"The {number}th Adventure of a Film with a Name of Some Length"
        year = int(rng.integers(1903, 1963))
        films.append(film(name, title=title, year=year, duration_s=5400.0))
        starts = np.sort(rng.choice(540, n_clips // n_films, replace=False)) * 10
        own = [
            clip(name, float(at), float(at + 10), music_lufs=float(rng.normal(-27, 6)))
            for at in starts
        ]
        own.sort(key=lambda row: row.clip_id)
        clips += own
        for row in own:
            valence, arousal = (float(np.clip(value, 1, 9)) for value in rng.normal(5, 1.6, 2))
            quadrant = QUADRANTS[(0 if valence >= 5 else 1) if arousal >= 5 else 2 + (valence >= 5)]
            labels.append(label(row, quadrant, valence, arousal))
        for at in range(0, 5400, SCENE_S):
            scenes.append(
                Scene(
                    film_id=name, scene_id=f"{name}_s{at // SCENE_S:04d}", start_s=float(at),
                    end_s=float(at + SCENE_S), start_frame=at * 24, end_frame=(at + SCENE_S) * 24,
                    transition_in="cut" if at else "start", is_black_and_white=True,
                    thumbnail_path=f"films/{name}/scenes/{at // SCENE_S:04d}.jpg", black_spans=(),
                    damaged_spans=(),
                )
            )  # fmt: skip
        split = ("train",) * 8 + ("validation", "test")
        splits.append(
            Split(
                name, split[number % 10], "made up", name, len(own), 10.0 * len(own), "Q1", "short"
            )
        )
    for table, rows in zip(
        (FILMS, CLIPS, LABELS, SCENES, SPLITS), (films, clips, labels, scenes, splits), strict=True
    ):
        write_rows(corpus, table, rows)
    return corpus
