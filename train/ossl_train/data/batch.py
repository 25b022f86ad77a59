"""Batches: in an order that a seed fixes, from any position, for any number of processes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ossl_train.data.windows import Window

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ossl_train.data.dataset import Dataset, TrainSample
    from ossl_train.musicgen.types import TextStates


@dataclass
class Batch:
    """What the model is given at a time.

    Attributes:
        windows: B windows.
        codes: [B, K, T], int64; 0 where padded. T is the longest window's number of frames.
        valid: [B, T], bool; False where codes are padding.
        video: [B, Tv, D], float32.
        video_times: [B, Tv], float32: the middle of what each token saw, in seconds after the
            window's beginning; a class token's is the middle of the window.
        video_mask: [B, Tv], bool; False where padded (features of one pooling never are).
        text: the prompts' states.
        dialogue: [B, Tv, 2], float32: loudness (0: -70 LUFS or less, 1: 0 LUFS) and energy (root
            mean square, full scale 1) of the dialogue during each token; None: not asked for.
    """

    windows: tuple[Window, ...]
    codes: Tensor
    valid: Tensor
    video: Tensor
    video_times: Tensor
    video_mask: Tensor
    text: TextStates
    dialogue: Tensor | None

    def to(self, device: torch.device | str) -> Batch:
        """The same batch with its tensors on a device."""
        import torch

        from ossl_train.musicgen.types import TextStates

        moved = {
            field.name: value.to(device, non_blocking=True)
            for field in dataclasses.fields(self)
            if isinstance(value := getattr(self, field.name), torch.Tensor)
        }
        text = TextStates(
            self.text.states.to(device, non_blocking=True),
            self.text.mask.to(device, non_blocking=True),
        )
        return dataclasses.replace(self, **moved, text=text)


def batches(
    dataset: Dataset,
    batch_size: int,
    seed: int,
    epoch: int,
    start_batch: int = 0,
    rank: int = 0,
    world: int = 1,
    shuffle: bool = True,
) -> Iterator[Batch]:
    """One pass over a split.

    Args:
        dataset: the split.
        batch_size: windows per process and batch.
        seed: with `epoch` it fixes the order.
        epoch: which pass it is.
        start_batch: batches that were given before: the first one given is that number.
        rank: which process this is, of `world`.
        world: how many processes share the pass. What they are given together does not depend on
            how many they are, but for `batch_size` times `world`.
        shuffle: True, for training: every process is given as many batches; windows at the end
            that cannot be shared out evenly come in another pass. False, for validation: each
            window is given to one process, once, in the dataset's order; some processes may be
            given one batch fewer.

    Raises:
        OsslError: see `Dataset.sample`.
    """
    for chosen in shares(len(dataset), batch_size, seed, epoch, rank, world, shuffle)[start_batch:]:
        yield collate([dataset.sample(index) for index in chosen])


def n_batches(n_windows: int, batch_size: int, world: int = 1, shuffle: bool = True) -> int:
    """How many batches `batches` gives the first process; shuffled: gives each."""
    return len(shares(n_windows, batch_size, 0, 0, 0, world, shuffle))


def shares(
    n_windows: int, batch_size: int, seed: int, epoch: int, rank: int, world: int, shuffle: bool
) -> list[list[int]]:
    """The indices of each batch of one process; see `batches`."""
    import numpy as np

    order = np.arange(n_windows)
    if shuffle:
        np.random.default_rng([seed, epoch]).shuffle(order)
    found = []
    for start in range(0, n_windows, batch_size * world):
        together = order[start : start + batch_size * world]
        if shuffle:
            # Each process the same number, so that their gradients weigh the same.
            together = together[: len(together) // world * world]
        mine = np.array_split(together, world)[rank].tolist()
        if mine:
            found.append(mine)
    return found


def collate(samples: Sequence[TrainSample]) -> Batch:
    """Put windows together, the shorter ones padded at their end."""
    import torch

    from ossl_train.musicgen.types import TextStates

    codes, valid = padded([sample.codes.T for sample in samples])
    video, video_mask = padded([sample.video for sample in samples])
    times, _ = padded([sample.video_times for sample in samples])
    states, mask = padded([sample.text for sample in samples])
    dialogue = [sample.dialogue for sample in samples if sample.dialogue is not None]
    return Batch(
        windows=tuple(sample.window for sample in samples),
        codes=codes.transpose(1, 2).to(torch.int64).contiguous(),
        valid=valid,
        video=video.to(torch.float32),
        video_times=times,
        video_mask=video_mask,
        text=TextStates(states, mask),
        dialogue=padded(dialogue)[0] if len(dialogue) == len(samples) else None,
    )


def padded(pieces: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Pieces [n, ...] of several lengths as [B, longest, ...], and where they are, [B, longest]."""
    import torch

    longest = max(len(piece) for piece in pieces)
    whole = pieces[0].new_zeros((len(pieces), longest, *pieces[0].shape[1:]))
    mask = torch.zeros((len(pieces), longest), dtype=torch.bool)
    for row, piece in enumerate(pieces):
        whole[row, : len(piece)] = piece
        mask[row, : len(piece)] = True
    return whole, mask
