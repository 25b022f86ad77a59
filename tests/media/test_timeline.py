"""Frames and times of a film in all variants of files: as in ffmpeg, or better."""

from __future__ import annotations

from array import array
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from ossl_builder.media.audio_reader import FilmAudio
from ossl_builder.media.cut import frame_times
from ossl_builder.media.probe import probe
from ossl_builder.media.timeline import MISSING, PacketLog, find_corrections
from ossl_builder.media.video_frames import timed_frames
from tests import films
from tests.films import shapes

STEP_S = 0.04
TICK_S = 0.0011  # Matroska and FLV round times to 1 ms


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of 375 frames at 25 frames a second, 15 s, with flashes and clicks."""
    path = tmp_path_factory.mktemp("plain") / "plain.mp4"
    films.make_film(path, rate=Fraction(25))
    return path


@pytest.mark.parametrize("shape", shapes.WHOLE)
def test_every_variant_has_all_frames_and_the_right_length(
    plain: Path, tmp_path: Path, shape: str
) -> None:
    path = shapes.WHOLE[shape](plain, tmp_path / "film")
    probed = probe(path, lambda part: None)
    video, audio = probed.video, probed.audio
    assert video.n_packets == 375
    assert not probed.is_truncated
    assert video.end_s - video.start_s == pytest.approx(15.0, abs=0.002)
    assert video.decoded_end_s == pytest.approx(video.end_s, abs=0.002)

    frames = [each for each in timed_frames(probed.media, 1 / video.rate) if each.frame is not None]
    base = float(frames[0].frame.time_base)
    times = [(each.pts - frames[0].pts) * base for each in frames]
    assert len(times) == 375
    assert all(abs(b - a - STEP_S) < TICK_S for a, b in pairwise(times))
    assert frame_times(probed.media, 1 / video.rate) == pytest.approx(times, abs=TICK_S)
    theirs = shapes.oracle(path, probed.media.video).times_s
    # In AVI without times, ffmpeg uses wrong durations for the last frames of a decoder.
    length = len(theirs) - 2 if path.suffix == ".avi" else len(theirs)
    assert times[:length] == pytest.approx(theirs[:length], abs=TICK_S)

    assert audio is not None
    film_audio = FilmAudio(probed.media, 48_000, 1, 1 / video.rate)
    samples = np.concatenate(list(film_audio.blocks()), axis=1)[0]
    assert len(samples) / 48_000 == pytest.approx(15.0, abs=0.15)
    assert sum(span.end_s - span.start_s for span in film_audio.damaged) < 0.1
    flashes = [
        time
        for time, each in zip(times, frames, strict=True)
        if films.flash_of(each.frame.to_ndarray(format="gray")) > 128
    ]
    clicks = films.click_times(samples, 48_000)
    assert len(clicks) == len(flashes) == 3
    offsets = [click - flash for click, flash in zip(clicks, flashes, strict=True)]
    # AVI delays B-frames by a constant, as in ffmpeg.
    assert max(offsets) - min(offsets) < 0.003
    limit = 0.12 if path.suffix == ".avi" else 0.06
    assert max(map(abs, offsets)) < limit


def log(times_s: list[float | None], order: int = 0) -> PacketLog:
    """A stream's packets, 40 ms each; the time base is 1 ms."""
    ticks = array("q", [MISSING if time is None else round(1000 * time) for time in times_s])
    numbers = array("q", range(order, order + 2 * len(ticks), 2))
    return PacketLog(Fraction(1, 1000), numbers, ticks[:], ticks[:], array("q", [40] * len(ticks)))


def steady(start_s: float, count: int) -> list[float | None]:
    return [start_s + STEP_S * number for number in range(count)]


def corrected(video: list[float | None], audio: list[float | None], name: str = "mpegts") -> tuple:
    first, second = log(video), log(audio, order=1)
    of_video, of_audio = find_corrections(first, second, name)
    return first.corrected(of_video).starts, second.corrected(of_audio).starts


def test_a_jump_of_both_streams_is_removed_and_their_offset_is_kept() -> None:
    video, audio = corrected(
        steady(0, 100) + steady(3604.0, 100), steady(0.02, 100) + steady(3604.03, 100)
    )
    assert {b - a for a, b in pairwise(video)} == {40}
    assert {b - a for a, b in pairwise(audio)} == {40, 50}  # 10 ms are really missing
    assert audio[150] - video[150] == 30


@pytest.mark.parametrize("name", ["mpegts", "matroska,webm"])
def test_restarted_times_are_continued(name: str) -> None:
    video, audio = corrected(
        steady(5, 100) + steady(0, 100) + steady(1, 50),
        steady(5, 100) + steady(0, 100) + steady(1, 50),
        name,
    )
    assert {b - a for a, b in pairwise(video)} == {b - a for a, b in pairwise(audio)} == {40}


def test_a_gap_in_one_stream_is_kept() -> None:
    whole = steady(0, 1000)
    video, audio = corrected(steady(0, 100) + steady(24.0, 400), whole)
    assert max(b - a for a, b in pairwise(video)) == 20_040
    assert audio == [40 * number for number in range(1000)]


def test_single_wrong_times_do_not_shift_later_ones() -> None:
    wild = steady(0, 100)
    wild[50] = 95_443.7
    video, audio = corrected(wild, steady(0, 100))
    assert video[51:] == [40 * number for number in range(51, 100)]
    assert audio == [40 * number for number in range(100)]
    low = steady(100, 100)
    low[50] = 0.0
    video, _ = corrected(low, steady(100, 100))
    assert video[51:] == [100_000 + 40 * number for number in range(51, 100)]


def test_restarted_audio_times_do_not_shift_the_video() -> None:
    video, audio = corrected(steady(0, 200), steady(0, 100) + steady(0, 100))
    assert {b - a for a, b in pairwise(video)} == {b - a for a, b in pairwise(audio)} == {40}


def test_missing_times_are_not_jumps() -> None:
    times = [time if number % 3 == 0 else None for number, time in enumerate(steady(0, 99))]
    first = log(times)
    assert find_corrections(first, None, "mpegts") == ((), ())
