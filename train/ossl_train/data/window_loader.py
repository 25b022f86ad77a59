"""Load windows of a clip: video frames, audio and dialogue loudness, each file read once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ossl_builder.errors import OsslError, Rejected
from ossl_builder.files import inside
from ossl_builder.media.audio_reader import FilmAudio
from ossl_builder.media.loudness import k_weighting, lufs
from ossl_builder.media.shown_frames import frames_at
from ossl_builder.tables import Clip
from ossl_train.data.windows import WindowSpan, WindowsSettings, window_spans

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from ossl_train.data.video_encoder import VideoEncoder

    Mono = NDArray[np.float32]
    Curve = NDArray[np.float32]


def window_audio(path: Path, windows: Sequence[WindowSpan], rate: int) -> Iterator[Mono]:
    """Yield the audio of each window, [samples], full scale 1, not normalised.

    The file is read once; about one window is in memory at a time.

    Args:
        path: an audio file of the clip; the mean of its channels is used.
        windows: windows that follow one another.
        rate: sample rate of the result, in Hz.

    Raises:
        OsslError: `audio_unreadable`, also if the file is shorter than its windows.
    """
    import numpy as np

    buffered: Mono = np.zeros(0, np.float32)
    try:
        blocks = FilmAudio(path, rate, 1).blocks()
        for window in windows:
            wanted = round(window.end_s * rate) - round(window.start_s * rate)
            while len(buffered) < wanted and (block := next(blocks, None)) is not None:
                buffered = np.concatenate((buffered, block[0]))
            if len(buffered) < wanted - 1:  # a sample may be lost to rounding
                raise _unreadable(path)
            yield buffered[:wanted]
            buffered = buffered[wanted:]
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
        windows: windows that follow one another.
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


def sample_times(window: WindowSpan, n_frames: int) -> tuple[float, ...]:
    """Return the middles of equal parts of a window, in seconds after the clip's first frame."""
    return tuple(
        window.start_s + (index + 0.5) * window.duration_s / n_frames for index in range(n_frames)
    )


def window_inputs(
    root: Path,
    clips: Sequence[Clip],
    settings: WindowsSettings,
    encoder: VideoEncoder,
    workers: int,
) -> Iterator[WindowInput]:
    """Yield the windows of all clips, in order; decode the next clips in the background.

    Args:
        root: the folder that paths in rows are relative to.
        clips: of one film.
        settings: how clips are cut into windows.
        encoder: determines number and format of the frames.
        workers: clips decoded at a time; one more than that is in memory.

    Raises:
        OsslError: `video_undecodable`, `no_video`, `not_media`, `audio_unreadable`.
    """
    waiting: deque[Future[list[WindowInput]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for clip in clips:
                waiting.append(pool.submit(_window_input, root, clip, settings, encoder))
                if len(waiting) > workers:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _window_input(
    root: Path, clip: Clip, settings: WindowsSettings, encoder: VideoEncoder
) -> list[WindowInput]:
    """Load the windows of a clip; its video is decoded once."""
    windows = window_spans(clip, settings)
    times = [sample_times(window, encoder.shape.n_frames) for window in windows]
    shown = frames_at(
        inside(root, clip.video_path), [time for of_window in times for time in of_window]
    )
    curves = (
        dialogue_curves(inside(root, clip.dialogue_path), windows, encoder.shape.n_slots)
        if clip.dialogue_path is not None
        else None
    )
    inputs = []
    for window in windows:
        frames = [next(shown) for _ in range(encoder.shape.n_frames)]
        inputs.append(
            WindowInput(
                clip=clip,
                window=window,
                times_s=tuple(frame.time_s for frame in frames),
                pixels=encoder.prepared([frame.rgb for frame in frames]),
                dialogue=None if curves is None else next(curves),
            )
        )
    return inputs
