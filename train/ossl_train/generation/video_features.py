"""What the adapter sees of each window of a video: what it saw in training, for any window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ossl_train.data.features import Encoder, FeaturesSettings, pool_tokens
from ossl_train.data.window_loader import dialogue_curves, frames_at, sample_times
from ossl_train.data.windows import WindowSpan
from ossl_train.generation.requests import GenerationRequest

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class WindowFeatures:
    """One window's video.

    Attributes:
        video: [Tv, D], float32, rounded to half precision as in the stores.
        times_s: [Tv], middles of what each token saw, after the window's beginning.
        dialogue: [Tv, 2], or None.
    """

    video: Tensor
    times_s: Tensor
    dialogue: Tensor | None


def window_features(
    piece: GenerationRequest,
    windows: Sequence[WindowSpan],
    encoder: Encoder,
    settings: FeaturesSettings,
    with_dialogue: bool,
) -> Iterator[WindowFeatures]:
    """One after the other; the file is decoded once, and frames of few windows are in memory.

    Raises:
        OsslError: `video_undecodable`, `no_video`, `not_media`, `audio_unreadable`.
    """
    import torch

    for window, (pixels, shown_s) in zip(windows, _pixels(piece, windows, encoder), strict=True):
        states = encoder.states(pixels[None], settings.precision)
        video = pool_tokens(states, settings.pooling, encoder.n_slots)[0].half().float()
        slots = torch.tensor(shown_s, dtype=torch.float64).reshape(encoder.n_slots, -1).mean(1)
        middle = torch.tensor([window.duration_s / 2], dtype=torch.float64)
        times = torch.cat([middle, slots - window.start_s]).float()
        heard = _dialogue(piece.dialogue, window, encoder.n_slots) if with_dialogue else None
        per_slot = encoder.per_slot if settings.pooling == "all" else 1
        yield WindowFeatures(
            video,
            _per_token(times, per_slot),
            None if heard is None else _per_token(heard, per_slot),
        )


def _pixels(
    piece: GenerationRequest, windows: Sequence[WindowSpan], encoder: Encoder
) -> Iterator[tuple[Tensor, list[float]]]:
    """Prepared frames and when they begin, window by window, though windows overlap."""
    import torch

    wanted = sorted(
        (moment, window.index)
        for window in windows
        for moment in sample_times(window, encoder.n_frames)
    )
    held: dict[int, list[tuple[Tensor, float]]] = {}
    shown = frames_at(piece.video, [moment for moment, _ in wanted])
    for (_, index), frame in zip(wanted, shown, strict=True):
        mine = held.setdefault(index, [])
        # Prepared at once: a video of the cinema takes a hundred times what the encoder wants.
        mine.append((encoder.prepared([frame.rgb]), frame.time_s))
        if len(mine) == encoder.n_frames:
            pixels, times_s = zip(*held.pop(index), strict=True)
            yield torch.cat(pixels), list(times_s)


def _dialogue(path: Path | None, window: WindowSpan, n_slots: int) -> Tensor:
    """[1 + slots, 2]; zeros, which is silence, where no dialogue is known."""
    import torch

    if path is None:
        return torch.zeros(1 + n_slots, 2)
    before = [WindowSpan(0, 0.0, window.start_s)] if window.start_s > 0 else []
    *_, curve = dialogue_curves(path, [*before, window], n_slots)
    return torch.from_numpy(curve)


def _per_token(values: Tensor, per_slot: int) -> Tensor:
    """Values [1 + slots, ...] for each token: the class token, then those of each slot."""
    import torch

    return torch.cat([values[:1], values[1:].repeat_interleave(per_slot, dim=0)])
