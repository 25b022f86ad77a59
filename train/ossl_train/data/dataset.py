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
from ossl_train.data.windows import Window, WindowSpan, grid_spans, window_spans
from ossl_train.recipe import TrainRecipe

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from ossl_train.musicgen.types import TextStates


@dataclass
class TrainSample:
    """One window, unpadded; see `Batch` for the units.

    Attributes:
        window: its position.
        codes: [K, T], int16.
        video: [Tv, D], float16.
        video_times: [Tv], float32.
        text: [tokens, width], float32.
        dialogue: [Tv, 2], float32; None if the recipe does not use dialogue.
        events: [Tv, 3], float32; None if the recipe does not use events.
    """

    window: Window
    codes: Tensor
    video: Tensor
    video_times: Tensor
    text: Tensor
    dialogue: Tensor | None
    events: Tensor | None = None


@dataclass
class Dataset:
    """The windows of one split, read from the stores on access: memory use stays constant.

    Attributes:
        root: the folder of the stores.
        windows: in the order of film, clip and time.
        prompts: the prompt of each window.
        left_out: counts of what is left out, by reason: windows that are `silent`, clips that are
            `too_short` or `unlabelled`.
        made: for each kind of store the metadata that all films share (encoder, digest and so
            on); a run records it.
        with_dialogue: whether samples have dialogue.
        with_events: whether samples have events.
        slots_s: for each window, [1 + slots]: the middle of the window, and the mean time of each
            slot's frames, in seconds after the start of the window.
    """

    root: Path
    windows: tuple[Window, ...]
    prompts: tuple[str, ...]
    left_out: Mapping[str, int]
    made: Mapping[str, Mapping[str, Any]]
    with_dialogue: bool
    with_events: bool
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
        events = read_tensor(features, f"{key}/events") if self.with_events else None
        return TrainSample(
            window=window,
            codes=read_tensor(store_path(self.root, window.film_id, CODES), key),
            video=video,
            video_times=self._per_token(times),
            text=read_tensor(
                store_path(self.root, window.film_id, TEXT), prompt_key(self.prompts[index])
            ),
            dialogue=None if dialogue is None else self._per_token(dialogue),
            events=None if events is None else self._per_token(events),
        )

    def _per_token(self, values: Tensor) -> Tensor:
        """Expand values [1 + slots, ...] to tokens: the class token, then those of each slot."""
        import torch

        metadata = self.made[FEATURES]
        if metadata["pooling"] != "all":
            return values
        return torch.cat([values[:1], values[1:].repeat_interleave(metadata["per_slot"], dim=0)])


def open_dataset(source: Source, recipe: TrainRecipe, split: str) -> Dataset:
    """Find the windows of a split and check that all of them are stored.

    Raises:
        OsslError: `split_empty`; `features_missing`, `codes_missing`, `text_missing`;
            `features_mixed` and the like, if films were encoded with different settings;
            `features_differ`, if the settings are not those of the recipe;
            `features_stale`, if clips or labels have changed since; `dialogue_missing`;
            `events_missing`;
            `split_silent`, if no window is left.
    """
    clips = source.on(split)
    film_ids = {split_clip.clip.film_id for split_clip in clips}
    stores = consistency.read_matching_stores(source, recipe, film_ids)
    # Overlapping windows are for training only: figures of other splits do not depend on the hop.
    cut = window_spans if split == "train" else grid_spans
    entries: list[tuple[Window, str, NDArray[np.float32]]] = []
    left_out: Counter[str] = Counter()
    for split_clip in clips:
        prompt = prompt_of(split_clip.label, recipe.prompts, split_clip.model_caption)
        windows = cut(split_clip.clip, recipe.windows)
        if prompt is None or not windows:
            left_out["unlabelled" if prompt is None else "too_short"] += 1
            continue
        consistency.check_clip_unchanged(split_clip, prompt, stores, recipe)
        with_music = [
            window for window in windows if consistency.has_codes(split_clip.clip, window, stores)
        ]
        left_out["silent"] += len(windows) - len(with_music)
        for window in with_music:
            slots_s = _slots_s(split_clip, window, stores[FEATURES].of[split_clip.clip.film_id])
            entries.append((_window(split_clip, window), prompt, slots_s))
    if not entries:
        raise OsslError(
            "split_silent",
            f"No window of the split {split} can be used: {_counted(left_out)}.",
            "Assign other films to the split, or change windows.shortest_s or codes.silent_dbfs.",
        )
    return Dataset(
        root=source.root,
        windows=tuple(window for window, _, _ in entries),
        prompts=tuple(prompt for _, prompt, _ in entries),
        left_out=dict(sorted((+left_out).items())),
        made={kind: stores[kind].made for kind in stores},
        with_dialogue=recipe.model.dialogue,
        with_events=recipe.model.events,
        slots_s=tuple(slots_s for _, _, slots_s in entries),
    )


def _window(split_clip: SplitClip, window: WindowSpan) -> Window:
    return Window(
        split_clip.clip.film_id, split_clip.clip.clip_id, split_clip.split, window.index,
        window.start_s, window.duration_s,
    )  # fmt: skip


