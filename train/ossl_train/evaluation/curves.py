"""Curves of music and of video over time, measured without a trained model."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder.errors import OsslError
from ossl_train.evaluation.audio_files import mono_blocks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Values = NDArray[np.float64]

HOP_S = 0.1
"""Step of all curves; value k covers the 0.4 s that begin at k * HOP_S."""
WINDOW_HOPS = 4
QUIETEST_LUFS = -70.0  # the absolute gate of BS.1770-4: below it everything counts as silence
RATE = 22_050  # what librosa's defaults for onsets and beats are made for
MUSIC = {"measure": "music curves", "version": 1}
VIDEO = {"measure": "video curves", "version": 1}

_LEAST_CUT = 8.0  # smallest change of a cut, in levels, as in the scenes stage
_REACH_S = 0.5  # compared time on either side of a cut


def music_curves(path: Path) -> dict[str, Values]:
    """Measure the curves of a piece of music.

    Returns:
        `onsets` and `beats` in seconds, `loudness` in LUFS at `HOP_S`, `duration` in seconds [1].

    Onsets: peaks of spectral flux (Böck and Widmer 2013); beats: Ellis, "Beat Tracking by Dynamic
    Programming" (2007); both by librosa. Loudness: momentary, BS.1770-4.

    Raises:
        OsslError: `audio_unreadable`.
    """
    import numpy as np
    from librosa.beat import beat_track
    from librosa.onset import onset_detect, onset_strength

    from ossl_builder.media import loudness

    blocks = list(mono_blocks(path, RATE))
    audio = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    if not len(audio):
        raise OsslError("audio_unreadable", f"{path.name} is empty.", "Generate it again.")
    meter = loudness.measured((audio[None],), RATE, HOP_S)
    loud = loudness.lufs(loudness.windowed(meter.power(), WINDOW_HOPS))
    onsets = beats = np.zeros(0)
    if meter.peak > 0 and np.isfinite(audio).all():
        flux = onset_strength(y=audio, sr=RATE)
        if flux.max() > 0:  # a steady tone has no onset, and no beat
            onsets = onset_detect(onset_envelope=flux, sr=RATE, units="time")
            # `trim` drops weak beats at the ends, where cuts may be as anywhere.
            _, beats = beat_track(onset_envelope=flux, sr=RATE, units="time", trim=False)
    return {
        "onsets": np.asarray(onsets, np.float64),
        "beats": np.asarray(beats, np.float64),
        "loudness": np.maximum(loud, QUIETEST_LUFS),
        "duration": np.array([len(audio) / RATE]),
    }


def video_curves(path: Path) -> dict[str, Values]:
    """Return `cuts` in seconds, `motion` in levels per frame at `HOP_S`, `duration` in seconds [1].

    Motion is the mean absolute change of luma from one downscaled frame to the next. A cut is not
    motion: its change is replaced by an interpolation.

    Raises:
        OsslError: `video_undecodable`, `no_video`, `not_media`.
    """
    import cv2
    import numpy as np

    from ossl_builder.media.video_reader import VideoReader
    from ossl_builder.stages.scenes.cut_check import CutChecker

    # The step is used only for files without frame durations.
    reader = VideoReader(path, Fraction(1, 25))
    checker = CutChecker(_REACH_S)
    times: list[float] = []
    changes: list[float] = []
    before: Any = None
    for frame in reader:
        size = (frame.small.shape[1] // 2, frame.small.shape[0] // 2)
        tiny = cv2.resize(frame.small, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        time_s = float(frame.ticks * reader.time_base)
        luma = np.ascontiguousarray(frame.small[:, :, 0])
        checker.feed(frame.number, time_s, tiny, luma)
        change = np.zeros(3) if before is None else np.abs(tiny - before).mean(axis=(0, 1))
        if change.sum() > _LEAST_CUT:
            checker.report(frame.number)
        times.append(time_s)
        changes.append(float(change[0]))
        before = tiny
    cuts = checker.finish()
    duration_s = float(reader.end * reader.time_base)
    return {
        "cuts": np.array([times[number] for number in cuts]),
        "motion": motion_curve(np.array(times), np.array(changes), cuts, duration_s),
        "duration": np.array([duration_s]),
    }


def motion_curve(times: Values, changes: Values, cuts: list[int], duration_s: float) -> Values:
    """Return the changes between frames as a curve at `HOP_S`, in the windows of the loudness.

    Args:
        times: times of the frames, in seconds, ascending.
        changes: change from the frame before; the first has none.
        cuts: indices of the first frames after cuts.
        duration_s: duration of the video.
    """
    import numpy as np

    from ossl_builder.media.loudness import windowed

    kept = np.ones(len(times), bool)
    kept[[0, *cuts]] = False
    n_hops = int(duration_s / HOP_S + 1e-9)
    if not kept.any() or n_hops < WINDOW_HOPS:
        return np.zeros(max(0, n_hops - WINDOW_HOPS + 1))
    # Linear between frames: films have 15 to 60 a second, and some repeat frames.
    middles = (np.arange(n_hops) + 0.5) * HOP_S
    sums = np.interp(middles, times[kept], changes[kept])
    for hop, value in _means(times[kept], changes[kept], n_hops).items():
        sums[hop] = value
    return windowed(sums, WINDOW_HOPS)


def _means(times: Values, changes: Values, n_hops: int) -> dict[int, float]:
    """Return the mean change of each hop that has frames."""
    import numpy as np

    hops = np.floor(times / HOP_S + 1e-9).astype(int)
    return {hop: float(changes[hops == hop].mean()) for hop in set(hops.tolist()) if hop < n_hops}
