"""A film's audio on the film's time line, as a stream of blocks.

A block is a float32 array [channels, samples], full scale being 1. Film time 0 is the time of the
film's first frame. What libav knows of priming (edit lists, Opus pre-skip, LAME headers) its
decoders remove, and the time stamps of the remaining frames say so; here only those are believed.
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

# Frames that begin this near to where the last one ended follow it without a seam: containers
# round times (Matroska and FLV to 1 ms), and no codec's usual frame is as short as this.
SEAM_S = 0.015
# Joined parts have clocks of their own that tick finely: a shift at a joint is real.
JOINED_SEAM_S = 0.002
# A longer gap is damage; a shorter one corrects a clock that drifts against its time stamps.
DAMAGE_S = 0.018
# Full scale is 1. Floating-point audio may exceed it a little; beyond this (36 dB) it is damage.
LOUDEST = 64.0
# Audio is passed on in blocks of at least this length, silences in blocks of exactly this one.
BLOCK_S = 1.0

# ITU-R BS.775-3, annex 4: the share of each channel in left and right; LFE is left out.
_HALF = sqrt(0.5)
DOWNMIX = {
    "FL": (1.0, 0.0), "FR": (0.0, 1.0), "FC": (_HALF, _HALF), "LFE": (0.0, 0.0),
    "SL": (_HALF, 0.0), "SR": (0.0, _HALF), "BL": (_HALF, 0.0), "BR": (0.0, _HALF),
    "BC": (0.5, 0.5), "FLC": (1.0, 0.0), "FRC": (0.0, 1.0), "LFE2": (0.0, 0.0),
    "DL": (1.0, 0.0), "DR": (0.0, 1.0),
}  # fmt: skip


@dataclass(frozen=True)
class _Frame:
    """Decoded audio; `start_s` is film time, None where the container does not tell."""

    start_s: float | None
    rate: int
    samples: Block


@dataclass
class FilmAudio:
    """The audio of a film, at another rate and number of channels.

    Attributes:
        film: the film's file; of a path, the streams are chosen by the rules.
        rate: sample rate of the blocks, in Hz.
        channels: channels of the blocks, 1 or 2. Mono becomes two equal channels; more than two
            become ITU-R BS.775 stereo, turned down by the constant that makes clipping
            impossible (7.7 dB for 5.1); stereo becomes mono by its mean.
        step: usual time from frame to frame, in seconds.
        damaged: spans of film time where there was no audio to decode, or samples that are no
            numbers; silence is there instead. Complete when `blocks` has ended.
    """

    film: Path | MediaFile
    rate: int
    channels: int
    step: Fraction = Fraction(1, 25)
    damaged: list[Span] = field(default_factory=list)

    def blocks(self) -> Iterator[Block]:
        """Decode the audio once, from film time 0 to its end.

        Late audio is preceded by silence, audio before the first frame is cut, gaps become
        silence, and what overlaps is cut. The number of samples is that of the decoded ones on
        the film's time line, times the ratio of the rates, rounded once.

        Raises:
            Rejected: `no_audio`.
            OsslError: `audio_undecodable` if nothing of it can be decoded, and those of
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
        placed = _on_time_line(first, frames, seam_s, self.damaged)
        yield from resampled(_regrouped(placed, first.rate), first.rate, self.rate)
        self.damaged.sort(key=lambda span: span.start_s)


def first_frame_s(media: MediaFile, step: Fraction) -> float:
    """Time of the first frame on the file's clock; 0 where none can be decoded."""
    if media.video is None:
        return 0.0
    for timed in timed_frames(media, step):
        if timed.frame is not None:
            return float(timed.pts * timed.frame.time_base)
    return 0.0


def _decoded(media: MediaFile, zero_s: float, channels: int) -> Iterator[_Frame]:
    """Frames in film time, and, if the last packets could not be decoded, an empty one there."""
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
                # Of a stream that changes its rate, or of a frame marked as damaged, a gap remains.
                if frame.is_corrupt or frame.sample_rate != rate:
                    continue
                time = frame.pts if frame.pts is not None else frame.dts
                start_s = None if time is None else float(time * frame.time_base) - zero_s
                yield _Frame(start_s, rate, _downmixed(frame, channels))
    if rate and lost_until_s:
        yield _Frame(lost_until_s, rate, np.zeros((channels, 0), np.float32))


