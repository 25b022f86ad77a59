"""Measure a clip that was made elsewhere, by decoding all of it; headers are not trusted."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from ossl_builder.errors import OsslError
from ossl_builder.media.demux import open_media, stream_at
from ossl_builder.media.loudness import Meter, integrated
from ossl_builder.media.stream_choice import inspect
from ossl_builder.media.video_frames import no_video
from ossl_builder.media.video_transforms import orientation_of

# Samples per channel that are read at a time.
BLOCK = 1 << 18


@dataclass(frozen=True)
class ClipVideo:
    """Measurements of a clip's video.

    Attributes:
        n_frames: number of decoded frames.
        duration_s: time from the begin of the first frame to the end of the last, in seconds.
        fps_num, fps_den: nominal frame rate as a fraction, 1/s.
        width, height: display size in pixels: upright, with square pixels.
    """

    n_frames: int
    duration_s: float
    fps_num: int
    fps_den: int
    width: int
    height: int


@dataclass(frozen=True)
class ClipAudio:
    """Measurements of a clip's music: rate (Hz), samples per channel, LUFS (None: silent)."""

    sample_rate: int
    n_samples: int
    lufs: float | None

    @property
    def duration_s(self) -> float:
        """Return the duration in seconds."""
        return self.n_samples / self.sample_rate


def measure_video(path: Path) -> ClipVideo:
    """Decode every frame of a file and measure it.

    Raises:
        OsslError: `video_undecodable`, `no_video`, `not_media`, `file_empty`.
    """
    import av

    media = inspect(path)
    if media.video is None:
        raise no_video(path.name)
    count, first, last, time_s = 0, None, None, 0.0
    try:
        with open_media(path) as container:
            stream = stream_at(container, media.video, media.path.name)
            # Several clips are measured in parallel, so use one thread per clip.
            stream.thread_count = 1
            for packet in container.demux(stream):
                for frame in packet.decode():
                    if frame.is_corrupt or frame.pts is None:
                        raise _undecodable(path, f"frame {count} is damaged")
                    first, last, count = first or frame, frame, count + 1
                    time_s = float(frame.pts * frame.time_base)
            if first is None or last is None:
                raise _undecodable(path, "it holds no video")
            return _measured(stream, first, last, count)
    except (av.FFmpegError, OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise _undecodable(path, f"after {count} frames, at {time_s:.2f} s: {why}") from error


def _measured(stream: Any, first: Any, last: Any, count: int) -> ClipVideo:
    rate = stream.guessed_rate or stream.average_rate or Fraction(count)
    last_duration = last.duration * last.time_base if last.duration else 1 / Fraction(rate)
    sar = stream.sample_aspect_ratio or 1
    width, height = round(last.width * sar), last.height
    if orientation_of(last).is_transposed:
        width, height = height, width
    return ClipVideo(
        n_frames=count,
        duration_s=float(last.pts * last.time_base + last_duration - first.pts * first.time_base),
        fps_num=rate.numerator,
        fps_den=rate.denominator,
        width=width,
        height=height,
    )


def measure_audio(path: Path) -> ClipAudio:
    """Read and measure every sample of a mono or stereo audio file (WAV, FLAC).

    Raises:
        OsslError: `audio_unreadable`.
    """
    import numpy as np
    import soundfile

    try:
        with soundfile.SoundFile(str(path)) as audio:
            if audio.channels > 2:
                raise _unreadable(path, f"it has {audio.channels} channels, not one or two")
            meter, count = Meter(audio.samplerate), 0
            while len(block := audio.read(BLOCK, dtype="float32", always_2d=True)):
                if not np.isfinite(block).all():
                    raise _unreadable(path, "it holds samples that are no numbers")
                meter.add(block.T)
                count += len(block)
            if not count:
                raise _unreadable(path, "it holds no samples")
            return ClipAudio(audio.samplerate, count, integrated(meter.power()))
    except (soundfile.LibsndfileError, OSError) as error:
        raise _unreadable(path, " ".join(str(error).split())) from error


def _undecodable(path: Path, why: str) -> OsslError:
    return OsslError(
        "video_undecodable", f"{path.name} cannot be decoded: {why}.", "Fetch it again."
    )


def _unreadable(path: Path, why: str) -> OsslError:
    return OsslError("audio_unreadable", f"{path.name} cannot be read: {why}.", "Fetch it again.")
