"""Load windows of a clip: video frames, audio and dialogue loudness, each file read once."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ossl_builder.errors import OsslError, Rejected
from ossl_builder.files import inside
from ossl_builder.media.audio_reader import FilmAudio
from ossl_builder.media.loudness import k_weighting, lufs
from ossl_builder.media.sampled_frames import frames_at
from ossl_builder.models.hub import n_cores
from ossl_builder.tables import Clip
from ossl_train.data.events import ClipCuts, Motion
from ossl_train.data.in_order import in_order
from ossl_train.data.windows import WindowSpan, WindowsSettings, window_spans

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from ossl_train.data.video_encoder import VideoEncoder

    Mono = NDArray[np.float32]
    Curve = NDArray[np.float32]

# Windows that are decoded and wait for the encoder. One of ViViT takes 19 MB.
LEAST_WAITING, WAITING_PER_WORKER = 16, 4
FOR_MOTION = -1
"""In place of the number of a window: a frame for `Motion`."""


def window_audio(path: Path, windows: Sequence[WindowSpan], rate: int) -> Iterator[Mono]:
    """Yield the audio of each window, [samples], full scale 1, not normalised.

    The file is read once; about one window is in memory at a time.

    Args:
        path: an audio file of the clip; the mean of its channels is used.
        windows: windows in the order of their starts and ends; they may overlap.
        rate: sample rate of the result, in Hz.

    Raises:
        OsslError: `audio_unreadable`, also if the file is shorter than its windows.
    """
    import numpy as np

    held: Mono = np.zeros(0, np.float32)
    first = 0  # number of the first sample in `held`
    try:
        blocks = FilmAudio(path, rate, 1).blocks()
        for window in windows:
            start, end = round(window.start_s * rate), round(window.end_s * rate)
            while True:
                passed = min(max(start - first, 0), len(held))
                held, first = held[passed:], first + passed
                if first + len(held) >= end or (block := next(blocks, None)) is None:
                    break
                held = np.concatenate((held, block[0]))
            if first + len(held) < end - 1:  # a sample may be lost to rounding
                raise _unreadable(path)
            yield held[: end - start]
    except (OSError, OsslError, Rejected) as error:
        raise _unreadable(path) from error


def _unreadable(path: Path) -> OsslError:
    return OsslError(
        "audio_unreadable",
        f"{path} is missing, damaged, or shorter than its clip.",
        "Build the clip again, or leave its film out.",
    )


SPEECH_RATE = 16_000  # speech has almost no energy above 8 kHz
FLOOR_LUFS = -70.0  # the absolute gate of BS.1770


def dialogue_curves(path: Path, windows: Sequence[WindowSpan], n_slots: int) -> Iterator[Curve]:
    """Yield loudness and energy of the dialogue stem, window by window.

    Args:
        path: the stem.
        windows: windows in the order of their starts and ends; they may overlap.
        n_slots: equal parts of each window.

    Yields:
        [1 + n_slots, 2]: first the whole window, then each slot. Loudness (BS.1770-4, of the mean
        of its channels) goes from 0 (-70 LUFS or less) to 1 (0 LUFS); energy is the root mean
        square, full scale 1.

    Raises:
        OsslError: `audio_unreadable`.
    """
    import numpy as np
    from scipy.signal import sosfilt

    for audio in window_audio(path, windows, SPEECH_RATE):
        weighted = sosfilt(k_weighting(SPEECH_RATE), audio.astype(np.float64)) ** 2
        plain = audio.astype(np.float64) ** 2
        edges = np.rint(np.linspace(0, len(audio), n_slots + 1)).astype(int)
        parts = [slice(0, len(audio)), *map(slice, edges[:-1], edges[1:])]
        loudness = lufs(np.array([weighted[part].mean() for part in parts]))
        energy = np.sqrt([plain[part].mean() for part in parts])
        scaled = np.clip((loudness - FLOOR_LUFS) / -FLOOR_LUFS, 0, 1)
        yield np.stack([scaled, energy], axis=1).astype(np.float32)


@dataclass(frozen=True)
class WindowInput:
    """A window ready for the encoder; times in seconds after the clip's first frame."""

    clip: Clip
    window: WindowSpan
    times_s: tuple[float, ...]
    pixels: Tensor
    dialogue: NDArray[np.float32] | None
    events: NDArray[np.float32] | None


def sample_times(window: WindowSpan, n_frames: int) -> tuple[float, ...]:
    """Return the middles of equal parts of a window, in seconds after the clip's first frame."""
    return tuple(
        window.start_s + (index + 0.5) * window.duration_s / n_frames for index in range(n_frames)
    )


