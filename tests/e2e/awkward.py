"""Build a corpus of awkward films, one of each kind, and measure it: `python -m tests.e2e.awkward`.

Frame numbers are drawn into the frames, and a click sounds with each flash. So frames, their count
and the audio offset can be measured in the clips.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile

from tests import films
from tests.e2e.corpora import Ossl, add_film, rejects, rows, run_ossl
from tests.films import shapes


def shaped(make: Callable[[Path, Path], Path]) -> Callable[[Path], films.Truth]:
    """Return a function that makes a film of 25 frames a second in a variant of `films.shapes`."""

    def write(path: Path) -> films.Truth:
        plain = path.with_name(f"{path.stem}-plain.mp4")
        truth = films.make_film(plain, rate=Fraction(25))
        made = make(plain, path.with_name(f"{path.stem}-shaped"))
        made.replace(path)
        plain.unlink()
        return truth

    return write


KINDS: tuple[tuple[str, str, Callable[[Path], films.Truth]], ...] = (
    ("ntsc-rate", "mp4", films.make_ntsc_film_rate),
    ("variable-rate", "mp4", films.make_variable_rate),
    ("variable-rate-mkv", "mkv", films.make_variable_rate),
    ("wide-pixels", "mp4", films.make_wide_pixels),
    ("tall-pixels", "mkv", films.make_tall_pixels),
    ("interlaced", "mpg", films.make_interlaced),
    ("interlaced-h264", "mp4", films.make_interlaced),
    ("mono", "mp4", films.make_mono),
    ("surround", "mkv", films.make_surround),
    ("late-audio", "mp4", films.make_late_audio),
    ("no-audio", "mp4", films.make_silent),
    ("av1-opus", "webm", films.make_av1_opus),
    ("hevc", "mp4", films.make_hevc),
    ("open-groups", "mkv", films.make_open_groups),
    ("longer-audio", "mp4", films.make_longer_audio),
    ("shorter-audio", "mp4", films.make_shorter_audio),
    ("a-little-shorter", "mp4", films.make_a_little_shorter_audio),
    ("audio-first", "mkv", shaped(shapes.WHOLE["audio first, mkv"])),
    ("subtitles-first", "mp4", shaped(shapes.WHOLE["subtitles first, mp4"])),
    ("attached-font", "mkv", shaped(shapes.WHOLE["attached font"])),
    ("chapters-timecode", "mov", shaped(shapes.WHOLE["chapters and time code"])),
    ("three-cells", "vob", shaped(shapes.WHOLE["three cells"])),
    ("joined-h264", "ts", shaped(shapes.WHOLE["joined ts, H.264"])),
    ("wrapping-clock", "ts", shaped(shapes.WHOLE["wrapping clock, ts"])),
    ("windows-media", "wmv", shaped(shapes.WHOLE["wmv"])),
    ("theora", "ogv", shaped(shapes.WHOLE["theora"])),
    ("avi-b-frames", "avi", shaped(shapes.WHOLE["MPEG-4 with B-frames in avi"])),
    ("description-first", "mkv", shaped(shapes.OTHER["description first"])),
    ("infinite-samples", "mkv", shaped(shapes.OTHER["infinite samples"])),
    ("upside-down", "mp4", shaped(shapes.OTHER["upside down"])),
    ("high-dynamic-range", "mp4", shaped(shapes.OTHER["high dynamic range"])),
    ("cut-off", "flv", shaped(shapes.OTHER["cut off"])),
    ("damaged-frame", "mp4", films.make_damaged),
    ("damaged-audio", "mp4", lambda path: films.make_damaged(path, "audio")),
)


@dataclass(frozen=True)
class FilmResult:
    """Measurements of one film.

    Attributes:
        outcome: final state, or the reasons why there is no clip.
        cuts: number of true cuts in the scenes, exact to the frame, and number of true cuts.
        size: of the clip, as shown.
        n_frames: of the clip: according to its row, and according to the ground truth.
        ends_right: whether the first and the last frame are the right ones.
        offset_ms: largest distance of a click from its flash, in the MP4 and in the mix FLAC.
        n_clips: number of clips; the values above are those of the first clip.
    """

    film: str
    outcome: str
    cuts: tuple[int, int]
    size: str = ""
    n_frames: tuple[int, int] = (0, 0)
    ends_right: bool = False
    offset_ms: tuple[float, float] = (0.0, 0.0)
    n_clips: int = 0


QUICK = {
    "ntsc-rate", "variable-rate", "wide-pixels", "interlaced", "late-audio", "open-groups",
    "audio-first", "joined-h264", "avi-b-frames", "upside-down", "cut-off", "damaged-frame",
}  # fmt: skip
"""One kind of each sort: rates, pixels, start times, containers, orientation, damage."""


def build(ossl: Ossl, folder: Path, names: Collection[str]) -> list[FilmResult]:
    """Make some films, build a corpus of them with the bundled separator, measure the results."""
    corpus = folder / "corpus"
    ossl("init", corpus)
    truths = {}
    chosen = [kind for kind in KINDS if kind[0] in names]
    for name, suffix, make in chosen:
        path = folder / f"{name}.{suffix}"
        truths[name] = make(path)
        add_film(ossl, corpus, path, name)
    # Some of them must fail.
    ossl("-C", corpus, "build", "--workers", 2, "--set", "stems.model=bundled", code=3)
    return [measure_film(ossl, corpus, name, truths[name]) for name, _, _ in chosen]


def measure_film(ossl: Ossl, corpus: Path, name: str, truth: films.Truth) -> FilmResult:
    """Measure one film."""
    from ossl_builder.corpus import open_corpus
    from ossl_builder.pipeline.derived_tables import end_of
    from ossl_builder.stages.registry import STAGES

    starts = {row["start_frame"] for row in rows(corpus, "scenes") if row["film_id"] == name}
    cuts = (len(starts & set(truth.cuts)), len(truth.cuts))
    end = end_of(open_corpus(corpus), name, STAGES)
    clips = [row for row in rows(corpus, "clips") if row["film_id"] == name]
    if not clips:
        return FilmResult(name, end.code or ", ".join(reasons(corpus, name)) or end.state, cuts)
    clip = clips[0]
    wanted = [
        number
        for number, time in enumerate(truth.times_s)
        if clip["start_s"] - 0.002 <= time < clip["end_s"] - 0.002
    ]
    frames, times, audio, rate = decoded(corpus / clip["video_path"])
    if name == "upside-down":  # the clip is upright; turn it back to read the numbers
        frames = [frame[::-1, ::-1] for frame in frames]
    flashes = [time for time, frame in zip(times, frames, strict=True)
               if films.flash_of(frame) > 128]  # fmt: skip
    mix, mix_rate = soundfile.read(corpus / clip["mix_path"])
    return FilmResult(
        film=name,
        outcome=end.state,
        cuts=cuts,
        size=f"{clip['width']}x{clip['height']}",
        n_frames=(clip["n_frames"], len(wanted)),
        ends_right=[films.number_of(frames[0]), films.number_of(frames[-1])]
        == [wanted[0], wanted[-1]]
        and len(frames) == clip["n_frames"],
        offset_ms=(
            offset_ms(flashes, films.click_times(audio, rate), truth, clip),
            offset_ms(flashes, films.click_times(mix, mix_rate), truth, clip),
        ),
        n_clips=len(clips),
    )


def reasons(corpus: Path, name: str) -> list[str]:
    """Reasons why candidates of a film were left out."""
    return sorted({reject["reason"] for reject in rejects(corpus, "clips", name)})


def offset_ms(
    flashes: list[float], clicks: list[float], truth: films.Truth, clip: dict[str, Any]
) -> float:
    """Largest distance of a click from its flash; infinite if one is missing."""
    expected = [time for time in truth.clicks_s if clip["start_s"] <= time < clip["end_s"] - 0.01]
    if len(clicks) != len(expected) or not expected:
        return float("inf")
    return max(1000 * min(abs(click - flash) for flash in flashes) for click in clicks)


def decoded(path: Path) -> tuple[list[np.ndarray], list[float], np.ndarray, int]:
    """Frames (luma), their times, audio (samples, channels) and its rate, decoded with PyAV."""
    with av.open(str(path)) as clip:
        frames = list(clip.decode(video=0))
    luma = [frame.to_ndarray(format="gray") for frame in frames]
    with av.open(str(path)) as clip:
        stream = clip.streams.audio[0]
        blocks = [frame.to_ndarray().T for frame in clip.decode(stream)]
        rate = stream.codec_context.sample_rate
    return luma, [float(frame.time) for frame in frames], np.concatenate(blocks), rate


def show(seen: list[FilmResult]) -> str:
    """Format the results as a table."""
    lines = [f"{'film':<20}{'outcome':<24}{'cuts':<7}{'clips':<7}{'size':<10}{'frames':<11}"
             f"{'ends':<7}audio offset in MP4, FLAC"]  # fmt: skip
    for one in seen:
        line = f"{one.film:<20}{one.outcome:<24}{one.cuts[0]}/{one.cuts[1]:<5}{one.n_clips:<7}"
        if one.n_clips:
            line += f"{one.size:<10}{one.n_frames[0]}/{one.n_frames[1]:<7}"
            line += f"{'right' if one.ends_right else 'WRONG':<7}"
            line += f"{one.offset_ms[0]:.2f} ms, {one.offset_ms[1]:.2f} ms"
        lines.append(line.rstrip())
    return "\n".join(lines)


def main() -> None:
    """Build in a temporary folder and print the table."""

    with tempfile.TemporaryDirectory() as folder:
        names = [name for name, _, _ in KINDS]
        sys.stdout.write(show(build(run_ossl, Path(folder), names)) + "\n")


if __name__ == "__main__":
    main()
