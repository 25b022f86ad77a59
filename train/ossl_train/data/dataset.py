"""A split's windows, read from the stores when they are asked for: memory stays flat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder.errors import OsslError
from ossl_train.data import store_check
from ossl_train.data.source import Source, SplitClip
from ossl_train.data.storage import CODES, FEATURES, TEXT, key_of, read_tensor, store_path
from ossl_train.data.text import prompt_key, prompt_of
from ossl_train.data.windows import Window, WindowSpan, window_spans
from ossl_train.recipe import TrainRecipe

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


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
        key = key_of(window.clip_id, window.index)
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
    stored = store_check.agreed(source, recipe, {one.clip.film_id for one in clips})
    found: list[tuple[Window, str, NDArray[np.float32]]] = []
    left_out: Counter[str] = Counter()
    for one in clips:
        prompt = prompt_of(one.label, recipe.prompts)
        windows = window_spans(one.clip, recipe.windows)
        if prompt is None or not windows:
            left_out["unlabelled" if prompt is None else "too_short"] += 1
            continue
        store_check.check_clip(one, prompt, stored, recipe)
        kept = [window for window in windows if store_check.is_heard(one.clip, window, stored)]
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

    sample_s = said["windows"][key_of(one.clip.clip_id, window.index)]["sample_s"]
    slots = np.array(sample_s).reshape(said["slots"], -1).mean(axis=1) - window.start_s
    return np.concatenate(([window.duration_s / 2], slots)).astype(np.float32)


def _counted(left_out: Mapping[str, int]) -> str:
    said = (f"{count} {reason.replace('_', ' ')}" for reason, count in sorted(left_out.items()))
    return ", ".join(said)
