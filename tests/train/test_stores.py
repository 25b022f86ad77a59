"""Stores of features, codes and texts: correct values, and encoding again only if stale."""

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from ossl_train.cli import app
from ossl_train.data.codes import prompt_key
from ossl_train.data.prepare import plan, prepare
from ossl_train.data.storage import StoreWriter, read_metadata, read_tensor, store_path, window_key
from ossl_train.data.video_encoder import load_encoder
from ossl_train.data.windows import WindowsSettings, window_spans
from ossl_train.musicgen import load_backbone
from typer.testing import CliRunner

from ossl_builder.engine.schedule import Event, Finished
from ossl_builder.engine.tables_io import write_corpus_table
from ossl_builder.errors import OsslError
from ossl_builder.media.audio_reader import FilmAudio
from ossl_builder.tables import CLIPS
from tests.train.labelled_corpus import (
    SPLIT_OF,
    assign_splits,
    clips_of,
    jobs_of,
    put_labels,
    recipe_for,
    source_of,
    store_all,
    stored_bytes,
)

WINDOWS = WindowsSettings(length_s=5.0, shortest_s=1.0)


def running(root: Path, *overrides: str) -> set[tuple[str, str]]:
    found = plan(jobs_of(root, *overrides))
    return {(one.stage, one.item_id) for one in found if one.action == "run"}


def test_every_window_of_every_clip_is_stored(train_corpus: Path) -> None:
    wanted = {
        (clip.film_id, window_key(clip.clip_id, window.index), window.start_s, window.duration_s)
        for clip in clips_of(train_corpus)
        for window in window_spans(clip, WINDOWS)
    }
    assert len(wanted) > 2 * len(clips_of(train_corpus))
    for kind in ("features", "codes"):
        found = {
            (film, key, span["start_s"], span["duration_s"])
            for film in SPLIT_OF
            for key, span in read_metadata(store_path(train_corpus, film, kind))["windows"].items()
        }
        assert found == wanted


def test_sample_times_and_tokens_are_those_of_the_decoded_frames(train_corpus: Path) -> None:
    encoder = load_encoder(str(train_corpus / "train/models/vivit"), "main", 32, "cpu")
    for clip in clips_of(train_corpus)[::3]:
        with av.open(str(train_corpus / clip.video_path)) as container:
            frames = [
                (float(frame.pts * frame.time_base), frame.to_ndarray(format="rgb24"))
                for frame in container.decode(video=0)
            ]
        shown_s = np.array([time_s for time_s, _ in frames]) - frames[0][0]
        path = store_path(train_corpus, clip.film_id, "features")
        metadata = read_metadata(path)
        for window in window_spans(clip, WINDOWS):
            key = window_key(clip.clip_id, window.index)
            middles = window.start_s + (np.arange(32) + 0.5) * window.duration_s / 32
            chosen = np.searchsorted(shown_s, middles + 1e-4, side="right") - 1
            assert metadata["windows"][key]["sample_s"] == pytest.approx(shown_s[chosen], abs=1e-6)
            pixels = encoder.prepared([frames[number][1] for number in chosen])
            with torch.no_grad():
                states = encoder.model(pixel_values=pixels[None]).last_hidden_state[0]
            slots = [states[1 + 4 * slot : 5 + 4 * slot].mean(0) for slot in range(16)]
            assert torch.allclose(
                read_tensor(path, key).float(), torch.stack([states[0], *slots]), atol=3e-3
            )


def test_codes_are_those_of_encoding_the_window_directly(train_corpus: Path) -> None:
    backbone = load_backbone(str(train_corpus / "train/models/musicgen"))
    for clip in clips_of(train_corpus)[::3]:
        blocks = FilmAudio(train_corpus / clip.music_path, 32_000, 1).blocks()
        audio = np.concatenate([block[0] for block in blocks])
        for window in window_spans(clip, WINDOWS):
            part = audio[window.index * 160_000 :][: round(window.duration_s * 32_000)]
            direct = backbone.encode_audio(torch.from_numpy(part)[None, None])[0]
            path = store_path(train_corpus, clip.film_id, "codes")
            assert torch.equal(
                read_tensor(path, window_key(clip.clip_id, window.index)), direct.short()
            )
            assert direct.shape[1] == int(np.ceil(len(part) / 640)), "no padding is stored"


def test_a_prompt_s_states_are_those_of_encoding_it_alone(train_corpus: Path) -> None:
    backbone = load_backbone(str(train_corpus / "train/models/musicgen"))
    path = store_path(train_corpus, "demo-sintel", "text")
    prompts = set(read_metadata(path)["prompts"].values())
    assert len(prompts) == 2
    for prompt in prompts:
        text = backbone.encode_text([prompt])
        assert torch.equal(read_tensor(path, prompt_key(prompt)), text.states[0][text.mask[0]])


def test_only_changed_items_are_encoded_again(corpus: Path) -> None:
    assert running(corpus) == set()
    assert running(corpus, "features.batch_size=1", "features.workers=1") == set()
    everything = set(SPLIT_OF)
    assert running(corpus, "features.pooling=all") == {("features", film) for film in everything}
    assert running(corpus, "windows.length_s=4.0") == {
        (kind, film) for kind in ("features", "codes") for film in everything
    }
    put_labels(corpus, "tense")
    labelled = {clip.film_id for clip in clips_of(corpus)[:-1]}  # the last clip has no label
    assert running(corpus) == {("text", film) for film in labelled}


