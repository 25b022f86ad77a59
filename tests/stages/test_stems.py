"""The stems stage: files, paths and rows."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from demucs.htdemucs import HTDemucs
from safetensors.torch import save_file

from ossl_builder.errors import OsslError, Rejected
from ossl_builder.media import loudness
from ossl_builder.media.ffmpeg import binary
from ossl_builder.media.flac import read_flac
from ossl_builder.stages.stems import STEMS_STAGE
from ossl_builder.tables import STEMS, Film
from tests.rows import NO_SOUND, film_row

RATE = 44_100


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A tiny untrained Demucs: dialogue, music, and a source that must be mapped."""
    torch.manual_seed(0)
    sources = ["speech", "music", "crowd"]
    tiny = HTDemucs(
        sources, samplerate=RATE, segment=1, channels=8, nfft=512, depth=3, t_layers=1, t_heads=2
    )
    args, kwargs = tiny._init_args_kwargs
    about = {
        "klass": "demucs.htdemucs.HTDemucs",
        "args": json.dumps(args),
        "kwargs": json.dumps(kwargs),
    }
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_file({key: value.contiguous() for key, value in tiny.state_dict().items()}, path, about)
    return path


def settings(model: Path) -> dict[str, object]:
    return {"model": str(model), "roles": {"crowd": "effects"}, "device": "cpu"}


def ffmpeg(*arguments: str | Path) -> None:
    command = [binary(), "-y", "-loglevel", "error", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def film(tmp_path) -> Film:
    """4 s with loud noise, 16-bit audio in Matroska, so that the mix is known to the bit."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (4 * RATE, 2))
    soundfile.write(tmp_path / "noise.wav", noise, RATE)
    frame = ("-f", "lavfi", "-i", "color=black:s=64x64:r=25:d=4")
    clusters = ("-cluster_time_limit", "500")  # where reading can resume after damage
    ffmpeg(*frame, "-i", tmp_path / "noise.wav", "-c:a", "flac", *clusters, tmp_path / "film.mkv")
    return film_row("film.mkv")


def test_rows_describe_the_written_files(make_item, tmp_path, film, model):
    item = make_item(STEMS_STAGE, {"films": (film,)}, settings(model))
    rows = STEMS_STAGE.run(item).rows
    STEMS.validate(rows)
    assert [row.role for row in rows] == ["mix", "music", "dialogue", "effects"]
    wanted = soundfile.read(tmp_path / "noise.wav", dtype="int16")[0]
    for row in rows:
        assert row.path == f"films/film/stems/{row.role}.flac"
        path = tmp_path / row.path
        assert row.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert (row.n_samples, row.sample_rate, row.channels) == (4 * RATE, RATE, 2)
        assert soundfile.info(path).frames == row.n_samples
        meter = loudness.measured(read_flac(path), RATE)
        assert row.loudness_lufs == pytest.approx(loudness.integrated(meter.power()), abs=1e-9)
        assert row.peak_dbfs == loudness.dbfs(meter.peak)
        assert row.damaged_spans == ()
    assert np.array_equal(soundfile.read(tmp_path / rows[0].path, dtype="int16")[0], wanted)


def test_a_rerun_and_other_batch_sizes_give_the_same_bytes(make_item, tmp_path, film, model):
    made = []
    for index, how in enumerate(({}, {}, {"batch_size": 1}, {"batch_size": 4})):
        rows = {"films": (film,)}
        item = make_item(STEMS_STAGE, rows, settings(model) | how, item_id=f"film-{index}")
        made.append([row.sha256 for row in STEMS_STAGE.run(item).rows])
    assert made[1:] == made[:1] * 3


def test_progress_rises_to_one(make_item, film, model):
    told: list[float] = []
    item = make_item(STEMS_STAGE, {"films": (film,)}, settings(model))
    STEMS_STAGE.run(dataclasses.replace(item, progress=told.append))
    assert len(told) > 1
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)


def test_late_audio_at_another_rate_in_mono(make_item, tmp_path, model):
    click = np.zeros(3 * 48_000)
    click[48_000] = 0.9
    soundfile.write(tmp_path / "click.wav", click, 48_000)
    frame = ("-f", "lavfi", "-i", "color=black:s=64x64:r=25:d=4")
    late = ("-itsoffset", "0.5", "-i", tmp_path / "click.wav")
    ffmpeg(*frame, *late, "-c:a", "pcm_s16le", tmp_path / "late.mov")
    film = film_row("late.mov", audio_channels=1, audio_offset_s=0.5, audio_duration_s=3.0)
    item = make_item(STEMS_STAGE, {"films": (film,)}, settings(model))
    rows = STEMS_STAGE.run(item).rows
    mix = soundfile.read(tmp_path / rows[0].path)[0]
    assert {row.n_samples for row in rows} == {round(3.5 * RATE)}
    assert np.abs(mix[:, 0]).argmax() == pytest.approx(1.5 * RATE, abs=1)


def test_damage_is_recorded_in_the_rows(make_item, tmp_path, film, model):
    content = bytearray((tmp_path / "film.mkv").read_bytes())
    content[len(content) // 2 : len(content) // 2 + 30_000] = bytes(30_000)
    (tmp_path / "film.mkv").write_bytes(content)
    item = make_item(STEMS_STAGE, {"films": (film,)}, settings(model))
    rows = STEMS_STAGE.run(item).rows
    STEMS.validate(rows)
    span = rows[1].damaged_spans[0]
    assert 1.5 < span.start_s < 2.5
    assert rows[0].n_samples == pytest.approx(4 * RATE, abs=45)  # Matroska rounds to 1 ms


def test_film_without_audio_is_rejected(make_item, tmp_path, model):
    ffmpeg("-f", "lavfi", "-i", "color=black:s=64x64:r=25:d=1", tmp_path / "mute.mp4")
    film = film_row("mute.mp4", **NO_SOUND)
    item = make_item(STEMS_STAGE, {"films": (film,)}, settings(model))
    with pytest.raises(Rejected) as caught:
        STEMS_STAGE.run(item)
    assert caught.value.reason == "no_audio"


def test_unmapped_source_is_reported_before_any_film(model):
    with pytest.raises(OsslError) as caught:
        STEMS_STAGE.prepare(STEMS_STAGE.config(model=str(model), device="cpu"))
    assert caught.value.code == "role_unknown"
    assert "stems.roles.crowd" in caught.value.hint


def test_tools_name_the_models_hash(model):
    told = STEMS_STAGE.tools(STEMS_STAGE.config(model=str(model)))
    assert told["model"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert told["demucs"][0].isdigit()


@pytest.mark.parametrize("name", ["stems", "cues.stage"])
def test_importing_the_stage_is_fast(name):
    stage = f"{name.split('.')[0].upper()}_STAGE"
    code = (
        f"import sys\nfrom ossl_builder.stages.{name} import {stage} as stage\n"
        "stage.tools(stage.config())\n"
        "print([m for m in ('torch', 'av', 'cv2', 'demucs', 'scenedetect', 'pandas', 'pyarrow',"
        " 'scipy', 'numpy', 'soundfile') if m in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
