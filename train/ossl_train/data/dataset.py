"""The windows of a split as a dataset, and batches of them in an order that a seed fixes."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder.errors import OsslError
from ossl_train.data import consistency
from ossl_train.data.codes import prompt_key, prompt_of
from ossl_train.data.source import Source, SplitClip
from ossl_train.data.storage import CODES, FEATURES, TEXT, read_tensor, store_path, window_key
from ossl_train.data.windows import Window, WindowSpan, window_spans
from ossl_train.recipe import TrainRecipe

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from ossl_train.musicgen.types import TextStates


@dataclass
class TrainSample:
    """One window, unpadded; see `ossl_train.data.batch.Batch` for the units.

    Attributes:
        window: which.
        codes: [K, T], int16.
        video: [Tv, D], float16.
        video_times: [Tv], float32.
        text: [tokens, width], float32.
        dialogue: [Tv, 2], float32; None: not asked for.
    """

    window: Window
    codes: Tensor
    video: Tensor
    video_times: Tensor
    text: Tensor
    dialogue: Tensor | None


@dataclass
class Dataset:
    """The windows of one split.

    Attributes:
        root: where the stores lie.
        windows: in the order of film, clip and time.
        prompts: of each window.
        left_out: how many are not among them, by reason: windows that are `silent`, clips that are
            `too_short` or `unlabelled`.
        made: for each kind of store what its metadata say for all films alike: encoder, digest
            and so on; a checkpoint remembers it.
        with_dialogue: whether samples have it.
        slots_s: for each window, [1 + slots]: the middle of the window and of what each slot saw,
            after its beginning.
    """

    root: Path
    windows: tuple[Window, ...]
    prompts: tuple[str, ...]
    left_out: Mapping[str, int]
    made: Mapping[str, Mapping[str, Any]]
    with_dialogue: bool
    slots_s: tuple[NDArray[np.float32], ...]

    def __len__(self) -> int:
        return len(self.windows)

    def sample(self, index: int) -> TrainSample:
        """Read one window.

        Raises:
            OsslError: `store_damaged`, `features_not_finite`.
        """
        import numpy as np
        import torch

        window = self.windows[index]
        key = window_key(window.clip_id, window.index)
        features = store_path(self.root, window.film_id, FEATURES)
        video = read_tensor(features, key)
        if not np.isfinite(video.numpy()).all():
            raise OsslError(
                "features_not_finite",
                f"The features of {window.clip_id} at {window.start_s:.0f} s hold NaN or infinity.",
                f"Delete {features.parent} and run `ossl train features` again.",
            )
        times = torch.from_numpy(self.slots_s[index])
        dialogue = read_tensor(features, f"{key}/dialogue") if self.with_dialogue else None
        return TrainSample(
            window=window,
            codes=read_tensor(store_path(self.root, window.film_id, CODES), key),
            video=video,
            video_times=self._per_token(times),
            text=read_tensor(
                store_path(self.root, window.film_id, TEXT), prompt_key(self.prompts[index])
            ),
            dialogue=None if dialogue is None else self._per_token(dialogue),
        )

    def _per_token(self, values: Tensor) -> Tensor:
        """Values [1 + slots, ...] for each token: the class token, then those of each slot."""
        import torch

        made = self.made[FEATURES]
        if made["pooling"] != "all":
            return values
        return torch.cat([values[:1], values[1:].repeat_interleave(made["per_slot"], dim=0)])


def open_dataset(source: Source, recipe: TrainRecipe, split: str) -> Dataset:
    """Find the windows of a split and see that all of them can be read.

    Raises:
        OsslError: `split_empty`; `features_missing`, `codes_missing`, `text_missing`;
            `features_mixed` and the like, where films were not made in the same way;
            `features_differ`, where they were made otherwise than the recipe says;
            `features_stale`, where clips or labels have changed since; `dialogue_missing`;
            `split_silent`, where nothing is left.
    """
    clips = source.on(split)
    stored = consistency.read_matching_stores(source, recipe, {one.clip.film_id for one in clips})
    found: list[tuple[Window, str, NDArray[np.float32]]] = []
    left_out: Counter[str] = Counter()
    for one in clips:
        prompt = prompt_of(one.label, recipe.prompts)
        windows = window_spans(one.clip, recipe.windows)
        if prompt is None or not windows:
            left_out["unlabelled" if prompt is None else "too_short"] += 1
            continue
        consistency.check_clip_unchanged(one, prompt, stored, recipe)
        kept = [window for window in windows if consistency.has_codes(one.clip, window, stored)]
        left_out["silent"] += len(windows) - len(kept)
        for window in kept:
            slots_s = _slots_s(one, window, stored[FEATURES].of[one.clip.film_id])
            found.append((_window(one, window), prompt, slots_s))
    if not found:
        raise OsslError(
            "split_silent",
            f"No window of the split {split} can be used: {_counted(left_out)}.",
            "Put other films on it, or see windows.shortest_s and codes.silent_dbfs.",
        )
    return Dataset(
        root=source.root,
        windows=tuple(window for window, _, _ in found),
        prompts=tuple(prompt for _, prompt, _ in found),
        left_out=dict(sorted((+left_out).items())),
        made={kind: stored[kind].made for kind in stored},
        with_dialogue=recipe.model.dialogue,
        slots_s=tuple(slots_s for _, _, slots_s in found),
    )


def _window(one: SplitClip, window: WindowSpan) -> Window:
    return Window(
        one.clip.film_id, one.clip.clip_id, one.split, window.index, window.start_s,
        window.duration_s,
    )  # fmt: skip


def _slots_s(one: SplitClip, window: WindowSpan, said: Mapping[str, Any]) -> NDArray[np.float32]:
    """[1 + slots]: middle of the window, and of each slot's frames, after its beginning."""
    import numpy as np

    sample_s = said["windows"][window_key(one.clip.clip_id, window.index)]["sample_s"]
    slots = np.array(sample_s).reshape(said["slots"], -1).mean(axis=1) - window.start_s
    return np.concatenate(([window.duration_s / 2], slots)).astype(np.float32)


