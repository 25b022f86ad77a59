"""Find music with an AudioSet tagger on the music stem: the rule of OSSL v2.

For each window, the probabilities of the musical classes and those of all others are summed. A
window is music if the first sum is larger. A segment is rejected if its mean second sum is too
large.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from ossl_builder.engine.stage import Reject
from ossl_builder.errors import OsslError
from ossl_builder.models import audioset_tagger
from ossl_builder.stages.cues.music_activity import runs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ossl_builder.models.audioset_tagger import AudioTagger
    from ossl_builder.stages.cues.settings import CuesSettings

    Block = NDArray[np.float32]
    Curve = NDArray[np.float64]

REASON = "other_sound"


@dataclass(frozen=True)
class Tags:
    """The output of a tagger for an audio track, in hops.

    Attributes:
        music: sum of the probabilities of the musical classes, [hops]; may be above 1.
        other: sum of the others, [hops].
        hop_s: length of a hop in seconds; the last hop may extend beyond the audio.
        duration_s: duration of the audio in seconds.
    """

    music: Curve
    other: Curve
    hop_s: float
    duration_s: float

    def stretches(self) -> list[tuple[float, float, float]]:
        """Return segments with more music than other classes: start_s, end_s, mean of `other`."""
        segments = []
        for start, end in runs(self.music > self.other):
            end_s = round(min(end * self.hop_s, self.duration_s), 3)
            segments.append(
                (round(start * self.hop_s, 3), end_s, float(self.other[start:end].mean()))
            )
        return segments


def tag(
    blocks: Iterable[Block], rate: int, settings: CuesSettings, progress: Callable[[float], None]
) -> Tags:
    """Tag an audio track.

    Args:
        blocks: the audio, [channels, samples] each; memory holds a few windows at a time.
        rate: its sample rate, in Hz.
        settings: model, windows, device.
        progress: receives the seconds tagged so far.

    Raises:
        OsslError: `tagger_window`, and those of `audioset_tagger.load`.
    """
    import numpy as np

    from ossl_builder.media.audio_reader import resampled

    model = audioset_tagger.load(settings.tagger_model, settings.tagger_device, settings.origin)
    if settings.tagger_window_s > model.longest_s:
        raise OsslError(
            "tagger_window",
            f"The tagger reads {model.longest_s:g} s at a time, less than "
            f"cues.tagger_window_s = {settings.tagger_window_s:g}.",
            f"Use `--set cues.tagger_window_s={model.longest_s:g}` or less.",
        )
    mono = (block.mean(axis=0, keepdims=True) for block in blocks)
    cut = _Windows(model.rate, settings.tagger_window_s, settings.tagger_hop_s)
    windows = cut.of(resampled(mono, rate, model.rate))
    parts: list[Curve] = []
    while batch := list(islice(windows, settings.tagger_batch_size)):
        parts.append(_sums(model, np.stack(batch)))
        progress(sum(map(len, parts)) * settings.tagger_hop_s)
    sums = np.concatenate(parts) if parts else np.zeros((0, 2))
    return Tags(sums[:, 0], sums[:, 1], settings.tagger_hop_s, cut.samples / model.rate)


def _sums(model: AudioTagger, windows: Block) -> Curve:
    """Return the sums of the probabilities of musical and of other classes, [windows, 2]."""
    import numpy as np

    probabilities = model.probabilities(windows)
    is_music = np.array(model.is_music)
    return np.stack(
        (probabilities[:, is_music].sum(axis=1), probabilities[:, ~is_music].sum(axis=1)), axis=1
    )


class _Windows:
    """Cut one window around the middle of each hop; before and after the audio is silence."""

    def __init__(self, rate: int, window_s: float, hop_s: float) -> None:
        self.rate, self.hop_s = rate, hop_s
        self.length = round(window_s * rate)
        self.samples = 0
        """Number of audio samples so far."""

    def of(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """Yield windows [samples] from mono blocks [1, samples], one per hop that has begun."""
        import numpy as np

        buffer: Block = np.zeros(self.length, np.float32)
        begins, hop = -self.length, 0
        for block in blocks:
            self.samples += block.shape[1]
            buffer = np.concatenate((buffer, block[0]))
            while self._start(hop) + self.length <= self.samples:
                yield buffer[self._start(hop) - begins :][: self.length]
                hop += 1
            drop = min(max(0, self._start(hop) - begins), len(buffer))
            buffer, begins = buffer[drop:], begins + drop
        rest = np.zeros(self.length + round(self.hop_s * self.rate), np.float32)
        buffer = np.concatenate((buffer, rest))
        while hop * self.hop_s * self.rate < self.samples:
            yield buffer[self._start(hop) - begins :][: self.length]
            hop += 1

    def _start(self, hop: int) -> int:
        """Return the first sample of a hop's window."""
        return round((hop + 0.5) * self.hop_s * self.rate - self.length / 2)


def refused(start_s: float, end_s: float, other: float, settings: CuesSettings) -> Reject | None:
    """Return a reject if the classes other than music are too probable in a segment, else None."""
    if other <= settings.tagger_max_other:
        return None
    message = (
        f"Classes other than music have {other:.3f} together, more than "
        f"{settings.tagger_max_other}."
    )
    return Reject(REASON, message, start_s, end_s)
