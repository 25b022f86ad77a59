"""Export in the layouts of OSSL v1 and v2, read like the published code, and imported again."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import soundfile

from ossl_builder.engine import tables_io
from ossl_builder.tables import CLIPS, LABELS
from tests.e2e.corpora import Ossl, rows

SHEETS = {"train": "train_meta.csv", "validation": "valid_meta.csv", "test": "test_meta.csv"}
SPLIT_NAMES = {"demo-caminandes": "train", "demo-sintel": "validation", "demo-steamboat": "test"}


def published_v1(folder: Path, sheet: str) -> list[dict[str, Any]]:
    """Read a v1 folder like the data set of the published code: prompt and files of each clip."""
    data = pandas.read_csv(folder / sheet)
    found = []
    for index in range(len(data)):
        item = data.iloc[index]
        stem = item["film_id"] + "_" + str(item["clip_id"])
        found.append(
            {
                "prompt": "a film soundtrack for a " + item["mood"] + " scene. " + item["caption"],
                "music": folder / f"{stem}.wav",
                "video": folder / f"{stem}.mp4",
                "id": item["ossl_clip_id"],
            }
        )
    return found


def samples(path: Path) -> tuple[int, np.ndarray[Any, Any]]:
    audio, rate = soundfile.read(path, dtype="int32", always_2d=True)
    return rate, audio


def test_the_published_code_can_read_v1(ossl: Ossl, corpus: Path, tmp_path: Path) -> None:
    labels = tables_io.read_table(corpus / "manifests", LABELS)
    tables_io.write_corpus_table(corpus, LABELS, labels[1:])  # one clip without mood or caption
    out = tmp_path / "v1"
    ossl("-C", corpus, "export", "ossl-v1", "--out", out)
    clips = {row["clip_id"]: row for row in rows(corpus, "clips")}
    labels_by_clip = {row.clip_id: row for row in labels[1:]}
    for split, sheet in SHEETS.items():
        for one in published_v1(out, sheet):
            clip = clips.pop(one["id"])
            assert SPLIT_NAMES[clip["film_id"]] == split
            assert one["video"].read_bytes() == (corpus / clip["video_path"]).read_bytes()
            (rate, wave), (own_rate, flac) = (
                samples(one["music"]), samples(corpus / clip["music_path"])
            )  # fmt: skip
            assert rate == own_rate
            assert np.array_equal(wave, flac)
            label = labels_by_clip.get(one["id"])
            mood, caption = (label.mood, label.caption) if label else (None, None)
            assert one["prompt"] == (
                f"a film soundtrack for a {mood or ' '} scene. {caption or ' '}"
            )
    assert not clips


def test_v1_round_trip(ossl: Ossl, corpus: Path, tmp_path: Path) -> None:
    out, back, again = tmp_path / "v1", tmp_path / "back", tmp_path / "again"
    ossl("-C", corpus, "export", "ossl-v1", "--out", out)
    ossl("import", "ossl-v1", out, "--out", back)
    named = {
        "_".join(line[:2]): line[2]
        for sheet in SHEETS.values()
        for line in _sheet(out / sheet, ("film_id", "clip_id", "ossl_clip_id"))
    }
    same = ("n_frames", "width", "height", "fps_num", "fps_den", "n_samples", "video_sha256")
    theirs = {row["clip_id"]: row for row in rows(corpus, "clips")}
    for row in rows(back, "clips"):
        clip = theirs.pop(named[row["clip_id"]])
        assert {name: row[name] for name in same} == {name: clip[name] for name in same}
        # A clip of 24000/1001 frames per second does not end on a sample.
        assert row["duration_s"] == pytest.approx(clip["duration_s"], abs=1 / 44_100)
        assert row["music_lufs"] == pytest.approx(clip["music_lufs"], abs=0.05)
    assert not theirs
    labels = {row["clip_id"]: row for row in rows(corpus, "labels")}
    for row in rows(back, "labels"):
        label = labels.pop(named[row["clip_id"]])
        assert (row["mood"], row["caption"]) == (label["mood"], label["caption"])
        assert row["quadrant"] == "Q1"  # from the mood words, which are the same for all clips here
    assert not labels
    assert {row["film_id"]: row["split"] for row in rows(back, "splits")} == SPLIT_NAMES
    assert [row["title"] for row in rows(back, "films")] == [
        row["title"] for row in rows(corpus, "films")
    ]
    ossl("-C", back, "export", "ossl-v1", "--out", again, "--allow-unverified")
    columns = ("film_id", "clip_id", "mood", "caption")
    for sheet in SHEETS.values():
        first, second = (_sheet(folder / sheet, columns) for folder in (out, again))
        assert first == second
    for path in (*out.glob("*.wav"), *out.glob("*.mp4")):
        assert (again / path.name).read_bytes() == path.read_bytes()


def _sheet(path: Path, columns: tuple[str, ...]) -> list[list[str]]:
    with path.open(newline="") as stream:
        return [[row[name] for name in columns] for row in csv.DictReader(stream)]


def test_v2_has_its_folders_lines_and_films(ossl: Ossl, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "v2"
    ossl("-C", corpus, "export", "ossl-v2", "--out", out)
    films = pandas.read_csv(out / "metadata.csv").set_index("movie_id")
    clips = tables_io.read_table(corpus / "manifests", CLIPS)
    assert {movie: row["split"] for movie, row in films.iterrows()} == SPLIT_NAMES
    lines = {
        split: (out / f"splits/{split}.txt").read_text().split()
        for split in set(SPLIT_NAMES.values())
    }
    assert sum(map(len, lines.values())) == len(clips)
    for clip in clips:
        split = SPLIT_NAMES[clip.film_id]
        assert f"{clip.film_id}/{clip.clip_id}" in lines[split]
        wave = out / split / "audio" / clip.film_id / f"{clip.clip_id}.wav"
        assert np.array_equal(samples(wave)[1], samples(corpus / clip.music_path)[1])
        assert (out / split / "video" / clip.film_id / f"{clip.clip_id}.mp4").is_file()
    per_film = pandas.DataFrame([vars(clip) for clip in clips]).groupby("film_id")["duration_s"]
    assert np.allclose(films["duration_s"].sort_index(), per_film.sum())
    assert (films["n_clips"].sort_index() == per_film.count()).all()
