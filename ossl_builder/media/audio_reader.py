"""Read a film's audio, aligned to film time, as a stream of blocks.

A block is a float32 array [channels, samples]; full scale is 1. Film time 0 is the time of the
film's first frame. libav's decoders remove encoder delay (edit lists, Opus pre-skip, LAME headers)
and adjust the timestamps of the remaining frames. This module relies on these timestamps only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder.errors import OsslError, Rejected
from ossl_builder.media.demux import MediaFile, open_media, stream_at
from ossl_builder.media.stream_choice import as_media
from ossl_builder.media.timeline import corrected_packets, timeline_of
from ossl_builder.media.video_frames import timed_frames
from ossl_builder.tables.schema import Span

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Block = NDArray[np.float32]

# A frame that begins within this time of the previous frame's end follows it without a gap.
# Containers round times (Matroska and FLV to 1 ms), and no common codec has frames this short.
SEAM_S = 0.015
# Joined files have precise clocks of their own: a shift at a joint is real.
JOINED_SEAM_S = 0.002
# A longer gap is damage; a shorter one compensates clock drift against the timestamps.
DAMAGE_S = 0.018
# Full scale is 1. Floating-point audio may exceed it a little; more than this (36 dB) is damage.
LOUDEST = 64.0
# Minimum length of a block of audio; maximum length of a block of silence.
BLOCK_S = 1.0

# ITU-R BS.775-3, annex 4: gain of each channel in left and right; LFE is omitted.
_HALF = sqrt(0.5)
DOWNMIX = {
    "FL": (1.0, 0.0), "FR": (0.0, 1.0), "FC": (_HALF, _HALF), "LFE": (0.0, 0.0),
    "SL": (_HALF, 0.0), "SR": (0.0, _HALF), "BL": (_HALF, 0.0), "BR": (0.0, _HALF),
    "BC": (0.5, 0.5), "FLC": (1.0, 0.0), "FRC": (0.0, 1.0), "LFE2": (0.0, 0.0),
    "DL": (1.0, 0.0), "DR": (0.0, 1.0),
}  # fmt: skip


@dataclass(frozen=True)
class _Frame:
    """Decoded audio; `start_s` is film time; None: the container states no time."""

    start_s: float | None
    rate: int
    samples: Block


@dataclass
class FilmAudio:
    """Reader of a film's audio, resampled and downmixed.

    Attributes:
        film: the film's file; for a path, `stream_choice` chooses the streams.
        rate: sample rate of the blocks, in Hz.
        channels: channels of the blocks, 1 or 2. Mono is copied to two channels; more than two
            channels are downmixed to ITU-R BS.775 stereo, attenuated by a constant so that
            clipping is impossible (7.7 dB for 5.1); stereo is averaged to mono.
        step: usual time from frame to frame, in seconds.
        damaged: spans of film time without decodable audio or with invalid samples (NaN,
            infinite), replaced by silence. Complete when `blocks` has ended.
    """

    film: Path | MediaFile
    rate: int
    channels: int
    step: Fraction = Fraction(1, 25)
    damaged: list[Span] = field(default_factory=list)

    def blocks(self) -> Iterator[Block]:
        """Decode the audio once, from film time 0 to its end.

        Silence is inserted before late audio and into gaps; audio before the first frame and
        overlaps are removed. The number of samples is the number of decoded samples, aligned to
        film time, times the ratio of the rates, rounded once.

        Raises:
            Rejected: `no_audio`.
            OsslError: `audio_undecodable` (no audio can be decoded), and the errors of
                `demux.open_media`.
        """
        self.damaged.clear()
        media = as_media(self.film)
        if media.audio is None:
            raise Rejected("no_audio", f"{media.path.name} has no audio stream.")
        zero_s = first_frame_s(media, self.step)
        frames = _decoded(media, zero_s, self.channels)
        first = next(frames, None)
        if first is None:
            raise OsslError(
                "audio_undecodable",
                f"The audio of {media.path.name} cannot be decoded.",
                "Fetch or copy the film again.",
            )
        seam_s = JOINED_SEAM_S if media.has_time_jumps else SEAM_S
        placed = _align(first, frames, seam_s, self.damaged)
        yield from resampled(_regrouped(placed, first.rate), first.rate, self.rate)
        self.damaged.sort(key=lambda span: span.start_s)


def first_frame_s(media: MediaFile, step: Fraction) -> float:
    """Return the time of the first frame on the file's clock, in seconds; 0: no frame decodes."""
    if media.video is None:
        return 0.0
    for timed in timed_frames(media, step):
        if timed.frame is not None:
            return float(timed.pts * timed.frame.time_base)
    return 0.0


def _decoded(media: MediaFile, zero_s: float, channels: int) -> Iterator[_Frame]:
    """Yield frames in film time; if the last packets do not decode, end with an empty frame."""
    import av
    import numpy as np

    timeline = timeline_of(media)
    lost_until_s, rate = 0.0, 0
    with open_media(media.path) as container:
        audio = stream_at(container, media.audio, media.path.name)
        for packet in corrected_packets(container, timeline, audio):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                if packet.pts is not None:
                    end = packet.pts + (packet.duration or 0)
                    lost_until_s = float(end * packet.time_base) - zero_s
                continue
            for frame in frames:
                rate = rate or frame.sample_rate
                # Damaged frames, and frames of another sample rate, become gaps.
                if frame.is_corrupt or frame.sample_rate != rate:
                    continue
                time = frame.pts if frame.pts is not None else frame.dts
                start_s = None if time is None else float(time * frame.time_base) - zero_s
                yield _Frame(start_s, rate, _downmixed(frame, channels))
    if rate and lost_until_s:
        yield _Frame(lost_until_s, rate, np.zeros((channels, 0), np.float32))


