"""Each export layout, loaded offline by the library that it is made for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas
import pytest
import soundfile

from ossl_builder.corpus import Corpus
from ossl_builder.exports import shards as sharding
from tests.e2e.corpora import Ossl


@pytest.fixture
def clips(corpus: Path) -> dict[str, dict[str, Any]]:
    """Rows of the clips table by id; every layout must match them."""
    frame = pandas.read_parquet(corpus / "manifests" / "clips.parquet")
    return {row["clip_id"]: row for row in frame.to_dict("records")}


def test_datasets_loads_media_and_columns(
    ossl: Ossl, corpus: Path, clips: dict[str, dict[str, Any]], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    pytest.importorskip("torchcodec", exc_type=RuntimeError, reason="needs ffmpeg's libraries")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    out = tmp_path / "out"
    ossl("-C", corpus, "export", "hf", "--out", out)
    loaded = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    assert {split: len(loaded[split]) for split in loaded} == {
        "train": 2,
        "validation": 3,
        "test": 2,
    }
    for split, rows in loaded.items():
        for row in rows:
            clip = clips.pop(row["clip_id"])
            assert row["split"] == split
            assert row["title"]
            assert row["evidence"]
            assert row["quadrant"] in ("Q1", "Q2", "Q3", "Q4")
            assert "/" not in row["source"]
            music = row["music"].get_all_samples()
            assert music.sample_rate == clip["sample_rate"]
            assert music.data.shape[1] == clip["n_samples"]
            assert row["video"].metadata.num_frames == clip["n_frames"]
            assert row["video"][0].shape[-2:] == (clip["height"], clip["width"])
    assert not clips
    streamed = datasets.load_dataset(str(out), split="test", streaming=True)
    first = next(iter(streamed))
    assert first["film_id"] == "demo-steamboat"
    assert first["mix"].get_all_samples().data.shape[0] == 2
    card = datasets.load_dataset_builder(str(out), cache_dir=str(tmp_path / "cache")).info
    assert card.splits["train"].num_examples == 2


def test_webdataset_reads_the_shards(
    ossl: Ossl, corpus: Path, clips: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    import webdataset

    out = tmp_path / "out"
    ossl("-C", corpus, "export", "webdataset", "--out", out)
    index = json.loads((out / "index.json").read_text())["shards"]
    assert [entry["shard"] for entry in index] == [
        "train-000000.tar", "validation-000000.tar", "test-000000.tar",
    ]  # fmt: skip
    found = set()
    for entry in index:
        for sample in webdataset.WebDataset(str(out / entry["shard"]), shardshuffle=False):
            told = json.loads(sample["json"])
            clip = clips[told["clip_id"]]
            found.add(told["clip_id"])
            assert sample["mp4"] == (corpus / clip["video_path"]).read_bytes()
            assert sample["music.flac"] == (corpus / clip["music_path"]).read_bytes()
            assert {"mix.flac", "dialogue.flac"} <= sample.keys()
            assert told["split"] == entry["split"]
    assert found == clips.keys()


def test_croissant_is_valid_and_detects_a_flipped_byte(
    ossl: Ossl, corpus: Path, clips: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    import mlcroissant

    out = tmp_path / "out"
    ossl("-C", corpus, "export", "croissant", "--out", out, "--copy")
    described = mlcroissant.Dataset(str(out / "croissant.json"))
    assert not described.metadata.ctx.issues.errors
    records = list(described.records("clips"))
    assert len(records) == len(clips)
    for record in records:
        clip = clips[record["clips/clip_id"].decode()]
        assert record["clips/duration_s"] == pytest.approx(clip["duration_s"])
        assert record["clips/music_sha256"].decode() == clip["music_sha256"]
    distribution = json.loads((out / "croissant.json").read_text())["distribution"]
    tables = {entry["contentUrl"] for entry in distribution if entry["@type"] == "cr:FileObject"}
    assert tables == {
        path.relative_to(out).as_posix() for path in (out / "manifests").glob("*.parquet")
    }
    # One file set per role, with each file exactly once and nothing else.
    sets = [entry for entry in distribution if entry["@type"] == "cr:FileSet"]
    matched = {
        entry["name"]: {
            path.relative_to(out).as_posix()
            for glob in entry["includes"]
            for path in out.glob(glob)
        }
        for entry in sets
    }
    assert matched == {
        f"{role}-files": {clip[f"{role}_path"] for clip in clips.values()}
        for role in ("video", "mix", "music", "dialogue")
    }
    shutil.copytree(out, tmp_path / "bad")
    table = tmp_path / "bad" / "manifests" / "clips.parquet"
    data = bytearray(table.read_bytes())
    data[len(data) // 2] ^= 1
    table.write_bytes(data)
    with pytest.raises(mlcroissant.GenerationError, match=r"clips\.parquet") as caught:
        list(mlcroissant.Dataset(str(tmp_path / "bad" / "croissant.json")).records("clips"))
    assert "hash" in str(caught.value.__cause__).lower()


def test_pandas_reads_the_sheets(
    ossl: Ossl, corpus: Path, clips: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ossl("-C", corpus, "export", "csv", "--out", out)
    sheet = pandas.read_csv(out / "dataset.csv")
    assert set(sheet["clip_id"]) == clips.keys()
    for row in sheet.to_dict("records"):
        audio = soundfile.info(corpus / row["music_path"])
        assert audio.frames == row["n_samples"]
        assert row["duration_s"] == pytest.approx(clips[row["clip_id"]]["duration_s"])
    scenes = pandas.read_csv(out / "scenes.csv")
    table = pandas.read_parquet(corpus / "manifests" / "scenes.parquet")
    assert len(scenes) == len(table)
    spans = [json.loads(cell) for cell in scenes["black_spans"]]
    assert spans == [list(row) for row in table["black_spans"]]
    assert [] in spans


@pytest.mark.parametrize("layout", ["hf", "webdataset", "croissant", "csv"])
def test_the_same_corpus_gives_the_same_bytes(
    ossl: Ossl, corpus: Path, tmp_path: Path, layout: str
) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        ossl("-C", corpus, "export", layout, "--out", folder)
    a, b = (
        {
            path.relative_to(folder): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        for folder in folders
    )
    assert a == b
    assert a


def test_shards_are_not_rewritten_and_follow_the_corpus(
    ossl: Ossl, corpus: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ossl("-C", corpus, "export", "webdataset", "--out", out)
    whole = {path.name: path.read_bytes() for path in out.iterdir()}
    kept = (out / "train-000000.tar").stat().st_mtime_ns
    (out / "test-000000.tar").unlink()
    (out / "validation-000000.tar").write_bytes(b"half")
    ossl("-C", corpus, "export", "webdataset", "--out", out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == whole
    assert (out / "train-000000.tar").stat().st_mtime_ns == kept
    ossl("-C", corpus, "export", "webdataset", "--out", out, "--split", "test")
    assert sorted(path.name for path in out.glob("*.tar")) == ["test-000000.tar"]


def test_shards_have_about_the_target_size(corpus: Path) -> None:
    from ossl_builder.exports.samples import samples
    from ossl_builder.exports.selection import select

    every = list(samples(select(Corpus(corpus))))
    largest = max(one.size_bytes() for one in every)
    shards = sharding.plan(every, 2 * largest, lambda split, n, of: f"{split}-{n}-{of}", 1)
    assert [one for shard in shards for one in shard.samples] == sorted(
        every, key=lambda one: ["train", "validation", "test"].index(one.split)
    )
    assert all(sum(s.size_bytes() for s in shard.samples) <= 2 * largest for shard in shards)
    assert len(shards) > 3
    assert all(len({one.split for one in shard.samples}) == 1 for shard in shards)
