"""Synchrony of music and video: planted relations are found, and no others."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from ossl_train.evaluation.curves import RATE, motion_curve, music_curves, video_curves
from ossl_train.metrics import NotDefined
from ossl_train.metrics.video_sync import Timed, alignment, correlation, following

from ossl_builder.media.ffmpeg import binary

SECONDS = 12
CUTS = (2.0, 3.4, 5.2, 7.0, 8.6, 10.8)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def timed(offset_s: float, n_clips: int = 8) -> list[Timed]:
    """Clips with a note every 1 to 2 s; there is a cut `offset_s` after some of them."""
    clips = []
    for seed in range(n_clips):
        notes = np.cumsum(rng(seed).uniform(1.0, 2.0, 20))
        clips.append(Timed(notes, notes[[2, 5, 9, 13]] + offset_s, float(notes[-1])))
    return clips


def test_cuts_on_notes_are_found_and_moved_ones_are_not() -> None:
    on = alignment(timed(0.02), rng())
    assert on.share == 1
    assert on.chance == pytest.approx(0.2 / 1.5, abs=0.04)  # twice the tolerance per note
    assert on.p < 0.002
    assert on.interval == (1, 1)
    assert (on.n_cuts, len(on.clips)) == (32, 8)
    off = alignment(timed(0.4), rng())
    assert off.share < on.chance
    assert off.p > 0.5
    assert alignment(timed(0.4), rng()) == off


def test_random_cuts_are_at_chance_level() -> None:
    found = []
    for seed in range(40):
        clips = [
            Timed(np.sort(rng(seed).uniform(0, 60, 60)), rng(seed + k).uniform(0, 60, 6), 60.0)
            for k in range(100, 106)
        ]
        found.append(alignment(clips, rng(seed)).p)
    assert 0.3 < np.mean(found) < 0.7
    assert np.mean(np.array(found) < 0.05) < 0.2


def test_alignment_without_cuts_or_notes() -> None:
    silent = Timed(np.zeros(0), np.array([1.0, 2.0]), 10.0)
    found = alignment([silent], rng())
    assert (found.share, found.chance, found.p, found.interval) == (0, 0, 1, None)
    with pytest.raises(NotDefined, match="cut"):
        alignment([Timed(np.array([1.0]), np.zeros(0), 10.0)], rng())


def wandering(seed: int, n: int = 400) -> np.ndarray:
    """A curve that changes slowly, as loudness and motion do."""
    return np.convolve(rng(seed).normal(size=n + 39), np.ones(40) / 40, "valid")


def test_loudness_that_follows_motion_is_found_and_shuffled_is_not() -> None:
    motion = [wandering(seed) for seed in range(12)]
    planted = [np.exp(moves) + 0.05 * wandering(seed + 50) for seed, moves in enumerate(motion)]
    found = following(planted, motion, rng())
    assert found.correlation > 0.9
    assert abs(found.control) < 0.2
    assert found.interval is not None
    assert found.interval[0] > 0.5
    assert found.lag_s == 0
    # The same music, each with another clip's video.
    shuffled = following(planted[3:] + planted[:3], motion, rng())
    assert shuffled.interval is not None
    assert shuffled.interval[0] < 0


def test_a_trend_common_to_all_clips_does_not_count() -> None:
    # All videos and all music rise to the end: correlation is high, but not specific to a clip.
    rise = np.linspace(0, 5, 400)
    loudness = [rise + wandering(seed) for seed in range(10)]
    motion = [rise + wandering(seed + 30) for seed in range(10)]
    found = following(loudness, motion, rng())
    assert found.correlation > 0.8
    assert found.interval is not None
    assert found.interval[0] < 0.03


def test_the_lag_is_the_delay_of_the_music() -> None:
    motion = [wandering(seed) for seed in range(6)]
    late = [np.concatenate((np.full(7, moves[0]), moves[:-7])) for moves in motion]
    found = following(late, motion, rng())
    assert found.lag_s == pytest.approx(0.7)
    assert found.at_lag > 0.95 > found.correlation


def test_constant_and_short_curves_are_left_out() -> None:
    good = [wandering(1), wandering(2)]
    found = following([*good, np.full(400, -70.0), wandering(3, 30)], [*good, *good], rng())
    assert (len(found.clips), found.n_left_out) == (2, 2)
    with pytest.raises(NotDefined, match="two films"):
        following([good[0], np.zeros(400)], good, rng())
    assert correlation(np.zeros(100), good[0]) is None


def write_video(path: Path, rate: int = 24) -> None:
    """Shots of another texture after each cut, in which a square moves faster and slower."""
    rows, columns = np.mgrid[0:72, 0:96]
    frames, left = [], 0.0
    for number in range(SECONDS * rate):
        time_s = number / rate
        shot = sum(time_s >= cut for cut in CUTS)
        texture = 128 + 80 * np.sin((0.08 + 0.11 * ((shot * 3) % 5)) * (columns + shot * rows))
        left = (left + speed(time_s)) % 140
        side = int(min(left, 140 - left))  # to the right and back
        texture[24:48, side : side + 24] = 250
        frames.append(texture.clip(0, 255).astype(np.uint8).tobytes())
    command = [binary(), "-hide_banner", "-loglevel", "error", "-y", "-f", "rawvideo"]
    command += ["-pix_fmt", "gray", "-s", "96x72", "-r", str(rate), "-i", "-", "-c:v", "libx264"]
    command += ["-preset", "ultrafast", "-pix_fmt", "yuv420p", str(path)]
    subprocess.run(command, input=b"".join(frames), check=True)


def speed(time_s: float) -> float:
    return 3.0 + 2.5 * np.sin(2 * np.pi * time_s / 8)


def write_music(path: Path, notes: tuple[float, ...], follows: bool) -> None:
    """A soft tone whose loudness follows the motion of the video or its inverse, and notes."""
    time_s = np.arange(SECONDS * RATE) / RATE
    level = -30 + 4 * (speed(time_s) - 3.0) * (1 if follows else -1)
    audio = 10 ** (level / 20) * np.sin(2 * np.pi * 220 * time_s)
    for note in notes:
        since = time_s[time_s >= note] - note
        struck = 0.4 * np.exp(-since * 40) * np.sin(2 * np.pi * 1500 * since)
        audio[len(audio) - len(since) :] += struck
    soundfile.write(path, audio.astype(np.float32), RATE)


def test_both_relations_from_files(tmp_path: Path) -> None:
    video, at_cuts, beside = (tmp_path / name for name in ("a.mp4", "at.wav", "beside.wav"))
    write_video(video)
    frame = video_curves(video)
    assert frame["cuts"] == pytest.approx(CUTS, abs=0.05)
    assert frame["duration"][0] == pytest.approx(SECONDS)
    write_music(at_cuts, CUTS, follows=True)
    write_music(beside, tuple(cut + 0.5 for cut in CUTS), follows=False)
    music, other = music_curves(at_cuts), music_curves(beside)
    assert len(music["loudness"]) == len(frame["motion"]) == SECONDS * 10 - 3
    # Notes are loud for a moment; the tone under them follows the motion or its inverse.
    assert (correlation(music["loudness"], frame["motion"]) or 0) > 0.5
    assert (correlation(other["loudness"], frame["motion"]) or 0) < -0.5
    hit = alignment([Timed(music["onsets"], frame["cuts"], SECONDS)], rng())
    missed = alignment([Timed(other["onsets"], frame["cuts"], SECONDS)], rng())
    assert hit.share == 1
    assert hit.share > hit.chance + 0.4
    assert hit.p < 0.01
    assert missed.share == 0


def test_a_cut_is_not_motion() -> None:
    times = np.arange(100) / 25
    changes = np.full(100, 2.0)
    changes[50] = 90.0
    assert motion_curve(times, changes, [50], 4.0) == pytest.approx(2.0)
    assert motion_curve(times, changes, [], 4.0).max() > 8


def test_silence_and_a_steady_tone_have_no_onsets(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(6 * RATE, np.float32), RATE)
    found = music_curves(tmp_path / "silent.wav")
    assert len(found["onsets"]) == len(found["beats"]) == 0
    assert set(found["loudness"]) == {-70.0}
