"""Music by an AudioSet tagger on the music stem: the rule of OSSL v2.

In each window the probabilities of the musical classes are added up, and those of all others.
Music is where the first sum is larger; a stretch in which the others are heard is none.
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

    from ossl_builder.models.audioset_tagger import Tagger
    from ossl_builder.stages.cues.settings import CuesSettings

    Block = NDArray[np.float32]
    Curve = NDArray[np.float64]

REASON = "other_sound"


@dataclass(frozen=True)
class Tags:
    """What a tagger says of an audio track, in hops.

    Attributes:
        music: sum of the probabilities of the musical classes, [hops]; may be above 1.
        other: sum of the others, [hops].
        hop_s: length of a hop; the last one may reach beyond the audio.
        duration_s: length of the audio.
    """

    music: Curve
    other: Curve
    hop_s: float
    duration_s: float

    def stretches(self) -> list[tuple[float, float, float]]:
        """Where music is above the rest: start and end in seconds, and the mean of the rest."""
        found = []
        for start, end in runs(self.music > self.other):
            end_s = round(min(end * self.hop_s, self.duration_s), 3)
            found.append((round(start * self.hop_s, 3), end_s, float(self.other[start:end].mean())))
        return found


def tag(
    blocks: Iterable[Block], rate: int, settings: CuesSettings, heard: Callable[[float], None]
) -> Tags:
    """Tag an audio that comes in blocks [channels, samples].

    Args:
        blocks: the audio; a few windows of it are in memory at a time.
        rate: its sample rate, in Hz.
        settings: model, windows, device.
        heard: called with the seconds tagged so far.

    Raises:
        OsslError: `tagger_window`, and those of `tagger.load`.
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
    while some := list(islice(windows, settings.tagger_batch_size)):
        parts.append(_sums(model, np.stack(some)))
        heard(sum(map(len, parts)) * settings.tagger_hop_s)
    sums = np.concatenate(parts) if parts else np.zeros((0, 2))
    return Tags(sums[:, 0], sums[:, 1], settings.tagger_hop_s, cut.samples / model.rate)


def _sums(model: Tagger, windows: Block) -> Curve:
    """Sums of the probabilities of musical and of other classes, [windows, 2]."""
    import numpy as np

    probabilities = model.probabilities(windows)
    is_music = np.array(audioset_tagger.is_music())
    return np.stack(
        (probabilities[:, is_music].sum(axis=1), probabilities[:, ~is_music].sum(axis=1)), axis=1
    )


class _Windows:
    """Cuts windows around the middle of each hop; beyond the audio's ends is silence."""

    def __init__(self, rate: int, window_s: float, hop_s: float) -> None:
        self.rate, self.hop_s = rate, hop_s
        self.length = round(window_s * rate)
        self.samples = 0
        """Samples of the audio so far."""

    def of(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """Windows [samples] of mono blocks [1, samples], one per hop that has begun."""
        import numpy as np

        held: Block = np.zeros(self.length, np.float32)
        begins, hop = -self.length, 0
        for block in blocks:
            self.samples += block.shape[1]
            held = np.concatenate((held, block[0]))
            while self._start(hop) + self.length <= self.samples:
                yield held[self._start(hop) - begins :][: self.length]
                hop += 1
            drop = min(max(0, self._start(hop) - begins), len(held))
            held, begins = held[drop:], begins + drop
        rest = np.zeros(self.length + round(self.hop_s * self.rate), np.float32)
        held = np.concatenate((held, rest))
        while hop * self.hop_s * self.rate < self.samples:
            yield held[self._start(hop) - begins :][: self.length]
            hop += 1

    def _start(self, hop: int) -> int:
        """First sample of a hop's window."""
        return round((hop + 0.5) * self.hop_s * self.rate - self.length / 2)


def refused(start_s: float, end_s: float, other: float, settings: CuesSettings) -> Reject | None:
    """The stretch as a reject, if too much else is heard in it."""
    if other <= settings.tagger_max_other:
        return None
    message = (
        f"Classes other than music have {other:.3f} together, more than "
        f"{settings.tagger_max_other}."
    )
    return Reject(REASON, message, start_s, end_s)
