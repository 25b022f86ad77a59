"""The demo films: what their truth says is what a decoder sees and hears."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ossl_builder.demo.films import SCRIPTS
from ossl_builder.demo.make import make_film, make_films
from ossl_builder.demo.music import compose
from ossl_builder.demo.script import DemoFilm, Line, MusicCue, Script, transitions
from ossl_builder.demo.soundtrack import soundtrack

RATE = 44_100


@pytest.fixture(scope="module")
def short() -> Script:
    """Rain, sea, snow and hills of the black-and-white film: a cut, a fade, a dissolve in 8 s."""
    script = next(script for script in SCRIPTS if not script.is_colour)
    ends = (("cut", 1.5), ("fade", 3.5), ("dissolve", 6.0), ("cut", 8.0))
    chosen = (script.shots[index] for index in (0, 3, 7, 9))
    return dataclasses.replace(
        script,
        film_id="short",
        shots=tuple(
            dataclasses.replace(shot, end_s=end_s, then=then)
            for shot, (then, end_s) in zip(chosen, ends, strict=True)
        ),
        music=(MusicCue(1.0, 3.5, "joyful"),),
        speech=(Line(4.2, "woman", "the way home"),),
    )


@pytest.fixture(scope="module")
def film(short: Script, tmp_path_factory: pytest.TempPathFactory) -> DemoFilm:
    return make_film(short, tmp_path_factory.mktemp("film"), lambda done: None)


def lumas(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray()[:216] for frame in container.decode(video=0)])


def audio(path: Path) -> np.ndarray:
    """The decoded audio from 0 s on, [samples], of the first channel."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    samples = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    first = round(float(frames[0].pts * frames[0].time_base) * RATE)
    return samples[-first:] if first < 0 else samples


def level(samples: np.ndarray) -> float:
    return 10 * np.log10(np.mean(samples.astype(float) ** 2) + 1e-12)


def test_the_scripts_are_as_long_and_as_eventful_as_they_should_be() -> None:
    for script in SCRIPTS:
        cuts, gradual = transitions(script)
        assert 40 <= script.duration_s <= 50.1
        assert len(script.shots) >= 10
        assert {transition.kind for transition in gradual} == {"fade", "dissolve"}
        assert len(cuts) + len(gradual) == len(script.shots) - 1
        assert len({cue.mood for cue in script.music if cue.end_s - cue.start_s >= 10}) >= 2
        for before, after in zip(script.music, script.music[1:], strict=False):
            assert after.start_s - before.end_s >= 3.5  # longer than gaps that are bridged
    assert {cue.mood for script in SCRIPTS for cue in script.music} == {"calm", "joyful", "tense"}


def test_cuts_are_where_the_frame_jumps_and_nowhere_else(film: DemoFilm) -> None:
    seen = lumas(film.path).astype(float)
    assert len(seen) == film.n_frames
    change = np.abs(np.diff(seen, axis=0, prepend=seen[:1])).mean(axis=(1, 2))
    (cut,) = film.cuts
    assert change[cut] > 2 * np.delete(change, cut).max()


def test_a_fade_is_black_in_its_middle_and_untouched_outside(film: DemoFilm) -> None:
    seen = lumas(film.path)
    fade = next(transition for transition in film.gradual if transition.kind == "fade")
    middle = (fade.start_frame + fade.end_frame) // 2
    brightness = seen.mean(axis=(1, 2))
    assert brightness[middle - 3 : middle + 3].max() < 20  # 16 is black in video
    assert brightness[[fade.start_frame - 1, fade.end_frame]].min() > 50
    assert brightness[fade.start_frame : middle].argmin() >= middle - 3 - fade.start_frame
    assert (np.delete(brightness, np.arange(fade.start_frame, fade.end_frame)) > 40).all()


