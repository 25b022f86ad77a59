"""OSSL v1 and v2 as they were released, made from clips of the demo films."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import soundfile

from tests.command_result import RunCommand
from tests.e2e.corpora import Ossl, built_once, linked, rows
from tests.train.conftest import tiny_models  # noqa: F401 - a fixture


@pytest.fixture
def run(ossl_here: RunCommand) -> RunCommand:
    """Run `ossl` in this process."""
    return ossl_here


@pytest.fixture(scope="session")
def short_clips(ossl: Ossl, demo_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo corpus, cut into shorter clips, so that there are eight."""

    def build(corpus: Path) -> None:
        linked(demo_corpus, corpus)
        ossl("-C", corpus, "build", "--set", "clips.min_s=4", "--set", "clips.max_s=9")

    return built_once(tmp_path_factory, "short", build)


@pytest.fixture(scope="session")
def truth(short_clips: Path) -> list[dict[str, Any]]:
    """The rows of the eight clips that are released, in the order of the releases."""
    found = rows(short_clips, "clips")
    # Tests truncate AB_1: half of this clip ends inside a packet.
    return [found[index] for index in (0, 1, 4, 2, 3, 5, 6, 7)]


@pytest.fixture(scope="session")
def clips(short_clips: Path, truth: list[dict[str, Any]]) -> dict[str, list[tuple[Path, Path]]]:
    """Video and music of the clips of three films; the music as FLAC."""
    pairs = [(short_clips / row["video_path"], short_clips / row["music_path"]) for row in truth]
    return {"AA": pairs[:3], "AB": pairs[3:5], "AC": pairs[5:]}


def write_clip_files(pair: tuple[Path, Path], video: Path, music: Path) -> None:
    """Write a clip's files under other names; the music as WAV."""
    for path in (video, music):
        path.parent.mkdir(parents=True, exist_ok=True)
    os.link(pair[0], video)
    audio, rate = soundfile.read(pair[1], dtype="int16")
    soundfile.write(music, audio, rate, subtype="PCM_16")


def write_csv(path: Path, header: Sequence[str], lines: Sequence[Sequence[object]]) -> None:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *lines])


def halve(path: Path) -> None:
    """Truncate a file to half; it may be a hard link, so it is replaced."""
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[: len(data) // 2])


@pytest.fixture(scope="session")
def whole_v1(
    clips: dict[str, list[tuple[Path, Path]]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A complete release of v1. The rows of film AA are in both CSV files."""
    folder = tmp_path_factory.mktemp("v1") / "OpenScreenSoundLibrary-v1"
    for film_id, pairs in zip(("AA", "AB", "AC"), clips.values(), strict=True):
        for number, pair in enumerate(pairs):
            stem = folder / f"{film_id}_{number}"
            write_clip_files(pair, stem.with_suffix(".mp4"), stem.with_suffix(".wav"))
            stem.with_suffix(".pt").write_bytes(b"features")
    header = ("film_id", "clip_id", "mood", "caption")
    train = [
        ("AA", 0, "happy, excited", "A fast waltz."), ("AA", 1, "Tense", ""),
        ("AB", 0, "bittersweet", "Strings."), ("AB", 1, "sad", "Oboe, alone."),
    ]  # fmt: skip
    valid = [
        ("AA", 2, "excited and happy", "A march."), ("AC", 0, "calm", "Harp."),
        ("AC", 1, "", ""), ("AC", 2, "tense, calm", "Both."),
    ]  # fmt: skip
    write_csv(folder / "train_meta.csv", header, train)
    write_csv(folder / "valid_meta.csv", header, valid)
    return folder


@pytest.fixture
def v1(whole_v1: Path, tmp_path: Path) -> Path:
    """A copy of it that tests may damage: they replace or remove files, never write into them."""
    folder = tmp_path / whole_v1.name
    linked(whole_v1, folder)
    for path in folder.glob("*.csv"):
        text = path.read_bytes()
        path.unlink()
        path.write_bytes(text)
    return folder


@pytest.fixture
def v2(clips: dict[str, list[tuple[Path, Path]]], tmp_path: Path) -> Path:
    """Two films in one split each, and one in two splits; clips are numbered within their films."""
    folder = tmp_path / "OSSL-v2"
    splits = {
        "tt0001": ("train",) * 3,
        "his_girl": ("test",) * 2,
        "tt0003": ("train", "test", "train"),
    }
    for (movie, places), pairs in zip(splits.items(), clips.values(), strict=True):
        for number, (split, pair) in enumerate(zip(places, pairs, strict=True)):
            base = folder / split
            write_clip_files(
                pair, base / f"video/{movie}/{number}.mp4", base / f"audio/{movie}/{number}.wav"
            )
    (folder / "splits").mkdir()
    (folder / "splits/train.txt").write_text("tt0001\ntrain/video/tt0003/0.mp4\ntt0003/2\n")
    (folder / "splits/test.txt").write_text("his_girl\n./test/audio/tt0003/1.wav\n")
    lines = [("tt0001", "The Fair", 1931), ("his_girl", "His Girl", 1940), ("tt0003", "Hills", "")]
    write_csv(folder / "metadata.csv", ("movie_id", "title", "year"), lines)
    return folder
