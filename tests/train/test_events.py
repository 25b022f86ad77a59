"""Curves of events: cuts, motion and dialogue of each slot, measured and stored."""

import dataclasses
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from ossl_train.data.dataset import batches
from ossl_train.data.events import ClipCuts, Motion, cuts_of
from ossl_train.data.storage import store_path, window_key
from ossl_train.data.windows import WindowSpan, WindowsSettings, window_spans
from safetensors.torch import load_file

from ossl_builder.engine.tables_io import read_table
from ossl_builder.errors import OsslError
from ossl_builder.tables import SCENES
from tests.train.labelled_corpus import clips_of, jobs_of, opened, store_all

EVENTS = ("features.events=true", "model.events=true")


def seen(frames: list[np.ndarray]) -> Motion:
    motion = Motion()
    for frame in frames:
        motion.add(frame)
    return motion


def flat(level: int) -> np.ndarray:
    return np.full((72, 128, 3), level, np.uint8)


def test_motion_and_cuts_are_in_the_slot_where_they_happen() -> None:
    # 10 s, still, with a change after 2 s; after 5 s each step of 0.2 s changes it by 16 levels.
    levels = [100] * 11 + [200] * 15 + [200 - 16 * (n % 2) for n in range(25)]
    motion = seen([flat(level) for level in levels])
    window = WindowSpan(0, 0.0, 10.0)
    curve = motion.curve(window, 5, [2.0, 2.5, 9.9], np.linspace(0, 1, 6, dtype=np.float32))
    assert curve.dtype == np.float32
    assert curve.shape == (6, 3)
    assert curve[:, 0] == pytest.approx([0.3, 0, 1.0, 0, 0, 0.5])
    assert curve[2, 1] == pytest.approx(100 / 64 / 10)
    assert curve[5, 1] == pytest.approx(16 / 64)
    assert curve[1, 1] == 0
    assert curve[:, 2] == pytest.approx(np.linspace(0, 1, 6))
    # The same cut, found in the frames; steady movement is none.
    found = motion.curve(window, 5, None, None)
    assert found[1:, 0] == pytest.approx([0, 0.5, 0, 0, 0])
    assert not found[:, 2].any()


def test_values_stay_between_0_and_1_and_short_windows_have_values() -> None:
    motion = seen([flat(255 * (n % 2)) for n in range(8)])
    curve = motion.curve(WindowSpan(0, 0.0, 1.4), 16, [0.02 * n for n in range(70)], None)
    assert curve[:, :2].min() == curve[:, :2].max() == 1
    assert not seen([flat(0)]).curve(WindowSpan(0, 0.0, 0.1), 16, (), None).any()


def test_a_window_with_a_start_has_the_values_of_its_own_time() -> None:
    levels = [0] * 26 + [8 * (n % 2) for n in range(25)]
    motion = seen([flat(level) for level in levels])
    whole = motion.curve(WindowSpan(0, 0.0, 10.0), 10, [7.5], None)
    later = motion.curve(WindowSpan(1, 5.0, 5.0), 5, [7.5], None)
    assert np.allclose(whole[6:], later[1:])


@pytest.fixture
def with_events(corpus: Path) -> Path:
    store_all(corpus, *EVENTS)
    return corpus