def _slots_s(
    split_clip: SplitClip, window: WindowSpan, metadata: Mapping[str, Any]
) -> NDArray[np.float32]:
    """Return [1 + slots]: the middle of the window, and the mean time of each slot's frames."""
    import numpy as np

    sample_s = metadata["windows"][window_key(split_clip.clip.clip_id, window.index)]["sample_s"]
    slots = np.array(sample_s).reshape(metadata["slots"], -1).mean(axis=1) - window.start_s
    return np.concatenate(([window.duration_s / 2], slots)).astype(np.float32)


def _counted(left_out: Mapping[str, int]) -> str:
    parts = (f"{count} {reason.replace('_', ' ')}" for reason, count in sorted(left_out.items()))
    return ", ".join(parts)


@dataclass
class Batch:
    """The windows of one forward pass of the model.

    Attributes:
        windows: B windows.
        codes: [B, K, T], int64; 0 where padded. T is the longest window's number of frames.
        valid: [B, T], bool; False where codes are padding.
        video: [B, Tv, D], float32.
        video_times: [B, Tv], float32: the middle of the time that each token covers, in seconds
            after the window's start; for a class token the middle of the window.
        video_mask: [B, Tv], bool; False where padded (features of one pooling never are).
        text: states of the prompts.
        dialogue: [B, Tv, 2], float32: loudness (0: -70 LUFS or less, 1: 0 LUFS) and energy (root
            mean square, full scale 1) of the dialogue during each token; None if unused.
        events: [B, Tv, 3], float32, each from 0 to 1, during each token: cuts per second (1: one or
            more), motion (1: grey frames 0.2 s apart differ by 64 of 255 levels or more), loudness
            of the dialogue as above; None if unused.
    """

    windows: tuple[Window, ...]
    codes: Tensor
    valid: Tensor
    video: Tensor
    video_times: Tensor
    video_mask: Tensor
    text: TextStates
    dialogue: Tensor | None
    events: Tensor | None = None

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch with its tensors on a device."""
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
    """Yield one pass over a split.

    Args:
        dataset: the split.
        batch_size: windows per process and batch.
        seed: fixes the order, together with `epoch`.
        epoch: number of the pass.
        start_batch: number of the first batch to yield.
        rank: number of this process, of `world`.
        world: number of processes that share the pass. All batches of one step together depend
            only on `batch_size` times `world`.
        shuffle: True, for training: every process gets the same number of batches; windows at
            the end that cannot be divided evenly are left to another pass. False, for validation:
            each window goes to one process, once, in the dataset's order; some processes may get
            one batch less.

    Raises:
        OsslError: see `Dataset.sample`.
    """
    for chosen in batch_indices(len(dataset), batch_size, seed, epoch, rank, world, shuffle)[
        start_batch:
    ]:
        yield collate([dataset.sample(index) for index in chosen])


def n_batches(n_windows: int, batch_size: int, world: int = 1, shuffle: bool = True) -> int:
    """Return the number of batches of the first process; with `shuffle`, all have this number."""
    return len(batch_indices(n_windows, batch_size, 0, 0, 0, world, shuffle))


def batch_indices(
    n_windows: int, batch_size: int, seed: int, epoch: int, rank: int, world: int, shuffle: bool
) -> list[list[int]]:
    """Return the indices of each batch of one process; see `batches`."""
    import numpy as np

    order = np.arange(n_windows)
    if shuffle:
        np.random.default_rng([seed, epoch]).shuffle(order)
    batches_of_process = []
    for start in range(0, n_windows, batch_size * world):
        step_windows = order[start : start + batch_size * world]
        if shuffle:
            # The same number for each process, so that their gradients have the same weight.
            step_windows = step_windows[: len(step_windows) // world * world]
        of_process = np.array_split(step_windows, world)[rank].tolist()
        if of_process:
            batches_of_process.append(of_process)
    return batches_of_process


def collate(samples: Sequence[TrainSample]) -> Batch:
    """Stack windows into a batch; pad shorter ones at the end."""
    import torch

    from ossl_train.musicgen.types import TextStates

    codes, valid = pad([sample.codes.T for sample in samples])
    video, video_mask = pad([sample.video for sample in samples])
    times, _ = pad([sample.video_times for sample in samples])
    states, mask = pad([sample.text for sample in samples])
    dialogue = [sample.dialogue for sample in samples if sample.dialogue is not None]
    events = [sample.events for sample in samples if sample.events is not None]
    return Batch(
        windows=tuple(sample.window for sample in samples),
        codes=codes.transpose(1, 2).to(torch.int64).contiguous(),
        valid=valid,
        video=video.to(torch.float32),
        video_times=times,
        video_mask=video_mask,
        text=TextStates(states, mask),
        dialogue=pad(dialogue)[0] if len(dialogue) == len(samples) else None,
        events=pad(events)[0] if len(events) == len(samples) else None,
    )


def pad(tensors: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Stack tensors [n, ...] of several lengths to [B, longest, ...], with a mask [B, longest]."""
    import torch

    longest = max(len(tensor) for tensor in tensors)
    padded = tensors[0].new_zeros((len(tensors), longest, *tensors[0].shape[1:]))
    mask = torch.zeros((len(tensors), longest), dtype=torch.bool)
    for row, tensor in enumerate(tensors):
        padded[row, : len(tensor)] = tensor
        mask[row, : len(tensor)] = True
    return padded, mask