def _downmixed(frame: Any, channels: int) -> Block:
    """A decoded frame as a block."""
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
    """Replace samples that cannot be audio (NaN, infinite) by silence, in all channels at once.

    A single NaN would spoil whatever is computed from it, seconds of a stem for instance.

    Returns:
        The samples, and the runs (from, to) that were replaced.
    """
    import numpy as np

    # The comparison is false for NaN too.
    is_bad = ~(np.abs(samples) <= LOUDEST).all(axis=0)
    if not is_bad.any():
        return samples, []
    edges = np.flatnonzero(np.diff(np.concatenate(([0], is_bad.astype(np.int8), [0]))))
    repaired = np.where(is_bad, np.float32(0), samples)
    return repaired, [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _on_time_line(
    first: _Frame, rest: Iterator[_Frame], seam_s: float, damaged: list[Span]
) -> Iterator[Block]:
    """Put frames where their times say, from film time 0 on, without seams where there are none."""
    import numpy as np

    rate, channels = first.rate, len(first.samples)
    position = round((first.start_s or 0.0) * rate)  # of the next sample; film time 0 is sample 0
    yield from _silence(channels, position, rate)
    for frame in chain((first,), rest):
        samples, bad = _repaired(frame.samples)
        ahead = 0 if frame.start_s is None else round(frame.start_s * rate) - position
        if ahead > seam_s * rate:
            seen, position = max(position, 0), position + ahead
            yield from _silence(channels, position - seen, rate)
            if ahead > DAMAGE_S * rate and position > seen:
                damaged.append(Span(seen / rate, position / rate))
        elif ahead < -seam_s * rate:
            samples = samples[:, -ahead:]
            bad = [(begin + ahead, end + ahead) for begin, end in bad]
        for begin, end in bad:
            if (seen := max(position + begin, 0)) < position + end:
                _add_span(damaged, seen / rate, (position + end) / rate)
        too_early = max(-position, 0)
        position += samples.shape[1]
        if too_early < samples.shape[1]:
            yield np.ascontiguousarray(samples[:, too_early:])


def _add_span(spans: list[Span], start_s: float, end_s: float) -> None:
    """Add a span; one that follows the last one without a gap lengthens it."""
    if spans and abs(spans[-1].end_s - start_s) < 1e-9:
        start_s = spans.pop().start_s
    spans.append(Span(start_s, end_s))


def _silence(channels: int, length: int, rate: int) -> Iterator[Block]:
    import numpy as np

    most = int(BLOCK_S * rate)
    for start in range(0, length, most):
        yield np.zeros((channels, min(most, length - start)), np.float32)


def _regrouped(pieces: Iterator[Block], length: int) -> Iterator[Block]:
    """Join pieces until they have at least `length` samples: fewer and larger blocks."""
    import numpy as np

    held: list[Block] = []
    for piece in pieces:
        held.append(piece)
        if sum(block.shape[1] for block in held) >= length:
            yield np.concatenate(held, axis=1)
            held = []
    if held:
        yield np.concatenate(held, axis=1)


def resampled(blocks: Iterator[Block], rate: int, to_rate: int) -> Iterator[Block]:
    """The same audio at another rate (libswresample), n samples becoming n * to_rate / rate."""
    import av
    import numpy as np

    if rate == to_rate:
        yield from blocks
        return
    resampler: Any = None
    channels, taken, given = 1, 0, 0

    def pull(block: Block | None) -> Iterator[Block]:
        """Push a block (None: the end); what comes out, but never more than is due."""
        nonlocal given
        frame = None
        if block is not None:
            frame = av.AudioFrame.from_ndarray(
                block, format="fltp", layout="mono" if channels == 1 else "stereo"
            )
            frame.sample_rate = rate
        for out in resampler.resample(frame):
            due = _due(taken, rate, to_rate) - given
            samples: Block = out.to_ndarray()[:, : max(due, 0)]
            given += samples.shape[1]
            yield samples

    for block in blocks:
        channels = len(block)
        resampler = resampler or av.AudioResampler("fltp", rate=to_rate)
        taken += block.shape[1]
        yield from pull(block)
    if resampler is not None:
        yield from pull(None)
        yield np.zeros((channels, _due(taken, rate, to_rate) - given), np.float32)


def _due(samples: int, rate: int, to_rate: int) -> int:
    return (2 * samples * to_rate + rate) // (2 * rate)  # rounded, in whole numbers