def _counted(left_out: Mapping[str, int]) -> str:
    said = (f"{count} {reason.replace('_', ' ')}" for reason, count in sorted(left_out.items()))
    return ", ".join(said)


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
    for chosen in batch_indices(len(dataset), batch_size, seed, epoch, rank, world, shuffle)[
        start_batch:
    ]:
        yield collate([dataset.sample(index) for index in chosen])


def n_batches(n_windows: int, batch_size: int, world: int = 1, shuffle: bool = True) -> int:
    """How many batches `batches` gives the first process; shuffled: gives each."""
    return len(batch_indices(n_windows, batch_size, 0, 0, 0, world, shuffle))


def batch_indices(
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

    codes, valid = pad([sample.codes.T for sample in samples])
    video, video_mask = pad([sample.video for sample in samples])
    times, _ = pad([sample.video_times for sample in samples])
    states, mask = pad([sample.text for sample in samples])
    dialogue = [sample.dialogue for sample in samples if sample.dialogue is not None]
    return Batch(
        windows=tuple(sample.window for sample in samples),
        codes=codes.transpose(1, 2).to(torch.int64).contiguous(),
        valid=valid,
        video=video.to(torch.float32),
        video_times=times,
        video_mask=video_mask,
        text=TextStates(states, mask),
        dialogue=pad(dialogue)[0] if len(dialogue) == len(samples) else None,
    )


def pad(pieces: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Pieces [n, ...] of several lengths as [B, longest, ...], and where they are, [B, longest]."""
    import torch

    longest = max(len(piece) for piece in pieces)
    whole = pieces[0].new_zeros((len(pieces), longest, *pieces[0].shape[1:]))
    mask = torch.zeros((len(pieces), longest), dtype=torch.bool)
    for row, piece in enumerate(pieces):
        whole[row, : len(piece)] = piece
        mask[row, : len(piece)] = True
    return whole, mask
