"""Music for clips and video files: lengths, seams, frames, the base model, files, resuming."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import torch
from ossl_train.generation import sample_files, sampling
from ossl_train.generation.generate import _write, plan_samples
from ossl_train.generation.models import Models
from ossl_train.generation.requests import GenerateSettings

from ossl_builder.errors import OsslError
from tests.films.long_clips import FPS
from tests.train.generation.conftest import (
    LENGTHS,
    NO_CURVES,
    ONE,
    Generate,
    Seen,
    command,
    piece_of,
)


def test_files_are_as_long_as_their_video_and_play(
    root: Path, generate: Generate, models: Models, seen: Seen, tmp_path: Path
) -> None:
    given = [part for number in (1, 2) for part in ("--video", root / f"clip{number}.mp4")]
    found = generate(*given, "--out", tmp_path, "--mood", "sad", *ONE)
    # The sample of 75 s is written like the command writes it.
    settings = GenerateSettings(window_s=30, overlap_s=10)
    (job,) = plan_samples([piece_of(root, "clip0", "sad")], [1], tmp_path, True, NO_CURVES)
    found.append(vars(_write(job, seen.whole, models, settings)))
    assert sorted(one["name"] for one in found) == ["clip0", "clip1", "clip2"]
    for one in found:
        seconds = LENGTHS[int(one["name"][-1])]
        heard, rate = soundfile.read(one["wav"])
        assert (one["state"], rate, len(heard)) == ("made", 32_000, seconds * 32_000)
        assert np.abs(heard).max() < 1
        note = json.loads(Path(one["wav"]).with_suffix(".json").read_bytes())
        assert "sad" in note["made_from"]["prompt"]
        # There is no audio to continue: the reference begins with a beep of 440 Hz.
        assert note["made"]["windows"][0]["known"] == 0
        check_playable(root / f"{one['name']}.mp4", Path(one["video"]), seconds, heard)


def check_playable(source: Path, made: Path, seconds: int, heard: np.ndarray) -> None:
    """The video packets are those of the source; the audio is that of the WAV."""
    assert packets_of(made) == packets_of(source)
    with av.open(str(made)) as container:
        images = sum(1 for _ in container.decode(video=0))
    with av.open(str(made)) as container:
        stream = container.streams.audio[0]
        frames = list(container.decode(stream))
        assert float(frames[0].pts * frames[0].time_base) == pytest.approx(0, abs=1e-3)
    decoded = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    assert images == seconds * FPS
    assert abs(len(decoded) - seconds * 32_000) <= 2048
    same = min(len(decoded), len(heard))
    assert np.corrcoef(decoded[:same], heard[:same])[0, 1] > 0.9


def packets_of(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def test_existing_files_are_kept(root: Path, generate: Generate, tmp_path: Path) -> None:
    given = ("--split", "test", "--samples", 2, "--out", tmp_path, "--window", 4)
    first = generate(*given)
    assert [(one["seed"], one["state"]) for one in first] == [(0, "made"), (1, "made")]
    wav = tmp_path / "seed-1/clip2.wav"
    assert first[1]["wav"] == str(wav)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.rglob("*.*")}
    assert [one["state"] for one in generate(*given)] == ["fresh", "fresh"]
    wav.with_suffix(".mp4").unlink()
    assert [one["state"] for one in generate(*given)] == ["fresh", "made"]
    assert wav.stat().st_mtime_ns == before[wav][0]
    assert wav.with_suffix(".mp4").read_bytes() == before[wav.with_suffix(".mp4")][1]
    wav.write_bytes(b"cut off")
    assert [one["why"] for one in generate(*given, "--dry-run")] == ["", "the WAV has changed"]
    assert [one["state"] for one in generate(*given)] == ["fresh", "made"]
    assert {path: path.read_bytes() for path in before} == {p: b for p, (_, b) in before.items()}
    planned = generate(*given, "--prompt", "drums", "--dry-run")
    assert {one["why"] for one in planned} == {"changed: prompt"}


def test_only_peaks_are_lowered() -> None:
    time_s = np.arange(32_000) / 32_000
    quiet = (0.3 * np.sin(2 * np.pi * 200 * time_s)).astype(np.float32)
    assert sample_files.limit_peaks(quiet, 32_000)[0] is quiet
    loud = quiet.copy()
    loud[16_000:16_040] *= 8
    lowered, limiting = sample_files.limit_peaks(loud, 32_000)
    assert np.abs(lowered).max() <= sample_files.CEILING
    assert np.array_equal(lowered[:15_000], loud[:15_000])
    assert np.array_equal(lowered[17_000:], loud[17_000:])
    assert limiting.peak == pytest.approx(np.abs(loud).max())
    assert limiting.lowest_gain_db < -6
    assert 0 < limiting.seconds < 0.05


def test_long_audio_is_decoded_in_parts(
    models: Models, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = sample_files.decode(models.backbone, seen.whole[:, :1000])
    monkeypatch.setattr(sample_files, "PART_S", 6.0)
    parts = sample_files.decode(models.backbone, seen.whole[:, :1000])
    assert len(whole) == len(parts) == 20 * 32_000
    assert np.abs(whole - parts).max() < 1e-3 * np.abs(whole).max()


def test_invalid_requests_give_clear_errors(root: Path, generate: Generate, tmp_path: Path) -> None:
    other = ("--set", "features.pooling=all")
    for arguments, code in (
        (("--clip", "clip2", "--recipe", "small"), "no_checkpoint"),
        (("--clip", "nowhere"), "clip_unknown"),
        ((), "nothing_chosen"),
        (("--clip", "clip2", "--split", "test"), "nothing_chosen"),
        (("--clip", "clip2", "--mood", "sad", "--prompt", "sad"), "prompt_twice"),
        (("--clip", "clip2", *other), "adapter_other_features"),
        (("--clip", "clip2", "--window", 3, "--overlap", 3), "overlap_too_long"),
        (("--clip", "clip2", "--set", f"model.source={tmp_path}/none"), "model_missing"),
        (("--video", root / "clip2.mp4", "--out", root), "output_is_input"),
    ):
        with pytest.raises(OsslError) as caught:
            command(root, *arguments)
        assert caught.value.code == code, arguments
        assert caught.value.hint
    with pytest.raises(OsslError) as caught, sampling._memory_errors(4):
        torch.empty(1 << 55)
    assert caught.value.code == "memory_full"
    assert "--batch" in caught.value.hint


def test_one_bad_video_does_not_stop_the_others(
    root: Path, generate: Generate, tmp_path: Path
) -> None:
    kept = root / "clip2.mp4"
    whole = kept.read_bytes()
    kept.write_bytes(b"no film")
    try:
        given = ("--clip", "clip2", "--clip", "clip1", "--alpha", 0, "--out", tmp_path, *ONE)
        found = generate(*given, code=3)
    finally:
        kept.write_bytes(whole)
    assert {one["name"]: one["state"] for one in found} == {"clip1": "made", "clip2": "failed"}
