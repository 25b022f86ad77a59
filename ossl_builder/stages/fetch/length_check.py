"""Compare the durations of a film's video, audio and packets, which should be equal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ossl_builder.media.probe import Probed

# Durations that differ by more than this cause a warning; padding by codecs does not.
WARN_S = 2.0
WARN_PART = 0.01
CODEC_DELAY_S = 0.1


@dataclass(frozen=True)
class Difference:
    """Two durations of one film that should be about equal.

    Attributes:
        what: name of the first duration.
        length_s: the first duration, in seconds.
        other: name of the second duration.
        other_s: the second duration, in seconds.
    """

    what: str
    length_s: float
    other: str
    other_s: float

    @property
    def part(self) -> float:
        """The difference, as a fraction of the longer duration."""
        longest = max(self.length_s, self.other_s)
        return abs(self.length_s - self.other_s) / longest if longest > 0 else 0.0

    @property
    def is_doubtful(self) -> bool:
        """Whether the difference is larger than the padding that codecs add at the ends."""
        off_s = abs(self.length_s - self.other_s)
        return off_s > WARN_S or (self.part > WARN_PART and off_s > CODEC_DELAY_S)

    @property
    def sentence(self) -> str:
        """Both durations as a sentence."""
        return f"{self.what} is {self.length_s:.2f} s long, {self.other} {self.other_s:.2f} s."


def length_differences(probed: Probed) -> list[Difference]:
    """Return the durations of video, audio and packets that differ, as pairs."""
    video, audio = probed.video, probed.audio
    decoded_s = max(0.0, video.decoded_end_s - video.start_s)
    pairs = [Difference("the decoded video", decoded_s, "its packets", video.end_s - video.start_s)]
    if audio is not None:
        pairs += [
            Difference(
                "the decoded audio", audio.decoded_s, "its packets", audio.end_s - audio.start_s
            ),
            max(
                Difference("the decoded audio", audio.decoded_s, "the decoded video", decoded_s),
                # Audio as long as the video may still start or end at another time.
                Difference(
                    "the film up to the end of its audio",
                    max(0.0, audio.start_s - video.start_s + audio.decoded_s),
                    "the decoded video",
                    decoded_s,
                ),
                key=lambda difference: difference.part,
            ),
        ]
    return [pair for pair in pairs if pair.is_doubtful]
