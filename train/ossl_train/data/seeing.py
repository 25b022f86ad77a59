"""Windows ready for the encoder: pictures and dialogue, each file read once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ossl_builder.engine.paths import inside
from ossl_builder.tables import Clip
from ossl_train.data.pictures import shown_at
from ossl_train.data.speech import dialogue_curves
from ossl_train.data.vivit import Encoder
from ossl_train.data.windows import Stretch, stretches
from ossl_train.recipe import WindowsSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


@dataclass(frozen=True)
class Seen:
    """A window ready for the encoder; times in seconds after the clip's first picture."""

    clip: Clip
    window: Stretch
    times_s: tuple[float, ...]
    pixels: Tensor
    dialogue: NDArray[np.float32] | None


def sample_times(window: Stretch, n_frames: int) -> tuple[float, ...]:
    """The middles of equal parts of a window, in seconds after the clip's first picture."""
    return tuple(
        window.start_s + (number + 0.5) * window.duration_s / n_frames for number in range(n_frames)
    )


def all_seen(
    root: Path, clips: Sequence[Clip], settings: WindowsSettings, encoder: Encoder, workers: int
) -> Iterator[Seen]:
    """Windows of all clips, in order; the next clips are decoded while these are encoded.

    Args:
        root: the folder that paths in rows are relative to.
        clips: of one film.
        settings: how they are cut.
        encoder: says how many pictures it wants, and how.
        workers: clips decoded at a time; as many and one more are in memory.

    Raises:
        OsslError: `picture_undecodable`, `no_picture`, `not_media`, `sound_unreadable`.
    """
    waiting: deque[Future[list[Seen]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for clip in clips:
                waiting.append(pool.submit(_seen, root, clip, settings, encoder))
                if len(waiting) > workers:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _seen(root: Path, clip: Clip, settings: WindowsSettings, encoder: Encoder) -> list[Seen]:
    """A clip's windows, its picture decoded once."""
    found = stretches(clip, settings)
    times = [sample_times(window, encoder.n_frames) for window in found]
    shown = shown_at(inside(root, clip.video_path), [time for some in times for time in some])
    curves = (
        dialogue_curves(inside(root, clip.dialogue_path), found, encoder.n_slots)
        if clip.dialogue_path is not None
        else None
    )
    seen = []
    for window in found:
        pictures = [next(shown) for _ in range(encoder.n_frames)]
        seen.append(
            Seen(
                clip=clip,
                window=window,
                times_s=tuple(picture.time_s for picture in pictures),
                pixels=encoder.prepared([picture.rgb for picture in pictures]),
                dialogue=None if curves is None else next(curves),
            )
        )
    return seen
