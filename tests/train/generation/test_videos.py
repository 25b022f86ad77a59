"""Music for video files of any kind; one that cannot be decoded does not stop the others."""

from __future__ import annotations

import shutil
from pathlib import Path

import av
import pytest
import soundfile
from ossl_train.generation.generate import generate as generate_jobs
from ossl_train.generation.generate import plan_samples
from ossl_train.generation.models import Models
from ossl_train.generation.requests import GenerateSettings, PromptOptions, file_requests

from tests import films
from tests.films import shapes
from tests.train.generation.conftest import NO_CURVES, ONE, Generate
from tests.train.labelled_corpus import recipe_for

KINDS = {
    "wmv": shapes.WHOLE["wmv"],
    "h264-avi": shapes.WHOLE["H.264 in avi"],
    "theora": shapes.WHOLE["theora"],
    "mjpeg": shapes.WHOLE["motion JPEG in avi"],
    "prores": shapes.WHOLE["prores"],
    "real": shapes.WHOLE["real media"],
    "cells": shapes.WHOLE["two cells"],
    "plain": shapes.WHOLE["fragmented"],
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plain") / "film.mp4"
    films.make_film(path, rate=films.Fraction(25), seconds=8, audio_s=(0, 8))
    return path


def numbers(path: Path) -> list[int]:
    with av.open(str(path)) as film:
        return [films.number_of(f.to_ndarray(format="gray")) for f in film.decode(video=0)]


def test_decodable_videos_get_music_and_the_others_a_reason(
    root: Path, plain: Path, generate: Generate, tmp_path: Path
) -> None:
    videos = [make(plain, tmp_path / name) for name, make in KINDS.items()]
    broken, music = tmp_path / "broken.mp4", tmp_path / "music.flac"
    broken.write_bytes(b"no film")
    shutil.copy(root / "clip0.music.flac", music)
    videos += [broken, music, tmp_path / "nowhere.mp4"]
    given = [word for path in videos for word in ("--video", path)]
    found = generate(*given, "--alpha", 0, "--out", tmp_path / "out", *ONE, code=3)
    by_name = {each["name"]: each for each in found}
    codes = {name: each["code"] for name, each in by_name.items() if each["state"] == "failed"}
    assert codes == {"broken": "not_media", "music": "no_video", "nowhere": "file_missing"}
    for name in KINDS:
        entry = by_name[name]
        assert entry["state"] == "made"
        samples, rate = soundfile.read(entry["wav"])
        assert len(samples) / rate == pytest.approx(8.0, abs=0.03)
        assert numbers(Path(entry["video"])) == list(range(200))
        with av.open(entry["video"]) as film:
            assert film.format.name.startswith("mov")
            assert film.streams.audio[0].codec_context.name == "aac"


def test_all_videos_failing_ends_with_1(generate: Generate, tmp_path: Path) -> None:
    found = generate("--video", tmp_path / "nowhere.mp4", "--out", tmp_path / "out", *ONE, code=1)
    assert [each["code"] for each in found] == ["file_missing"]


def test_music_is_kept_where_its_video_cannot_be_written(
    root: Path, plain: Path, models: Models, tmp_path: Path
) -> None:
    """The next run makes the video only."""
    video = tmp_path / "film.mp4"
    shutil.copy(plain, video)
    settings = GenerateSettings(window_s=8, overlap_s=2, text_guidance=1)
    recipe = recipe_for(root)
    words = PromptOptions("", None, recipe.prompts)
    jobs = plan_samples(file_requests([video], words), [1], tmp_path / "out", True, NO_CURVES)
    target = tmp_path / "out/film.mp4"
    target.mkdir(parents=True)  # a folder where the video should go
    (failed,) = generate_jobs(jobs, models, recipe, settings, lambda: None)
    assert (failed.state, failed.code) == ("failed", "mux_failed")
    assert failed.wav is not None
    wav = Path(failed.wav)
    assert soundfile.info(str(wav)).duration == pytest.approx(8.0, abs=0.01)
    before = wav.read_bytes()
    target.rmdir()
    jobs = plan_samples(file_requests([video], words), [1], tmp_path / "out", True, NO_CURVES)
    (made,) = generate_jobs(jobs, None, recipe, settings, lambda: None)
    assert (made.state, wav.read_bytes()) == ("made", before)
    assert len(numbers(target)) == 200
