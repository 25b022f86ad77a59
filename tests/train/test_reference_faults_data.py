"""Errors of the published code that concern data; each test fails if our code has the same one."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from ossl_train.data.dataset import batches
from ossl_train.data.storage import read_tensor, store_path, window_key
from ossl_train.data.window_loader import window_audio
from ossl_train.data.windows import WindowSpan

from ossl_builder.errors import OsslError
from tests.films.long_clips import ClipSpec, corpus_of
from tests.train.labelled_corpus import SPLIT_OF, opened, recipe_for, source_of, store_all

THIRTY = "windows.length_s=30.0"


@pytest.fixture(scope="module")
def long_corpus(tiny_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of 65 s, and three of 8 s: loud, 20 dB softer, and silent."""
    made = [
        ClipSpec("long", 65),
        ClipSpec("loud", 8),
        ClipSpec("soft", 8, 0.05),
        ClipSpec("silent", 8, 0.0, False),
    ]
    root = corpus_of(tmp_path_factory.mktemp("long") / "corpus", made, tiny_models)
    store_all(root, THIRTY)
    return root


def test_all_of_a_long_clip_is_learned_from_not_only_its_first_30_s(long_corpus: Path) -> None:
    dataset = opened(long_corpus, "train", THIRTY)
    numbers = [n for n, window in enumerate(dataset.windows) if window.film_id == "long"]
    windows = [dataset.windows[number] for number in numbers]
    assert [(one.start_s, one.duration_s) for one in windows] == [(0, 30), (30, 30), (60, 5)]
    samples = [dataset.sample(number) for number in numbers]
    assert [sample.codes.shape[1] for sample in samples] == [1500, 1500, 250]
    for one, other in [(0, 1), (0, 2), (1, 2)]:
        frames = samples[other].codes.shape[1]
        same = (samples[one].codes[:, :frames] == samples[other].codes).float().mean()
        assert same < 0.6, "each window has its own music"
        assert not torch.allclose(
            samples[one].video.float(), samples[other].video.float(), atol=0.01
        )


def test_music_keeps_its_loudness(long_corpus: Path) -> None:
    for clip, gain in (("clip1", 0.5), ("clip2", 0.05)):
        path = long_corpus / f"{clip}.music.flac"
        (audio,) = window_audio(path, [WindowSpan(0, 0.0, 8.0)], 32_000)
        assert np.abs(audio - soundfile.read(path, dtype="float32")[0]).max() < 1e-6
        assert np.abs(audio).max() == pytest.approx(gain, rel=1e-3)
    loud = read_tensor(store_path(long_corpus, "loud", "codes"), window_key("clip1", 0))
    soft = read_tensor(store_path(long_corpus, "soft", "codes"), window_key("clip2", 0))
    assert (loud == soft).float().mean() < 0.9, (
        "brought to one peak, both would have the same codes"
    )


def test_padding_is_no_silence_to_be_learned(long_corpus: Path) -> None:
    dataset = opened(long_corpus, "train", THIRTY)
    (batch,) = batches(dataset, len(dataset), 0, 0, shuffle=False)
    frames = [round(window.duration_s * 50) for window in batch.windows]
    assert sorted(frames) == [250, 400, 400, 1500, 1500]
    assert batch.valid.sum(1).tolist() == frames
    for row, count in enumerate(frames):
        assert not batch.valid[row, count:].any()


def test_a_silent_clip_is_left_out_and_reported(long_corpus: Path) -> None:
    dataset = opened(long_corpus, "train", THIRTY)
    assert "silent" not in {window.film_id for window in dataset.windows}
    assert dataset.left_out == {"silent": 1}


def test_a_clip_without_features_ends_the_run_before_it_begins(long_corpus: Path) -> None:
    path = store_path(long_corpus, "soft", "features")
    hidden = path.with_suffix(".hidden")
    path.rename(hidden)
    try:
        with pytest.raises(OsslError) as caught:
            opened(long_corpus, "train", THIRTY)
    finally:
        hidden.rename(path)
    assert caught.value.code == "features_missing"
    assert "soft" in caught.value.message
    assert "ossl train features" in caught.value.hint


def test_no_film_stands_on_two_splits(train_corpus: Path) -> None:
    source = source_of(train_corpus, recipe_for(train_corpus))
    films = {split: {one.clip.film_id for one in source.on(split)} for split in SPLIT_OF.values()}
    assert sum(map(len, films.values())) == len(set().union(*films.values())) == len(SPLIT_OF)


def test_dialogue_that_is_wanted_and_missing_is_refused(long_corpus: Path) -> None:
    with pytest.raises(OsslError) as caught:
        opened(long_corpus, "train", THIRTY, "model.dialogue=true")
    assert caught.value.code == "dialogue_missing"


def test_resampling_removes_only_audio_above_half_the_rate(tmp_path: Path) -> None:
    """Bad resampling aliases 20 kHz to 12 kHz, which the codec would encode."""
    time_s = np.arange(48_000) / 48_000
    for tone, kept in ((20_000, 0.0), (10_000, 0.1)):
        path = tmp_path / f"{tone}.flac"
        soundfile.write(path, 0.1 * np.sin(2 * np.pi * tone * time_s), 48_000)
        (audio,) = window_audio(path, [WindowSpan(0, 0.0, 1.0)], 32_000)
        middle = audio[8_000:24_000]
        assert np.sqrt(2 * np.mean(middle**2)) == pytest.approx(kept, abs=1e-3)