def test_new_music_makes_the_codes_stale_and_not_the_features(corpus: Path) -> None:
    clips = clips_of(corpus)
    changed = [type(clips[0])(**{**vars(clips[0]), "music_sha256": "0" * 64}), *clips[1:]]
    write_corpus_table(corpus, CLIPS, changed)
    assert running(corpus) == {("codes", clips[0].film_id)}


def test_a_killed_run_resumes_and_gives_the_same_bytes(corpus: Path, train_corpus: Path) -> None:
    for path in (corpus / "records/features").iterdir():
        path.unlink()
    for film in SPLIT_OF:
        store_path(corpus, film, "features").unlink()
    command = [sys.executable, "-m", "ossl_builder.cli.main", "-C", corpus, "train", "features"]
    command += ["--recipe", "tiny_cpu", "--set", "features.batch_size=1"]
    running_one = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    begun = corpus / "records/features" / f"{min(SPLIT_OF)}.json"
    while not begun.exists() and running_one.poll() is None:
        time.sleep(0.002)
    running_one.send_signal(signal.SIGKILL)
    running_one.wait()
    assert 0 < len(running(corpus)) < len(SPLIT_OF), "it must be killed in the middle"
    ended: list[str] = []

    def tell(film_id: str, event: Event) -> None:
        if isinstance(event, Finished):
            ended.append(film_id)

    store_all(corpus, tell=tell)
    assert min(SPLIT_OF) not in ended
    assert stored_bytes(corpus) == stored_bytes(train_corpus)


def test_a_film_that_fails_is_reported_and_the_rest_continues(corpus: Path) -> None:
    clip = clips_of(corpus)[0]
    (corpus / clip.video_path).unlink()
    (corpus / "records/features" / f"{clip.film_id}.json").unlink()
    (corpus / "records/features/demo-steamboat.json").unlink()
    command = ["features", "--recipe", "tiny_cpu", "--json"]
    planned = CliRunner().invoke(app, [*command, "--dry-run"], obj=corpus)
    assert planned.exit_code == 0
    assert [one["action"] for one in json.loads(planned.stdout)] == ["run", "fresh", "run"]
    done = CliRunner().invoke(app, command, obj=corpus)
    assert done.exit_code == 3
    ends = {end["film_id"]: end for end in json.loads(done.stdout)}
    assert ends[clip.film_id]["state"] == "failed"
    assert ends[clip.film_id]["code"] == "file_missing"
    assert ends["demo-steamboat"]["state"] == "done"


def test_films_without_a_split_are_left_out(corpus: Path) -> None:
    assign_splits(corpus, {"demo-sintel": "train", "demo-caminandes": None})
    source = source_of(corpus, recipe_for(corpus))
    assert source.film_ids() == ["demo-sintel"]
    assert source.n_left_out == len(clips_of(corpus)) - len(source.clips)
    assign_splits(corpus, {"demo-sintel": None})
    with pytest.raises(OsslError) as caught:
        source_of(corpus, recipe_for(corpus))
    assert caught.value.code == "split_empty"


@pytest.mark.parametrize(
    ("table", "hint"), [("splits", "ossl split"), ("labels", "use_labels=false")]
)
def test_a_missing_table_gives_a_clear_error(table: str, hint: str, corpus: Path) -> None:
    (corpus / f"manifests/{table}.parquet").unlink()
    with pytest.raises(OsslError) as caught:
        source_of(corpus, recipe_for(corpus))
    assert caught.value.code == "table_missing"
    assert hint in caught.value.hint
    if table == "labels":
        recipe = recipe_for(corpus, "prompts.use_labels=false")
        assert {one.label for one in source_of(corpus, recipe).clips} == {None}


def test_a_full_disk_is_detected_before_the_work(train_corpus: Path) -> None:
    too_much = dict.fromkeys(SPLIT_OF, shutil.disk_usage(train_corpus).total)
    features, *_ = jobs_of(train_corpus, "features.pooling=all")
    job = dataclasses.replace(features, size_bytes=too_much)
    with pytest.raises(OsslError) as caught:
        prepare([job], lambda film, event: None)
    assert caught.value.code == "disk_small"


def test_a_store_is_a_safetensors_file_and_damage_is_detected(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    path = tmp_path / "codes.safetensors"
    arrays = {
        "b/0": np.arange(6, dtype=np.int16).reshape(2, 3),
        "a/0": np.linspace(0, 1, 5, dtype=np.float32),
        "c/0": np.ones((3, 1), np.float16),
    }
    with StoreWriter(path) as store:
        for key, array in arrays.items():
            store.add(key, array)
        store.metadata = {"windows": {"b/0": {"start_s": 0.0}}}
    found = load_file(path)
    assert {key: value.numpy().tolist() for key, value in found.items()} == {
        key: array.tolist() for key, array in arrays.items()
    }
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    assert read_metadata(path) == {"windows": {"b/0": {"start_s": 0.0}}}
    path.write_bytes(path.read_bytes()[:-1])
    for read in (read_metadata, lambda damaged: read_tensor(damaged, "b/0")):
        with pytest.raises(OsslError) as caught:
            read(path)
        assert caught.value.code == "store_damaged"