def test_stored_events_are_those_of_the_scenes_the_frames_and_the_stem(with_events: Path) -> None:
    import cv2

    scenes = read_table(with_events / "manifests", SCENES)
    n_cuts = 0
    for clip in clips_of(with_events):
        stored = load_file(store_path(with_events, clip.film_id, "features"))
        with av.open(str(with_events / clip.video_path)) as container:
            frames = [(frame.time, frame) for frame in container.decode(video=0)]
            starts = np.array([time_s for time_s, _ in frames]) - frames[0][0]
            numbers = np.searchsorted(starts, np.arange(0, 5.01, 0.2) + 1e-4, "right") - 1
            greys = [
                cv2.cvtColor(
                    cv2.resize(
                        frames[n][1].to_ndarray(format="rgb24"), (64, 36),
                        interpolation=cv2.INTER_AREA,
                    ),
                    cv2.COLOR_RGB2GRAY,
                ).astype(float)
                for n in numbers
            ]  # fmt: skip
        curve = stored[f"{window_key(clip.clip_id, 0)}/events"].numpy()
        assert curve.shape == (17, 3)
        if clip.duration_s >= 5:
            changes = [np.abs(a - b).mean() for a, b in pairwise(greys)]
            assert curve[0, 1] == pytest.approx(min(1, np.mean(changes) / 64), abs=1e-3)
        assert clip.start_s is not None
        cuts = [
            scene.start_s - clip.start_s
            for scene in scenes
            if scene.film_id == clip.film_id and scene.transition_in == "cut"
        ]
        for window in window_spans(clip, WindowsSettings(length_s=5.0, shortest_s=1.0)):
            edges = np.linspace(window.start_s, window.end_s, 17)
            counts, _ = np.histogram([cut for cut in cuts if 0 < cut < clip.duration_s], edges)
            of_window = stored[f"{window_key(clip.clip_id, window.index)}/events"].numpy()
            expected = np.clip(counts / (window.duration_s / 16), 0, 1)
            assert of_window[1:, 0] == pytest.approx(expected)
            n_cuts += counts.sum()
        dialogue = stored[f"{window_key(clip.clip_id, 0)}/dialogue"].numpy()
        assert np.array_equal(curve[:, 2], dialogue[:, 0])
    assert n_cuts > 0, "the demo has cuts"


def test_a_batch_has_the_events_of_each_token(with_events: Path) -> None:
    dataset = opened(with_events, "train", *EVENTS)
    (batch,) = batches(dataset, len(dataset), 0, 0, shuffle=False)
    assert batch.events is not None
    assert batch.events.dtype == torch.float32
    assert batch.events.shape == (*batch.video.shape[:2], 3)
    assert 0 <= batch.events.min() < batch.events.max() <= 1
    for row, window in enumerate(batch.windows):
        stored = load_file(store_path(with_events, window.film_id, "features"))
        key = window_key(window.clip_id, window.index)
        assert torch.equal(batch.events[row], stored[f"{key}/events"])
    moved = batch.to("cpu")
    assert torch.equal(moved.events, batch.events)
    assert opened(with_events, "train", EVENTS[0]).sample(0).events is None


def test_events_change_no_other_value(with_events: Path, train_corpus: Path) -> None:
    for film in ("demo-sintel", "demo-steamboat"):
        plain = load_file(store_path(train_corpus, film, "features"))
        more = load_file(store_path(with_events, film, "features"))
        assert set(more) - set(plain) == {key for key in more if key.endswith("/events")}
        assert all(torch.equal(values, more[key]) for key, values in plain.items())


def test_features_without_events_are_refused_and_new_scenes_are_noticed(
    train_corpus: Path,
) -> None:
    with pytest.raises(OsslError) as caught:
        opened(train_corpus, "train", "model.events=true")
    assert caught.value.code == "events_missing"
    assert "features.events=true" in caught.value.hint
    features, *_ = jobs_of(train_corpus, "features.events=true")
    rows = features.rows["demo-sintel"]
    assert all(isinstance(row, ClipCuts) and row.cuts_s is not None for row in rows)
    plain, *_ = jobs_of(train_corpus)
    assert plain.facts["demo-sintel"] != features.facts["demo-sintel"]


def test_clips_without_film_time_have_unknown_cuts(train_corpus: Path, tmp_path: Path) -> None:
    clip = clips_of(train_corpus)[0]
    imported = dataclasses.replace(clip, start_s=None, end_s=None)
    found = cuts_of({clip.film_id: [clip, imported], "other": [imported]}, train_corpus)
    assert found[clip.film_id][0].cuts_s is not None
    assert found[clip.film_id][1].cuts_s is None
    assert found["other"][0].cuts_s is None
    assert cuts_of({clip.film_id: [clip]}, tmp_path)[clip.film_id][0].cuts_s is None
