"""Write a film's video with another audio track to an MP4 for browsers."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from ossl_builder.errors import OsslError
from ossl_builder.files import disk_full, replacing
from ossl_builder.media.clip_writer import ClipWriter, Encoding
from ossl_builder.media.demux import MediaFile, open_media, packets, stream_at
from ossl_builder.media.stream_choice import VideoStream, choose, inspect
from ossl_builder.media.video_frames import USUAL_STEP, no_video, timed_frames
from ossl_builder.media.video_transforms import OutputFormat

# Codecs whose packets an MP4 can store unchanged.
MP4_CODECS = frozenset({"h264", "hevc", "av1", "vp9", "mpeg4", "mpeg2video"})
BIT_RATE = 192_000
BLOCK = 1024
AHEAD_S = 0.5
# Settings for video that must be re-encoded: visually lossless.
ENCODING = Encoding(crf=18, preset="medium", audio_bitrate=BIT_RATE)


def mux(video: Path, audio: Path, target: Path) -> None:
    """Write the video of one file with the audio of another to an MP4; both start at time 0.

    Copy the video's packets if an MP4 can store them; otherwise re-encode the video.

    Args:
        video: file with the video; its first frame becomes time 0, its own audio is dropped.
        audio: mono or stereo WAV or FLAC; encoded as AAC.
        target: the MP4; it is replaced atomically.

    Raises:
        OsslError: `no_video`, `not_media`, `mux_failed`, `disk_full`.
    """
    import av

    media = inspect(video)
    if media.video is None:
        raise no_video(video.name)
    with open_media(video) as container:
        stream = choose(container, None, wanted_video=media.video).video
    assert stream is not None  # its index comes from the same file
    try:
        with replacing(target) as temporary:
            if not (_can_copy(media, stream) and _copy(media, audio, temporary)):
                _encode(media, stream, audio, temporary)
    except (av.FFmpegError, OSError, ValueError) as error:
        full = disk_full(OSError(getattr(error, "errno", 0), "full"), target.parent)
        if full is not None:
            raise full from error
        raise OsslError(
            "mux_failed",
            f"The video of {video.name} could not be written to {target.name}: {error}.",
            "The WAV file is complete. Use --no-mux to write no video.",
        ) from error


def _can_copy(media: MediaFile, stream: VideoStream) -> bool:
    """Whether the packets can be copied: a codec of MP4, and timestamps without jumps."""
    return stream.codec in MP4_CODECS and not media.has_time_jumps


def _copy(media: MediaFile, audio: Path, target: Path) -> bool:
    """Copy the video's packets; return False if one has no timestamp, or MP4 rejects them."""
    import av

    first = _first_time(media)
    if first is None:
        return False
    # MP4 stores track durations in the movie time scale; the default is 1 ms, which is too coarse.
    options = {"fflags": "+bitexact", "movflags": "+faststart", "movie_timescale": "96000"}
    try:
        with (
            open_media(media.path) as source,
            av.open(str(target), "w", format="mp4", options=options) as out,
        ):
            stream = stream_at(source, media.video, media.path.name)
            copied = out.add_stream_from_template(stream, opaque=True)
            track = _Audio(audio, out)
            for packet in packets(source, stream):
                if not packet.size:
                    continue
                if packet.dts is None or packet.pts is None:
                    return False
                time_s = float((packet.pts - first) * packet.time_base)
                packet.pts, packet.dts = packet.pts - first, packet.dts - first
                packet.stream = copied
                track.until(time_s + AHEAD_S)
                out.mux(packet)
            track.end()
    except (av.error.ArgumentError, av.error.InvalidDataError):
        return False
    return True


def _encode(media: MediaFile, stream: VideoStream, audio: Path, target: Path) -> None:
    """Decode the video and re-encode it."""
    step = 1 / stream.rate if stream.rate else USUAL_STEP
    writer: ClipWriter | None = None
    first = 0
    previous = None
    try:
        for timed in timed_frames(media, step, has_frame_threads=True):
            if timed.frame is None:
                continue
            if writer is None:
                first = timed.pts
                form = OutputFormat(rate=1 / step, sar=stream.sar)
                base = Fraction(timed.frame.time_base)
                writer = ClipWriter(target, form, ENCODING, audio, 0.0, base)
            if previous is not None:
                writer.add(previous.frame, previous.pts - first, timed.pts - previous.pts)
            previous = timed
        if writer is None or previous is None:
            raise no_video(media.path.name)
        writer.add(previous.frame, previous.pts - first, previous.duration)
        writer.close()
    except BaseException:
        if writer is not None:
            writer.abandon()
        raise


class _Audio:
    """Encode an audio file in steps, interleaved with the video."""

    def __init__(self, path: Path, out: Any) -> None:
        import av
        import soundfile

        with soundfile.SoundFile(str(path)) as file:
            self._rate, channels = file.samplerate, file.channels
        self._layout = "mono" if channels == 1 else "stereo"
        self._stream = out.add_stream("aac", rate=self._rate)
        self._stream.codec_context.layout = self._layout
        self._stream.codec_context.bit_rate = BIT_RATE
        self._stream.codec_context.flags |= av.codec.context.Flags.bitexact
        self._out = out
        self._n_read = 0
        self._blocks = self._read(path)

    def until(self, time_s: float) -> None:
        """Encode the audio before the time `time_s`."""
        while self._n_read < time_s * self._rate:
            block = next(self._blocks, None)
            if block is None:
                return
            self._out.mux(self._stream.encode(block))

    def end(self) -> None:
        """Encode the remaining audio and flush the encoder."""
        self.until(float("inf"))
        self._out.mux(self._stream.encode(None))

    def _read(self, path: Path) -> Iterator[Any]:
        import av
        import numpy as np
        import soundfile

        for block in soundfile.blocks(str(path), BLOCK, dtype="float32", always_2d=True):
            planes = np.ascontiguousarray(block.T)
            frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=self._layout)
            frame.sample_rate, frame.pts = self._rate, self._n_read
            frame.time_base = Fraction(1, self._rate)
            self._n_read += len(block)
            yield frame


def _first_time(media: MediaFile) -> int | None:
    """Return the presentation time of the first frame, in ticks; None: a packet has no time.

    The first packet is not always the first frame.
    """
    times: list[int] = []
    with open_media(media.path) as container:
        for packet in packets(container, stream_at(container, media.video, media.path.name)):
            if packet.size and not packet.is_discard:
                if packet.pts is None:
                    return None
                times.append(packet.pts)
            if len(times) == 64:  # no decoder reorders more
                break
    return min(times, default=None)
