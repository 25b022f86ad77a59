"""The windows of a split, and refusal of data that do not belong together."""

import dataclasses
import gc
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from ossl_train.cli import app
from ossl_train.data.dataset import Dataset, batches
from ossl_train.data.storage import StoreWriter, read_metadata, store_path
from safetensors.torch import load_file
from typer.testing import CliRunner

from ossl_builder.engine.tables_io import write_corpus_table
from ossl_builder.errors import OsslError
from ossl_builder.tables import CLIPS
from tests.train.labelled_corpus import (
    assign_splits,
    clips_of,
    copied,
    equal,
    opened,
    put_labels,
    store_all,
    stored_bytes,
)


def rewrite_store(
    path: Path, metadata: dict[str, object], change: Callable[[str, np.ndarray], None]
) -> None:
    """Replace a store by one with other metadata or other data."""
    arrays = {key: value.numpy().copy() for key, value in load_file(path).items()}
    new_metadata = read_metadata(path) | metadata
    path.unlink()
    with StoreWriter(path) as store:
        store.metadata = new_metadata
        for key, array in arrays.items():
            change(key, array)
            store.add(key, array)


def unchanged(key: str, array: np.ndarray) -> None:
    return None


def test_all_tokens_have_the_time_of_their_slot(corpus: Path) -> None:
    pooled = opened(corpus).sample(0)
    store_all(corpus, "features.pooling=all")
    sample = opened(corpus, "train", "features.pooling=all", "model.dialogue=true").sample(0)
    assert sample.video.shape[0] == 1 + 16 * 4
    assert torch.equal(sample.video_times[1:].reshape(16, 4)[:, 2], pooled.video_times[1:])
    assert sample.dialogue is not None
    assert len(sample.dialogue) == len(sample.video)
    means = sample.video[1:].float().reshape(16, 4, -1).mean(1)
    assert torch.allclose(means, pooled.video[1:].float(), atol=3e-3)


def test_an_export_gives_the_batches_of_its_corpus(
    train_corpus: Path, tmp_path: Path, ossl: Callable[..., object]
) -> None:
    export = tmp_path / "elsewhere"
    ossl("-C", train_corpus, "export", "parquet", "--out", export, "--copy")
    copied(train_corpus / "train/models", export / "train/models")
    store_all(export)
    assert stored_bytes(export) == stored_bytes(train_corpus)
    for command in ("features", "codes"):
        asked = [command, "--recipe", "tiny_cpu", "--data", str(export), "--dry-run", "--json"]
        result = CliRunner().invoke(app, asked, obj=tmp_path / "no corpus")
        assert {one["action"] for one in json.loads(result.stdout)} == {"fresh"}
    here, there = opened(train_corpus), opened(export)
    for one, other in zip(batches(here, 4, 0, 0), batches(there, 4, 0, 0), strict=True):
        assert equal(one, other)


@pytest.mark.parametrize("kind", ["features", "codes", "text"])
def test_a_split_without_its_stores_is_refused(kind: str, corpus: Path) -> None:
    shutil.rmtree(store_path(corpus, "demo-sintel", kind).parent)
    assert code_of(lambda: opened(corpus)) == f"{kind}_missing"


@pytest.mark.parametrize(
    ("kind", "metadata"),
    [
        ("features", {"digest": "another encoder"}),
        ("features", {"pooling": "all"}),
        ("codes", {"digest": "another codec"}),
        ("text", {"digest": "another T5"}),
    ],
)
def test_stores_of_different_encoders_in_one_run_are_refused(
    kind: str, metadata: dict[str, object], corpus: Path
) -> None:
    rewrite_store(store_path(corpus, "demo-caminandes", kind), metadata, unchanged)
    assert code_of(lambda: opened(corpus)) == f"{kind}_mixed"


