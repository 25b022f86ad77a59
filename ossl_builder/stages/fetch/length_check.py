"""Compare the lengths of a film's video, audio and packets: what should be equal, and is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ossl_builder.media.probe import Probed

# Lengths that differ by more than this are a warning; what codecs add at the ends is none.
WARN_S = 2.0
WARN_PART = 0.01
CODEC_DELAY_S = 0.1


@dataclass(frozen=True)
class Difference:
    """Two lengths of one film that should be about equal.

    Attributes:
        what: which length, in words.
        length_s: it, in seconds.
        other: which one it is compared with.
        other_s: that one, in seconds.
    """

    what: str
    length_s: float
    other: str
    other_s: float

    @property
    def part(self) -> float:
        """By how much they differ, as part of the longer one."""
        longest = max(self.length_s, self.other_s)
        return abs(self.length_s - self.other_s) / longest if longest > 0 else 0.0

    @property
    def is_doubtful(self) -> bool:
        """Whether they differ by more than what codecs add at the ends."""
        off_s = abs(self.length_s - self.other_s)
        return off_s > WARN_S or (self.part > WARN_PART and off_s > CODEC_DELAY_S)

    @property
    def sentence(self) -> str:
        """Both, in words."""
        return f"{self.what} is {self.length_s:.2f} s long, {self.other} {self.other_s:.2f} s."


def length_differences(probed: Probed) -> list[Difference]:
    """Lengths of the video and the audio, by decoding and by packets, where they differ."""
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
                # As long as the video, the audio may still lie beside it.
                Difference(
                    "the film up to the end of its audio",
                    max(0.0, audio.start_s - video.start_s + audio.decoded_s),
                    "the decoded video",
                    decoded_s,
                ),
                key=lambda each: each.part,
            ),
        ]
    return [pair for pair in pairs if pair.is_doubtful]
