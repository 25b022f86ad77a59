"""Write a clip's files: an H.264/AAC MP4 for any browser, and excerpts of the stems as FLAC.

The bytes depend only on the frames, the audio and the settings. The number of encoder threads is
fixed, because x264's decisions depend on it; no dates or versions are written.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder.errors import OsslError
from ossl_builder.media.clip_verify import Checked, check, sketch
from ossl_builder.media.flac import FlacWriter
from ossl_builder.media.video_transforms import OutputFormat, VideoTransformer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ENCODER_THREADS = 4
# Minimum ticks per second of the MP4; a coarser time base is multiplied.
MP4_LEAST_UNITS = 10_000
# Audio is encoded in steps of this length, interleaved with the frames.
AUDIO_STEP_S = 0.25


@dataclass(frozen=True)
class Encoding:
    """Encoder settings of clips.

    Attributes:
        crf: x264's constant rate factor: 0 is lossless, 23 its default, lower is better.
        preset: x264's preset.
        audio_bitrate: bits per second of the AAC.
    """

    crf: int
    preset: str
    audio_bitrate: int


class ClipWriter:
    """Encode one clip: its frames one by one, and the audio of the same time span.

    Args:
        path: the MP4 file to write.
        form: format of the output frames.
        encoding: encoder settings.
        mix: FLAC of the film's audio, whose sample 0 is film time 0.
        start_s: film time of the clip's first frame.
        time_base: unit of `pts`, in seconds.
    """

    def __init__(
        self,
        path: Path,
        form: OutputFormat,
        encoding: Encoding,
        mix: Path,
        start_s: float,
        time_base: Fraction,
    ) -> None:
        self.path = path
        self._form = form
        self._encoding = encoding
        self._mix = AudioSlice(mix, start_s)
        self._time_base = time_base
        self._transformer = VideoTransformer(form)
        self._file = _mp4(path, time_base)
        self._video: Any = None
        self._audio: Any = None
        self._durations: dict[int, int] = {}
        self._end = 0  # end of the last added frame, in audio samples
        self._first: list[Any] = []
        self._last: deque[Any] = deque(maxlen=2)

    def add(self, frame: Any, pts: int, duration: int) -> None:
        """Add a frame, shown from `pts` for `duration`, in ticks; the first frame is at 0."""
        self._durations[pts] = duration
        for transformed in self._transformer.push(frame, pts):
            self._encode(transformed)
        self._end = round((pts + duration) * self._time_base * self._mix.rate)
        if self._video and self._end - self._mix.n_read > AUDIO_STEP_S * self._mix.rate:
            self._add_mix()

    def close(self) -> Checked:
        """Write the remaining frames and audio, close the file, and verify it by decoding.

        Raises:
            OsslError: `clip_unverified`: the file does not hold exactly the added frames.
        """
        for transformed in self._transformer.flush():
            self._encode(transformed)
        self._mux(self._video.encode(None))
        self._add_mix()
        self._file.mux(self._audio.encode(None))
        self.abandon()
        first, last = map(sketch, self._first), map(sketch, self._last)
        return check(self.path, len(self._durations), list(first), list(last))

    def abandon(self) -> None:
        """Close the files; the MP4 may be incomplete."""
        self._file.close()
        self._mix.close()

    def _encode(self, frame: Any) -> None:
        if len(self._first) < 2:
            self._first.append(frame)
        self._last.append(frame)
        if self._video is None:
            self._video, self._audio = self._video_stream(frame), self._audio_stream()
        frame.time_base = self._time_base
        self._mux(self._video.encode(frame))

    def _video_stream(self, frame: Any) -> Any:
        import av

        stream = self._file.add_stream("libx264", rate=self._form.rate)
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = frame.width, frame.height, "yuv420p"
        context.time_base = self._time_base
        context.colorspace, context.color_range = frame.colorspace, frame.color_range
        context.color_primaries, context.color_trc = frame.color_primaries, frame.color_trc
        context.thread_count, context.thread_type = ENCODER_THREADS, "FRAME"
        context.flags |= av.codec.context.Flags.bitexact
        context.options = {
            "crf": str(self._encoding.crf),
            "preset": self._encoding.preset,
            "profile": "high",
            "a53cc": "0",
        }
        return stream

    def _audio_stream(self) -> Any:
        import av

        stream = self._file.add_stream("aac", rate=self._mix.rate)
        stream.codec_context.layout = self._layout
        stream.codec_context.bit_rate = self._encoding.audio_bitrate
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        return stream

    @property
    def _layout(self) -> str:
        return "mono" if self._mix.channels == 1 else "stereo"

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            # Set the film's frame duration; the encoder sets a mean duration.
            packet.duration = self._durations[packet.pts]
        self._file.mux(packets)

    def _add_mix(self) -> None:
        """Encode the audio up to the end of the last added frame."""
        import av

        if self._end == self._mix.n_read:
            return
        frame = av.AudioFrame.from_ndarray(
            self._mix.read(self._end - self._mix.n_read), format="fltp", layout=self._layout
        )
        frame.sample_rate = self._mix.rate
        frame.time_base = Fraction(1, self._mix.rate)
        frame.pts = self._end - frame.samples
        self._file.mux(self._audio.encode(frame))


def _mp4(path: Path, time_base: Fraction) -> Any:
    import av

    # MP4 stores track durations in the movie time scale: use the film's, not the default 1 ms.
    unit = time_base.denominator * -(-MP4_LEAST_UNITS // time_base.denominator)
    options = {"movflags": "+faststart", "fflags": "+bitexact", "movie_timescale": str(unit)}
    return av.open(str(path), "w", format="mp4", options=options)


class AudioSlice:
    """Samples of a FLAC file from `start_s` on, followed by endless silence.

    The first sample is `round(start_s * rate)`.

    Raises:
        OsslError: `audio_unreadable`.
    """

    def __init__(self, path: Path, start_s: float) -> None:
        import soundfile

        try:
            self._file = soundfile.SoundFile(str(path))
            self._file.seek(min(round(start_s * self._file.samplerate), self._file.frames))
        except soundfile.LibsndfileError as error:
            raise OsslError(
                "audio_unreadable",
                f"{path.name} cannot be read as FLAC.",
                "It was changed or damaged. Delete it and run `ossl build`.",
            ) from error
        self.rate: int = self._file.samplerate
        self.channels: int = self._file.channels
        self.n_read = 0

    def read(self, length: int) -> NDArray[np.float32]:
        """Return the next samples, [channels, length]; full scale is 1."""
        import numpy as np

        self.n_read += length
        samples = self._file.read(length, dtype="float32", always_2d=True, fill_value=0.0)
        return np.ascontiguousarray(samples.T)

    def blocks(self, n_samples: int) -> Iterator[NDArray[np.float32]]:
        """Yield the next `n_samples` samples in blocks of at most one second."""
        for start in range(0, n_samples, self.rate):
            yield self.read(min(self.rate, n_samples - start))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def cut_audio(stem: Path, start_s: float, n_samples: int, target: Path) -> None:
    """Copy `n_samples` samples of a 16-bit FLAC file, from `start_s` on, into another, lossless.

    After the end of the stem, write silence.

    Raises:
        OsslError: `audio_unreadable`, `disk_full`, `write_failed`.
    """
    with (
        closing(AudioSlice(stem, start_s)) as audio,
        FlacWriter(target, audio.rate, audio.channels) as out,
    ):
        for block in audio.blocks(n_samples):
            out.write(block)