@pytest.mark.parametrize(
    ("override", "code"),
    [
        ("features.pooling=all", "features_differ"),
        ("features.precision=bf16", "features_differ"),
        ("windows.length_s=4.0", "features_differ"),
        ("windows.shortest_s=0.5", "features_differ"),
        ("codes.silent_dbfs=-50.0", "codes_differ"),
        ("prompts.use_captions=false", "text_stale"),
        ("prompts.use_labels=false", "text_stale"),
    ],
)
def test_stores_of_another_recipe_are_refused(override: str, code: str, train_corpus: Path) -> None:
    assert code_of(lambda: opened(train_corpus, "train", override)) == code


def test_features_of_another_encoder_are_refused(corpus: Path) -> None:
    weights = corpus / "train/models/vivit/preprocessor_config.json"
    text = weights.read_text().replace("0.5", "0.25")
    weights.unlink()
    weights.write_text(text)
    assert code_of(lambda: opened(corpus)) == "features_differ"


def test_a_changed_clip_or_label_is_refused(corpus: Path) -> None:
    put_labels(corpus, "tense")
    assert code_of(lambda: opened(corpus)) == "text_stale"
    store_all(corpus)
    assert {sample.split(".")[0] for sample in opened(corpus).prompts} == {
        "a film soundtrack for a tense scene"
    }


def test_changed_dialogue_matters_only_if_it_is_used(corpus: Path) -> None:
    clips = [dataclasses.replace(clip, dialogue_sha256="0" * 64) for clip in clips_of(corpus)]
    write_corpus_table(corpus, CLIPS, clips)
    assert len(opened(corpus)) > 0
    assert code_of(lambda: opened(corpus, "train", "model.dialogue=true")) == "features_stale"


def test_clips_without_a_mood_can_be_left_out(corpus: Path) -> None:
    on_test = {"demo-sintel": "test", "demo-steamboat": "test", "demo-caminandes": "train"}
    assign_splits(corpus, on_test)
    everything = opened(corpus, "test")
    assert everything.prompts[-1] == "a film soundtrack."
    store_all(corpus, "prompts.unlabelled=leave_out")
    fewer = opened(corpus, "test", "prompts.unlabelled=leave_out")
    assert fewer.left_out == {"unlabelled": 1}
    assert fewer.windows == everything.windows[: len(fewer)]


def test_splits_that_do_not_exist_are_refused(corpus: Path) -> None:
    assign_splits(corpus, {"demo-sintel": "train"})
    assert code_of(lambda: opened(corpus, "validation")) == "split_empty"
    assert code_of(lambda: opened(corpus, "dev")) == "split_unknown"


def test_values_that_are_not_finite_are_refused_when_read(corpus: Path) -> None:
    def spoil(key: str, array: np.ndarray) -> None:
        if key.endswith("/1"):
            array[3, 5] = np.nan

    rewrite_store(store_path(corpus, "demo-sintel", "features"), {}, spoil)
    dataset = opened(corpus)
    dataset.sample(0)
    with pytest.raises(OsslError) as caught:
        dataset.sample(1)
    assert caught.value.code == "features_not_finite"
    assert dataset.windows[1].clip_id in caught.value.message


def test_reading_a_large_store_takes_no_memory(corpus: Path) -> None:
    """100 MB are read and kept; they are mapped from the file and use no memory of the process."""
    path = store_path(corpus, "demo-sintel", "features")
    metadata = read_metadata(path)
    path.unlink()
    with StoreWriter(path) as store:
        store.metadata = metadata
        for number, key in enumerate(metadata["windows"]):
            store.add(key, np.full((17, 360_000), number, np.float16))
    assert path.stat().st_size > 100e6
    dataset = opened(corpus)
    dataset.sample(0)
    gc.collect()
    before = own_memory()
    held = [dataset.sample(number).video for number in range(len(dataset))]
    assert own_memory() - before < 40e6
    assert [int(video[5, 7]) for video in held] == list(range(len(dataset)))


def own_memory() -> int:
    """Bytes of this process that are not mapped from a file."""
    found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


def code_of(call: Callable[[], Dataset]) -> str:
    with pytest.raises(OsslError) as caught:
        call()
    assert caught.value.hint, "it must say what to do"
    return caught.value.code