def _downmixed(frame: Any, channels: int) -> Block:
    """Convert a decoded frame to a block."""
    import numpy as np

    samples: Block
    raw = frame.to_ndarray()
    if not frame.format.is_planar:
        raw = raw.reshape(-1, len(frame.layout.channels)).T
    if raw.dtype == np.uint8:
        samples = (raw.astype(np.float32) - 128) / 128
    elif raw.dtype.kind == "i":
        samples = raw.astype(np.float32) / np.float32(-float(np.iinfo(raw.dtype).min))
    else:
        samples = raw.astype(np.float32)
    if len(samples) == 1:
        samples = np.repeat(samples, channels, axis=0)
    if len(samples) > 2:
        names = [channel.name for channel in frame.layout.channels]
        shares = np.array([DOWNMIX.get(name, (_HALF, _HALF)) for name in names], np.float32).T
        samples = (shares / shares.sum(axis=1).max()) @ samples
    if len(samples) > channels:
        samples = samples.mean(axis=0, keepdims=True)
    return samples


def _repaired(samples: Block) -> tuple[Block, list[tuple[int, int]]]:
    """Replace invalid samples (NaN, infinite, far too loud) by silence, in all channels.

    A single NaN would invalidate everything computed from it, e.g. seconds of a stem.

    Returns:
        The samples, and the replaced runs (from, to), in samples.
    """
    import numpy as np

    # This comparison is also false for NaN.
    is_bad = ~(np.abs(samples) <= LOUDEST).all(axis=0)
    if not is_bad.any():
        return samples, []
    edges = np.flatnonzero(np.diff(np.concatenate(([0], is_bad.astype(np.int8), [0]))))
    repaired = np.where(is_bad, np.float32(0), samples)
    return repaired, [
        (int(begin), int(end)) for begin, end in zip(edges[::2], edges[1::2], strict=True)
    ]


def _align(
    first: _Frame, rest: Iterator[_Frame], seam_s: float, damaged: list[Span]
) -> Iterator[Block]:
    """Place frames at their times, from film time 0; adjacent frames are joined without a gap."""
    import numpy as np

    rate, channels = first.rate, len(first.samples)
    position = round((first.start_s or 0.0) * rate)  # of the next sample; film time 0 is sample 0
    yield from _silence(channels, position, rate)
    for frame in chain((first,), rest):
        samples, bad_runs = _repaired(frame.samples)
        ahead = 0 if frame.start_s is None else round(frame.start_s * rate) - position
        if ahead > seam_s * rate:
            start, position = max(position, 0), position + ahead
            yield from _silence(channels, position - start, rate)
            if ahead > DAMAGE_S * rate and position > start:
                damaged.append(Span(start / rate, position / rate))
        elif ahead < -seam_s * rate:
            samples = samples[:, -ahead:]
            bad_runs = [(begin + ahead, end + ahead) for begin, end in bad_runs]
        for begin, end in bad_runs:
            if (start := max(position + begin, 0)) < position + end:
                _add_span(damaged, start / rate, (position + end) / rate)
        too_early = max(-position, 0)
        position += samples.shape[1]
        if too_early < samples.shape[1]:
            yield np.ascontiguousarray(samples[:, too_early:])


def _add_span(spans: list[Span], start_s: float, end_s: float) -> None:
    """Append a span; merge it with the last one if they are adjacent."""
    if spans and abs(spans[-1].end_s - start_s) < 1e-9:
        start_s = spans.pop().start_s
    spans.append(Span(start_s, end_s))


def _silence(channels: int, length: int, rate: int) -> Iterator[Block]:
    import numpy as np

    most = int(BLOCK_S * rate)
    for start in range(0, length, most):
        yield np.zeros((channels, min(most, length - start)), np.float32)


def _regrouped(pieces: Iterator[Block], length: int) -> Iterator[Block]:
    """Join blocks until they have at least `length` samples."""
    import numpy as np

    pending: list[Block] = []
    for piece in pieces:
        pending.append(piece)
        if sum(block.shape[1] for block in pending) >= length:
            yield np.concatenate(pending, axis=1)
            pending = []
    if pending:
        yield np.concatenate(pending, axis=1)


def resampled(blocks: Iterator[Block], rate: int, to_rate: int) -> Iterator[Block]:
    """Resample audio with libswresample: n samples become round(n * to_rate / rate)."""
    import av
    import numpy as np

    if rate == to_rate:
        yield from blocks
        return
    resampler: Any = None
    channels, n_in, n_out = 1, 0, 0

    def pull(block: Block | None) -> Iterator[Block]:
        """Resample a block (None: flush); yield no more samples than the input so far allows."""
        nonlocal n_out
        frame = None
        if block is not None:
            frame = av.AudioFrame.from_ndarray(
                block, format="fltp", layout="mono" if channels == 1 else "stereo"
            )
            frame.sample_rate = rate
        for output in resampler.resample(frame):
            missing = _due(n_in, rate, to_rate) - n_out
            samples: Block = output.to_ndarray()[:, : max(missing, 0)]
            n_out += samples.shape[1]
            yield samples

    for block in blocks:
        channels = len(block)
        resampler = resampler or av.AudioResampler("fltp", rate=to_rate)
        n_in += block.shape[1]
        yield from pull(block)
    if resampler is not None:
        yield from pull(None)
        yield np.zeros((channels, _due(n_in, rate, to_rate) - n_out), np.float32)


def _due(samples: int, rate: int, to_rate: int) -> int:
    return (2 * samples * to_rate + rate) // (2 * rate)  # integer rounding
