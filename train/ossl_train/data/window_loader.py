"""Load windows of a clip: video frames, audio and dialogue loudness, each file read once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder.errors import OsslError, Rejected
from ossl_builder.files import inside
from ossl_builder.media.audio_reader import FilmAudio
from ossl_builder.media.loudness import k_weighting, lufs
from ossl_builder.media.stream_choice import inspect
from ossl_builder.media.video_frames import timed_frames
from ossl_builder.media.video_transforms import orientation_of
from ossl_builder.tables import Clip
from ossl_train.data.windows import WindowSpan, WindowsSettings, window_spans

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from ossl_train.data.features import Encoder

    Rgb = NDArray[np.uint8]
    Mono = NDArray[np.float32]
    Curve = NDArray[np.float32]


# Times in files are rounded to their time base: a video that begins this little after a moment
# is the one shown then.
TOLERANCE_S = 1e-4


@dataclass(frozen=True)
class SampledFrames:
    """A video that is shown at an asked moment.

    Attributes:
        time_s: when it begins, in seconds after the clip's first video.
        rgb: [height, width, 3].
    """

    time_s: float
    rgb: Rgb


def frames_at(path: Path, times_s: Sequence[float]) -> Iterator[SampledFrames]:
    """For each of some moments the video that is shown then.

    Args:
        path: a video file.
        times_s: moments after its first video, in order; behind its end the last video stands.

    Yields:
        As many as there are moments, in their order; equal objects where a video is asked twice.

    Raises:
        OsslError: `no_video`, `video_undecodable`, `not_media`, `file_missing`.
    """
    waiting = list(reversed(times_s))
    before: Any = None
    before_s = 0.0
    for frame, time_s in _frames(path):
        if before is not None and waiting and waiting[-1] + TOLERANCE_S < time_s:
            shown = _sampled(before, before_s)
            while waiting and waiting[-1] + TOLERANCE_S < time_s:
                waiting.pop()
                yield shown
        if not waiting:
            return
        before, before_s = frame, time_s
    if before is None:
        raise OsslError(
            "video_undecodable",
            f"Not one video of {path.name} could be decoded.",
            "Build the clip again, or leave its film out.",
        )
    shown = _sampled(before, before_s)
    for _ in waiting:
        yield shown


def _sampled(frame: Any, time_s: float) -> SampledFrames:
    return SampledFrames(time_s, orientation_of(frame).apply(frame.to_ndarray(format="rgb24")))


def _frames(path: Path) -> Iterator[tuple[Any, float]]:
    """Decoded frames and when they begin, after the first; what is damaged is passed over."""
    first: int | None = None
    for timed in timed_frames(inspect(path)):
        if timed.frame is None:
            continue
        first = timed.pts if first is None else first
        yield timed.frame, float((timed.pts - first) * timed.frame.time_base)


def window_audio(path: Path, found: Sequence[WindowSpan], rate: int) -> Iterator[Mono]:
    """The audio of each window, [samples], full scale being 1; nothing is normalised.

    The file is read once; a window's worth of it is in memory at a time.

    Args:
        path: an audio file of the clip; channels become one by their mean.
        found: windows that follow one another.
        rate: wanted sample rate, in Hz; resampled by libswresample.

    Raises:
        OsslError: `audio_unreadable`, also where the file is shorter than its windows.
    """
    import numpy as np

    held: Mono = np.zeros(0, np.float32)
    try:
        blocks = FilmAudio(path, rate, 1).blocks()
        for window in found:
            wanted = round(window.end_s * rate) - round(window.start_s * rate)
            while len(held) < wanted and (block := next(blocks, None)) is not None:
                held = np.concatenate((held, block[0]))
            if len(held) < wanted - 1:  # a sample may be lost to rounding
                raise _unreadable(path)
            yield held[:wanted]
            held = held[wanted:]
    except (OSError, OsslError, Rejected) as error:
        raise _unreadable(path) from error


def _unreadable(path: Path) -> OsslError:
    return OsslError(
        "audio_unreadable",
        f"{path} is missing, damaged, or shorter than its clip.",
        "Build the clip again, or leave its film out.",
    )


SPEECH_RATE = 16_000  # speech has next to nothing above 8 kHz
FLOOR_LUFS = -70.0  # the absolute gate of BS.1770


def dialogue_curves(path: Path, found: Sequence[WindowSpan], n_slots: int) -> Iterator[Curve]:
    """Loudness and energy of the dialogue stem, window by window.

    Args:
        path: the stem.
        found: windows that follow one another.
        n_slots: equal parts of each window.

    Yields:
        [1 + n_slots, 2]: first of the whole window, then of each slot. Loudness (BS.1770-4, of the
        mean of its channels) goes from 0 (-70 LUFS and less) to 1 (0 LUFS); energy is the root
        mean square, full scale being 1.

    Raises:
        OsslError: `audio_unreadable`.
    """
    import numpy as np
    from scipy.signal import sosfilt

    for audio in window_audio(path, found, SPEECH_RATE):
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
    """A window ready for the encoder; times in seconds after the clip's first video."""

    clip: Clip
    window: WindowSpan
    times_s: tuple[float, ...]
    pixels: Tensor
    dialogue: NDArray[np.float32] | None


def sample_times(window: WindowSpan, n_frames: int) -> tuple[float, ...]:
    """The middles of equal parts of a window, in seconds after the clip's first video."""
    return tuple(
        window.start_s + (number + 0.5) * window.duration_s / n_frames for number in range(n_frames)
    )


def window_inputs(
    root: Path, clips: Sequence[Clip], settings: WindowsSettings, encoder: Encoder, workers: int
) -> Iterator[WindowInput]:
    """Windows of all clips, in order; the next clips are decoded while these are encoded.

    Args:
        root: the folder that paths in rows are relative to.
        clips: of one film.
        settings: how they are cut.
        encoder: says how many frames it wants, and how.
        workers: clips decoded at a time; as many and one more are in memory.

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
    root: Path, clip: Clip, settings: WindowsSettings, encoder: Encoder
) -> list[WindowInput]:
    """A clip's windows, its video decoded once."""
    found = window_spans(clip, settings)
    times = [sample_times(window, encoder.n_frames) for window in found]
    shown = frames_at(inside(root, clip.video_path), [time for some in times for time in some])
    curves = (
        dialogue_curves(inside(root, clip.dialogue_path), found, encoder.n_slots)
        if clip.dialogue_path is not None
        else None
    )
    seen = []
    for window in found:
        frames = [next(shown) for _ in range(encoder.n_frames)]
        seen.append(
            WindowInput(
                clip=clip,
                window=window,
                times_s=tuple(frame.time_s for frame in frames),
                pixels=encoder.prepared([frame.rgb for frame in frames]),
                dialogue=None if curves is None else next(curves),
            )
        )
    return seen
