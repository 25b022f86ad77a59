"""The shared film with exact ground truth, from the file to the clips, by the bundled separator."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from ossl_builder.media.ffmpeg import binary
from tests.e2e.corpora import Ossl, add_film, rows
from tests.e2e.truth import cue_f1, load, music_in_speech_alone, score_scenes, si_sdr

RATE = 44_100


@pytest.fixture(scope="module")
def truth(shared_media: Path) -> dict[str, Any]:
    return load(shared_media)


def spans(corpus: Path) -> list[tuple[float, float]]:
    return [(cue["start_s"], cue["end_s"]) for cue in rows(corpus, "cues")]


def test_scenes_match_the_ground_truth(dev_corpus: Path, truth: dict[str, Any]) -> None:
    score = score_scenes(rows(dev_corpus, "scenes"), truth)
    assert score.cuts == 34
    assert score.fades == 2
    assert score.dissolves >= 1
    assert score.false <= 1


def test_the_separator_gains_seven_decibels(
    dev_corpus: Path, shared_media: Path, truth: dict[str, Any]
) -> None:
    heard = {
        row["role"]: soundfile.read(dev_corpus / row["path"])[0].mean(axis=1)
        for row in rows(dev_corpus, "stems")
    }
    true = {
        role: soundfile.read(shared_media / "mixfilm" / f"{name}.flac", always_2d=True)[0].mean(1)
        for role, name in (("music", "music"), ("dialogue", "speech"))
    }
    for role in ("music", "dialogue"):
        gains = []
        for overlap in truth["overlaps"]:
            at = slice(round(overlap["start"] * RATE), round(overlap["end"] * RATE))
            before = si_sdr(heard["mix"][at], true[role][at])
            gains.append(si_sdr(heard[role][at], true[role][at]) - before)
        assert np.mean(gains) >= 7.0, (role, gains)


def test_cues_match_the_ground_truth(dev_corpus: Path, truth: dict[str, Any]) -> None:
    assert cue_f1(spans(dev_corpus), truth) >= 0.95
    assert music_in_speech_alone(spans(dev_corpus), truth) < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("level_dbfs", [-50, -42])
def test_hiss_does_not_break_cues(
    ossl: Ossl, shared_media: Path, tmp_path: Path, truth: dict[str, Any], level_dbfs: int
) -> None:
    """White noise with the given RMS level is added to the mix."""
    film = tmp_path / "noisy.mkv"
    amplitude = 10 ** (level_dbfs / 20) * 3**0.5  # uniform noise: peak over RMS
    noise = f"anoisesrc=r={RATE}:color=white:a={amplitude}:d=211:s=1"
    mixed = "[0:a][1:a]amix=inputs=2:normalize=0:duration=first[a]"
    subprocess.run(
        [binary(), "-v", "error", "-i", str(shared_media / "mixfilm/dev.mp4"), "-f", "lavfi",
         "-i", noise, "-filter_complex", mixed, "-map", "0:v", "-map", "[a]", "-c:v", "copy",
         "-c:a", "flac", str(film)],
        check=True,
    )  # fmt: skip
    corpus = tmp_path / "corpus"
    ossl("init", corpus)
    add_film(ossl, corpus, film, "noisy")
    for stage in ("fetch", "stems", "cues"):
        ossl("-C", corpus, stage, "--set", "stems.model=bundled")
    assert cue_f1(spans(corpus), truth) >= 0.95
    assert music_in_speech_alone(spans(corpus), truth) < 0.02


def luma_of(path: Path, wanted: set[int]) -> dict[int, np.ndarray]:
    """Small luma planes of frames, by number in presentation order."""
    found = {}
    with av.open(str(path)) as film:
        film.streams.video[0].thread_type = "AUTO"
        for number, frame in enumerate(film.decode(video=0)):
            if number in wanted:
                found[number] = frame.to_ndarray(format="gray")[::4, ::4].astype(float)
    return found


def test_clips_start_and_end_at_the_right_frames(dev_corpus: Path, shared_media: Path) -> None:
    clips = rows(dev_corpus, "clips")
    assert len(clips) >= 4
    ends = {}
    for clip in clips:
        first, last = (round(clip[key] * 24) for key in ("start_s", "end_s"))
        ends[clip["clip_id"]] = (first, last - 1)
    near = {n + d for first_last in ends.values() for n in first_last for d in (-1, 0, 1)}
    film = luma_of(shared_media / "mixfilm/dev.mp4", near)
    for clip in clips:
        first, last = ends[clip["clip_id"]]
        assert clip["n_frames"] == last - first + 1
        shown = luma_of(dev_corpus / clip["video_path"], {0, clip["n_frames"] - 1})
        assert len(shown) == 2
        for number, frame in ((first, shown[0]), (last, shown[clip["n_frames"] - 1])):
            distance = {
                n: np.abs(film[n] - frame).mean() for n in (number - 1, number, number + 1)
                if n in film
            }  # fmt: skip
            assert distance[number] < 3.0
            assert distance[number] == min(distance.values())


def test_clip_audio_is_a_slice_of_the_stems(dev_corpus: Path) -> None:
    stems = {row["role"]: row["path"] for row in rows(dev_corpus, "stems")}
    for clip in rows(dev_corpus, "clips"):
        at = round(clip["start_s"] * RATE)
        for role in ("mix", "music", "dialogue"):
            audio, rate = soundfile.read(dev_corpus / clip[f"{role}_path"], dtype="int16")
            assert rate == RATE
            assert len(audio) == clip["n_samples"] == round(clip["duration_s"] * RATE)
            whole, _ = soundfile.read(
                dev_corpus / stems[role], start=at, frames=len(audio), dtype="int16"
            )
            assert np.array_equal(audio, whole)
