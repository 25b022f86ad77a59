"""Batches: order, distribution to processes, and contents."""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ossl_train.data.dataset import batch_indices, batches, n_batches
from ossl_train.data.storage import store_path, window_key
from safetensors.torch import load_file

from tests.train.labelled_corpus import equal, opened


def flat(lists: Iterable[list[Any]]) -> list[Any]:
    return list(chain.from_iterable(lists))


def test_the_same_seed_gives_the_same_order_and_an_epoch_has_each_window_once() -> None:
    order = batch_indices(50, 4, 7, 3, 0, 1, True)
    assert order == batch_indices(50, 4, 7, 3, 0, 1, True)
    assert order != batch_indices(50, 4, 7, 4, 0, 1, True)
    assert order != batch_indices(50, 4, 8, 3, 0, 1, True)
    assert sorted(flat(order)) == list(range(50))
    assert [len(one) for one in order] == [4] * 12 + [2]


@pytest.mark.parametrize("world", [2, 3, 7])
@pytest.mark.parametrize("n_windows", [1, 5, 24, 50])
def test_processes_share_an_epoch(world: int, n_windows: int) -> None:
    validation = [batch_indices(n_windows, 4, 0, 0, rank, world, False) for rank in range(world)]
    assert sorted(flat(flat(validation))) == list(range(n_windows))
    training = [batch_indices(n_windows, 4, 0, 0, rank, world, True) for rank in range(world)]
    assert len({tuple(map(len, one)) for one in training}) == 1, "each as many, and as large"
    given = flat(flat(training))
    assert len(given) == len(set(given)) == n_windows // world * world
    assert n_batches(n_windows, 4, world) == len(training[0])
    together = [sorted(flat(parts)) for parts in zip(*training, strict=True)]
    alone = [sorted(one) for one in batch_indices(n_windows, 4 * world, 0, 0, 0, 1, True)]
    assert together == alone[: len(together)] or n_windows % world


def test_an_epoch_can_be_resumed_at_any_batch(train_corpus: Path) -> None:
    dataset = opened(train_corpus)
    whole = list(batches(dataset, 2, seed=1, epoch=2))
    assert len(whole) == n_batches(len(dataset), 2) == 5
    for start in range(len(whole) + 1):
        rest = list(batches(dataset, 2, seed=1, epoch=2, start_batch=start))
        assert len(rest) == len(whole) - start
        assert all(equal(one, other) for one, other in zip(rest, whole[start:], strict=True))


def test_a_batch_has_the_stored_data_and_masks_the_padding(train_corpus: Path) -> None:
    dataset = opened(train_corpus, "train", "model.dialogue=true")
    assert dataset.left_out == {}
    (batch,) = batches(dataset, len(dataset), 0, 0, shuffle=False)
    assert batch.windows == dataset.windows
    assert batch.codes.dtype == torch.int64
    assert batch.dialogue is not None
    assert batch.dialogue.shape == (*batch.video.shape[:2], 2)
    for row, window in enumerate(batch.windows):
        stored = load_file(store_path(train_corpus, window.film_id, "codes"))
        codes = stored[window_key(window.clip_id, window.index)].long()
        n_frames = codes.shape[1]
        assert n_frames == int(np.ceil(round(window.duration_s * 32_000) / 640))
        assert torch.equal(batch.codes[row, :, :n_frames], codes)
        assert batch.valid[row].tolist() == [True] * n_frames + [False] * (250 - n_frames)
        assert not batch.codes[row, :, n_frames:].any()
        times = batch.video_times[row]
        assert times[0] == pytest.approx(window.duration_s / 2)
        slot_s = window.duration_s / 16
        middles = (torch.arange(16) + 0.5) * slot_s
        # A frame is shown for 1/24 s or 1/25 s, so it began at most that much earlier.
        assert ((middles - times[1:]) > -1e-3).all()
        assert ((middles - times[1:]) < 0.042).all()
        assert 0 <= batch.dialogue[row].min() < batch.dialogue[row].max() <= 1
    assert not batch.valid.all(), "the demo has short windows"
    assert 0 < batch.text.mask.sum() < batch.text.mask.numel(), "prompts differ in length"
    assert not batch.text.states[~batch.text.mask].any()
