"""Windows with a hop: they overlap in training, and change nothing elsewhere."""

import dataclasses
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from ossl_train.data.dataset import batches
from ossl_train.data.storage import read_metadata, store_path, window_key
from ossl_train.data.window_loader import dialogue_curves, window_audio, window_frames
from ossl_train.data.windows import WindowSpan, WindowsSettings, grid_spans, window_spans
from ossl_train.musicgen import load_backbone
from safetensors.torch import load_file

from ossl_builder.errors import OsslError
from ossl_builder.media.audio_reader import FilmAudio
from ossl_builder.tables import Clip
from tests.films.long_clips import ClipSpec, corpus_of
from tests.train.labelled_corpus import (
    assign_splits,
    clips_of,
    equal,
    jobs_of,
    opened,
    store_all,
)

THIRTY, HOP = "windows.length_s=30.0", "windows.hop_s=10.0"
SPLITS = {"film65": "train", "film75": "validation", "film33": "test"}


def made_corpus(folder: Path, models: Path) -> Path:
    made = [ClipSpec("film65", 65), ClipSpec("film75", 75), ClipSpec("film33", 33)]
    root = corpus_of(folder / "corpus", made, models)
    assign_splits(root, dict(SPLITS))
    return root


@pytest.fixture(scope="module")
def plain(tiny_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus whose windows do not overlap."""
    root = made_corpus(tmp_path_factory.mktemp("plain"), tiny_models)
    store_all(root, THIRTY)
    return root


@pytest.fixture(scope="module")
def hopped(tiny_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same corpus with a window every 10 s."""
    root = made_corpus(tmp_path_factory.mktemp("hopped"), tiny_models)
    store_all(root, THIRTY, HOP)
    return root


CLIP: Clip


def spans(seconds: float, **settings: float) -> list[tuple[float, float]]:
    clip = dataclasses.replace(CLIP, duration_s=seconds)
    return [
        (one.start_s, one.duration_s) for one in window_spans(clip, WindowsSettings(**settings))
    ]


@pytest.fixture(autouse=True, scope="module")
def _clip(plain: Path) -> None:
    global CLIP
    CLIP = clips_of(plain)[0]


def test_full_windows_start_at_every_hop_and_a_shorter_one_only_on_the_grid() -> None:
    assert spans(65, length_s=30.0) == [(0, 30), (30, 30), (60, 5)]
    assert spans(65, length_s=30.0, hop_s=10.0) == [(0, 30), (10, 30), (20, 30), (30, 30), (60, 5)]
    assert spans(59.99999, length_s=30.0, hop_s=15.0)[-1] == (30, pytest.approx(29.99999))
    assert spans(61, length_s=30.0, hop_s=15.0) == [(0, 30), (15, 30), (30, 30)]
    assert spans(8, length_s=30.0, hop_s=10.0) == [(0, 8)]
    assert spans(1, length_s=30.0, hop_s=10.0) == []
    assert spans(65, length_s=30.0, hop_s=30.0) == spans(65, length_s=30.0)


def test_the_windows_on_the_grid_are_those_without_a_hop() -> None:
    for seconds in (5, 29.9, 30, 47.3, 65, 119.99, 300):
        clip = dataclasses.replace(CLIP, duration_s=seconds)
        for length_s, hop_s in ((30.0, 10.0), (5.0, 5 / 3), (0.7, 0.1), (12.0, 12.0)):
            settings = WindowsSettings(length_s=length_s, shortest_s=0.5)
            with_hop = settings.model_copy(update={"hop_s": hop_s})
            every, grid = window_spans(clip, with_hop), grid_spans(clip, with_hop)
            assert [dataclasses.replace(one, index=0) for one in grid] == [
                dataclasses.replace(one, index=0) for one in window_spans(clip, settings)
            ]
            assert set(grid) <= set(every)
            assert [one.index for one in every] == list(range(len(every)))
            full = [one for one in every if one.duration_s > length_s - 1e-4]
            assert all(b.start_s - a.start_s == pytest.approx(hop_s) for a, b in pairwise(full))


@pytest.mark.parametrize("hop_s", [20.0, 7.0, 0.45, 30.1])
def test_a_hop_that_does_not_divide_the_length_is_refused(hop_s: float) -> None:
    settings = WindowsSettings.model_construct(length_s=30.0, shortest_s=2.0, hop_s=hop_s)
    with pytest.raises(OsslError) as caught:
        window_spans(CLIP, settings)
    assert caught.value.code == "windows_invalid"
    assert "windows.hop_s" in caught.value.hint


@pytest.mark.parametrize("kind", ["features", "codes"])
def test_a_window_has_the_same_values_with_and_without_a_hop(
    kind: str, plain: Path, hopped: Path
) -> None:
    n_windows = {"film65": (3, 5), "film75": (3, 6), "film33": (2, 2)}
    for clip in clips_of(plain):
        before, after = (store_path(root, clip.film_id, kind) for root in (plain, hopped))
        starts = [
            {entry["start_s"]: key for key, entry in read_metadata(path)["windows"].items()}
            for path in (before, after)
        ]
        assert tuple(map(len, starts)) == n_windows[clip.film_id]
        old, new = load_file(before), load_file(after)
        for start_s, key in starts[0].items():
            other = starts[1][start_s]
            assert read_metadata(before)["windows"][key] == read_metadata(after)["windows"][other]
            for part in ("", "/dialogue") if kind == "features" else ("",):
                assert torch.equal(old[key + part], new[other + part])


def test_the_codes_of_a_window_between_are_those_of_its_own_music(hopped: Path) -> None:
    backbone = load_backbone(str(hopped / "train/models/musicgen"))
    clip = next(one for one in clips_of(hopped) if one.film_id == "film65")
    audio = np.concatenate([b[0] for b in FilmAudio(hopped / clip.music_path, 32_000, 1).blocks()])
    codes = load_file(store_path(hopped, "film65", "codes"))
    for index, start_s in ((1, 10), (2, 20)):
        part = audio[start_s * 32_000 : (start_s + 30) * 32_000]
        direct = backbone.encode_audio(torch.from_numpy(part)[None, None])[0].short()
        assert torch.equal(codes[window_key(clip.clip_id, index)], direct)


def test_the_video_of_a_window_between_is_that_of_its_own_times(hopped: Path) -> None:
    from ossl_train.data.video_encoder import load_encoder

    encoder = load_encoder(str(hopped / "train/models/vivit"), "main", 32, "cpu")
    clip = next(one for one in clips_of(hopped) if one.film_id == "film65")
    windows = window_spans(clip, WindowsSettings(length_s=30.0, hop_s=10.0))
    together = list(window_frames(hopped / clip.video_path, windows, encoder))
    assert len(together) == len(windows) == 5
    for window, (pixels, times_s) in zip(windows, together, strict=True):
        ((alone, alone_s),) = window_frames(hopped / clip.video_path, [window], encoder)
        assert torch.equal(pixels, alone)
        assert times_s == alone_s
        assert window.start_s - 0.2 < times_s[0] < times_s[-1] < window.end_s


def test_training_has_all_windows_and_the_other_splits_those_of_before(
    plain: Path, hopped: Path
) -> None:
    train = opened(hopped, "train", THIRTY, HOP)
    assert [window.start_s for window in train.windows] == [0, 10, 20, 30, 60]
    for split in ("validation", "test"):
        before, after = opened(plain, split, THIRTY), opened(hopped, split, THIRTY, HOP)
        assert len(before) == len(after)
        for number in range(len(before)):
            one, other = before.sample(number), after.sample(number)
            assert torch.equal(one.codes, other.codes)
            assert torch.equal(one.video, other.video)
            assert torch.equal(one.video_times, other.video_times)
            assert (one.window.start_s, one.window.duration_s) == (
                other.window.start_s, other.window.duration_s,
            )  # fmt: skip


def test_a_pass_has_every_offset_once_in_an_order_that_resumes(hopped: Path) -> None:
    dataset = opened(hopped, "train", THIRTY, HOP)
    whole = list(batches(dataset, 2, seed=5, epoch=1))
    order = [window.start_s for batch in whole for window in batch.windows]
    assert sorted(order) == [0, 10, 20, 30, 60]
    assert order != sorted(order)
    for start in range(len(whole)):
        rest = list(batches(dataset, 2, seed=5, epoch=1, start_batch=start))
        assert len(rest) == len(whole) - start
        assert all(equal(one, other) for one, other in zip(rest, whole[start:], strict=True))


def test_stores_of_another_hop_are_refused_and_made_again(plain: Path, hopped: Path) -> None:
    from ossl_train.data.prepare import plan

    for root, overrides in ((plain, (THIRTY, HOP)), (hopped, (THIRTY,))):
        with pytest.raises(OsslError) as caught:
            opened(root, "train", *overrides)
        assert caught.value.code == "features_differ"
        assert "hop_s" in caught.value.message
        stale = {(one.stage, one.item_id) for one in plan(jobs_of(root, *overrides)) if one.why}
        assert stale == {(kind, film) for kind in ("features", "codes") for film in SPLITS}
    assert not [one for one in plan(jobs_of(plain, THIRTY, "windows.hop_s=30.0")) if one.why]


def test_audio_of_overlapping_windows_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    samples = rng.uniform(-0.5, 0.5, 16_000 * 47).astype(np.float32)
    path = tmp_path / "music.wav"
    soundfile.write(path, samples, 16_000, subtype="FLOAT")
    reads, read = [], FilmAudio.blocks
    monkeypatch.setattr(FilmAudio, "blocks", lambda self: reads.append(self) or read(self))
    windows = [
        WindowSpan(0, 0.0, 10.0), WindowSpan(1, 2.5, 10.0), WindowSpan(2, 5.0, 10.0),
        WindowSpan(3, 5.0, 10.0), WindowSpan(4, 30.0, 10.0), WindowSpan(5, 40.0, 7.0),
    ]  # fmt: skip
    for window, audio in zip(windows, window_audio(path, windows, 16_000), strict=True):
        start, end = round(window.start_s * 16_000), round(window.end_s * 16_000)
        assert np.array_equal(audio, samples[start:end])
    assert len(reads) == 1
    together = list(dialogue_curves(path, windows, 4))
    for window, curve in zip(windows, together, strict=True):
        (alone,) = dialogue_curves(path, [window], 4)
        assert np.array_equal(curve, alone)
    with pytest.raises(OsslError) as caught:
        list(window_audio(path, [WindowSpan(0, 30.0, 17.1)], 16_000))
    assert caught.value.code == "audio_unreadable"