def test_a_dissolve_is_a_blend_of_its_two_ends(film: DemoFilm) -> None:
    seen = lumas(film.path).astype(float)
    dissolve = next(transition for transition in film.gradual if transition.kind == "dissolve")
    before, after = seen[dissolve.start_frame - 1], seen[dissolve.end_frame]
    middle = seen[(dissolve.start_frame + dissolve.end_frame) // 2]
    blended = np.abs(middle - (before + after) / 2).mean()
    assert blended < 0.5 * min(np.abs(middle - before).mean(), np.abs(middle - after).mean())


def test_the_stream_is_what_the_script_says(film: DemoFilm, short: Script) -> None:
    with av.open(str(film.path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
        assert video.average_rate == short.rate == Fraction(24000, 1001)
        assert video.codec_context.pix_fmt == "yuv420p"
        assert audio.codec_context.channels == 1
        chroma = [frame.to_ndarray()[216:] for frame in container.decode(video=0)]
    assert np.abs(np.concatenate(chroma).astype(int) - 128).max() <= 2


def test_music_and_speech_are_heard_where_the_truth_says(film: DemoFilm) -> None:
    heard = audio(film.path)
    (cue,), (line,) = film.music, film.speech
    assert abs(len(heard) / RATE - film.n_frames * film.fps_den / film.fps_num) < 0.05

    def between(start_s: float, end_s: float) -> float:
        return level(heard[round(start_s * RATE) : round(end_s * RATE)])

    for event in (cue, line):
        assert between(event.start_s, event.end_s) > -32
        assert between(event.start_s + 0.05, event.start_s + 0.3) > -45
        assert between(event.start_s - 0.2, event.start_s - 0.03) < -58
        assert between(event.end_s + 0.03, event.end_s + 0.3) < -58
    assert between(cue.end_s - 0.5, cue.end_s - 0.25) > -40


def test_the_truth_lies_beside_the_film(film: DemoFilm) -> None:
    truth = json.loads((film.path.parent / "short.truth.json").read_text())
    assert truth["cuts"] == list(film.cuts)
    assert truth["path"] == "short.mp4"
    assert truth["music"] == [{"start_s": 1.0, "end_s": 3.5, "mood": "joyful"}]
    assert truth["basis"] == "licensed"
    assert "CC0" in truth["evidence"]
    assert sorted(path.name for path in film.path.parent.iterdir()) == [
        "short.mp4",
        "short.truth.json",
    ]


def test_a_film_has_the_same_bytes_every_time(
    film: DemoFilm, short: Script, tmp_path: Path
) -> None:
    done: list[int] = []
    again = make_film(short, tmp_path, done.append)
    first, second = (hashlib.sha256(made.path.read_bytes()) for made in (film, again))
    assert first.hexdigest() == second.hexdigest()
    assert done == list(range(1, film.n_frames + 1))


def test_moods_differ_in_loudness_and_register() -> None:
    def centre_hz(samples: np.ndarray) -> float:
        power = np.abs(np.fft.rfft(samples[:, 0].astype(float))) ** 2
        return float((power * np.fft.rfftfreq(len(samples), 1 / RATE)).sum() / power.sum())

    made = {mood: compose(mood, 4.0, seed=5) for mood in ("calm", "joyful", "tense")}
    for samples in made.values():
        assert samples.shape == (4 * RATE, 2)
        assert np.abs(samples).max() < 1
        assert np.abs(samples[[0, -1]]).max() < 1e-6
    assert level(made["calm"]) + 2 < level(made["tense"]) < level(made["joyful"])
    assert centre_hz(made["joyful"]) > 1.3 * centre_hz(made["tense"])


def test_speech_stands_above_the_music_under_it(short: Script) -> None:
    line = Line(1.2, "man", "the way home")
    silent = dataclasses.replace(short, speech=(), music=(MusicCue(0.5, 7.0, "joyful"),))
    mixed, (spoken,) = soundtrack(dataclasses.replace(silent, speech=(line,)))
    music, _ = soundtrack(silent)
    voice, _ = soundtrack(dataclasses.replace(silent, music=(), speech=(line,)))
    at = slice(round(spoken.start_s * RATE), round(spoken.end_s * RATE))
    ducked = mixed - voice  # less the room tone, which both have
    assert level(voice[at]) - level(ducked[at]) == pytest.approx(5, abs=0.3)
    assert level(ducked[at]) < level(music[at]) - 3
    later = slice(at.stop + RATE // 2, None)
    assert mixed[later] == pytest.approx(music[later], abs=1e-6)


def test_a_line_without_room_is_refused(short: Script) -> None:
    late = dataclasses.replace(short, music=(), speech=(Line(7.0, "man", "the way home"),))
    with pytest.raises(ValueError, match="no room"):
        soundtrack(late)


@pytest.mark.slow
def test_all_three_films(tmp_path: Path) -> None:
    parts: list[float] = []
    films = make_films(tmp_path, parts.append)
    assert [film.film_id for film in films] == [script.film_id for script in SCRIPTS]
    assert parts[-1] == 1
    assert parts == sorted(parts)
    for film in films:
        seen = lumas(film.path)[:, ::2, ::2].astype(float)
        assert len(seen) == film.n_frames
        change = np.abs(np.diff(seen, axis=0, prepend=seen[:1])).mean(axis=(1, 2))
        assert change[list(film.cuts)].min() > 1.5 * np.delete(change, film.cuts).max()