def window_frames(
    path: Path, windows: Sequence[WindowSpan], encoder: VideoEncoder, motion: Motion | None = None
) -> Iterator[tuple[Tensor, tuple[float, ...]]]:
    """Yield the encoder's input of each window, [n_frames, 3, size, size], and the frames' starts.

    The file is decoded once; only windows that overlap are in memory together.

    Args:
        path: a video file.
        windows: windows in the order of their starts and ends; they may overlap.
        encoder: determines number and format of the frames.
        motion: also gets its frames; when a window is yielded, it has those up to the window's end.

    Raises:
        OsslError: `video_undecodable`, `no_video`, `not_media`, `file_missing`.
    """
    import torch

    n_frames = encoder.shape.n_frames
    wanted = [
        (time_s, number)
        for number, window in enumerate(windows)
        for time_s in sample_times(window, n_frames)
    ]
    if motion is not None and windows:
        wanted += [(time_s, FOR_MOTION) for time_s in motion.times(windows[-1].end_s)]
    wanted.sort()
    last_of = _last_of(wanted, windows)
    incomplete: dict[int, list[tuple[Tensor, float]]] = {}
    n_yielded = 0
    shown = frames_at(path, [time_s for time_s, _ in wanted])
    for position, ((_, number), frame) in enumerate(zip(wanted, shown, strict=True)):
        if number == FOR_MOTION:
            assert motion is not None
            motion.add(frame.rgb)
        else:
            # Prepared at once: a film frame is a hundred times larger than the encoder's input.
            prepared = encoder.prepared([frame.rgb])
            incomplete.setdefault(number, []).append((prepared, frame.time_s))
        while n_yielded < len(windows) and last_of[n_yielded] <= position:
            pixels, times_s = zip(*incomplete.pop(n_yielded), strict=True)
            yield torch.cat(pixels), times_s
            n_yielded += 1


def _last_of(wanted: Sequence[tuple[float, int]], windows: Sequence[WindowSpan]) -> list[int]:
    """Return, for each window, the position of the last frame that it waits for."""
    last_of = [0] * len(windows)
    for position, (_, number) in enumerate(wanted):
        if number != FOR_MOTION:
            last_of[number] = position
    times_s = [time_s for time_s, _ in wanted]
    if any(number == FOR_MOTION for _, number in wanted):
        last_of = [
            max(last, bisect.bisect_right(times_s, window.end_s) - 1)
            for last, window in zip(last_of, windows, strict=True)
        ]
    return last_of


def window_inputs(
    root: Path,
    clips: Sequence[ClipCuts],
    settings: WindowsSettings,
    encoder: VideoEncoder,
    workers: int,
    with_events: bool = False,
) -> Iterator[WindowInput]:
    """Yield the windows of all clips, in order; decode the next clips in the background.

    Args:
        root: the folder that paths in rows are relative to.
        clips: of one film, with their cuts.
        settings: how clips are cut into windows.
        encoder: determines number and format of the frames.
        workers: clips decoded at a time; 0: one for each CPU of this process.
        with_events: whether to measure events.

    Raises:
        OsslError: `video_undecodable`, `no_video`, `not_media`, `audio_unreadable`.
    """
    workers = workers or n_cores()
    most = max(LEAST_WAITING, WAITING_PER_WORKER * workers)
    make = [partial(_window_inputs, root, clip, settings, encoder, with_events) for clip in clips]
    return in_order(make, workers, most)


def _window_inputs(
    root: Path,
    clip_cuts: ClipCuts,
    settings: WindowsSettings,
    encoder: VideoEncoder,
    with_events: bool,
) -> Iterator[WindowInput]:
    """Load the windows of a clip; its video and its dialogue are decoded once."""
    clip = clip_cuts.clip
    n_slots = encoder.shape.n_slots
    windows = window_spans(clip, settings)
    motion = Motion() if with_events else None
    frames = window_frames(inside(root, clip.video_path), windows, encoder, motion)
    curves: Iterator[Curve | None] = itertools.repeat(None)
    if clip.dialogue_path is not None:
        curves = dialogue_curves(inside(root, clip.dialogue_path), windows, n_slots)
    for window, (pixels, times_s), dialogue in zip(windows, frames, curves, strict=False):
        events = None
        if motion is not None:
            loudness = None if dialogue is None else dialogue[:, 0]
            events = motion.curve(window, n_slots, clip_cuts.cuts_s, loudness)
        yield WindowInput(clip, window, times_s, pixels, dialogue, events)
