"""A film's video and another audio track in one MP4 that browsers play."""

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

# Codecs whose packets an MP4 can hold as they are.
MP4_CODECS = frozenset({"h264", "hevc", "av1", "vp9", "mpeg4", "mpeg2video"})
BIT_RATE = 192_000
BLOCK = 1024
AHEAD_S = 0.5
# Of video that has to be encoded anew: visually lossless.
ENCODING = Encoding(crf=18, preset="medium", audio_bitrate=BIT_RATE)


def mux(video: Path, audio: Path, target: Path) -> None:
    """Write the video of one file with the audio of another, both from time 0 on.

    The video's packets are copied where an MP4 can hold them, else it is encoded anew.

    Args:
        video: its first frame becomes time 0; its own audio is left out.
        audio: mono or stereo WAV or FLAC; becomes AAC.
        target: an MP4; replaced whole or not at all.

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
            if not (_is_copied(media, stream) and _copy(media, audio, temporary)):
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


def _is_copied(media: MediaFile, stream: VideoStream) -> bool:
    """Whether the packets can stay as they are: known to MP4, and with times that hold."""
    return stream.codec in MP4_CODECS and not media.has_time_jumps


def _copy(media: MediaFile, audio: Path, target: Path) -> bool:
    """Copy the video's packets; False if some of them lack a time, or MP4 refuses them."""
    import av

    first = _first_time(media)
    if first is None:
        return False
    # Lengths of tracks are counted in the movie's unit: finer than the usual millisecond.
    options = {"fflags": "+bitexact", "movflags": "+faststart", "movie_timescale": "96000"}
    try:
        with (
            open_media(media.path) as source,
            av.open(str(target), "w", format="mp4", options=options) as out,
        ):
            stream = stream_at(source, media.video, media.path.name)
            frame = out.add_stream_from_template(stream, opaque=True)
            encoded = _Audio(audio, out)
            for packet in packets(source, stream):
                if not packet.size:
                    continue
                if packet.dts is None or packet.pts is None:
                    return False
                time_s = float((packet.pts - first) * packet.time_base)
                packet.pts, packet.dts = packet.pts - first, packet.dts - first
                packet.stream = frame
                encoded.until(time_s + AHEAD_S)
                out.mux(packet)
            encoded.end()
    except (av.error.ArgumentError, av.error.InvalidDataError):
        return False
    return True


def _encode(media: MediaFile, stream: VideoStream, audio: Path, target: Path) -> None:
    """Decode the video and encode it anew."""
    step = 1 / stream.rate if stream.rate else USUAL_STEP
    writer: ClipWriter | None = None
    first = 0
    held = None
    try:
        for timed in timed_frames(media, step, has_frame_threads=True):
            if timed.frame is None:
                continue
            if writer is None:
                first = timed.pts
                form = OutputFormat(rate=1 / step, sar=stream.sar)
                base = Fraction(timed.frame.time_base)
                writer = ClipWriter(target, form, ENCODING, audio, 0.0, base)
            if held is not None:
                writer.add(held.frame, held.pts - first, timed.pts - held.pts)
            held = timed
        if writer is None or held is None:
            raise no_video(media.path.name)
        writer.add(held.frame, held.pts - first, held.duration)
        writer.close()
    except BaseException:
        if writer is not None:
            writer.abandon()
        raise


class _Audio:
    """An audio file encoded as the video goes on."""

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
        self._given = 0
        self._blocks = self._read(path)

    def until(self, time_s: float) -> None:
        """Encode what is heard before that."""
        while self._given < time_s * self._rate:
            block = next(self._blocks, None)
            if block is None:
                return
            self._out.mux(self._stream.encode(block))

    def end(self) -> None:
        """Encode the rest."""
        self.until(float("inf"))
        self._out.mux(self._stream.encode(None))

    def _read(self, path: Path) -> Iterator[Any]:
        import av
        import numpy as np
        import soundfile

        for block in soundfile.blocks(str(path), BLOCK, dtype="float32", always_2d=True):
            planes = np.ascontiguousarray(block.T)
            frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=self._layout)
            frame.sample_rate, frame.pts = self._rate, self._given
            frame.time_base = Fraction(1, self._rate)
            self._given += len(block)
            yield frame


def _first_time(media: MediaFile) -> int | None:
    """Presentation time of the first frame, in ticks: not always that of the first packet.

    None where a packet has no presentation time.
    """
    times: list[int] = []
    with open_media(media.path) as container:
        for packet in packets(container, stream_at(container, media.video, media.path.name)):
            if packet.size and not packet.is_discard:
                if packet.pts is None:
                    return None
                times.append(packet.pts)
            if len(times) == 64:  # more than any decoder reorders
                break
    return min(times, default=None)
