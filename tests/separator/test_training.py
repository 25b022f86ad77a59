"""The separator's training from end to end: compose, mix, train a tiny model, export, load."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("demucs")
pytest.importorskip("mido")
pytest.importorskip("safetensors")

import torch
from demucs.apply import apply_model
from demucs.hf import load_safetensors_model
from separator import export, fit
from separator.loss import validate
from separator.mixing import Mixer, Sounds, fixed_batches
from separator.spoiling import RATE

from ossl_builder.separator.model import TRAINING_NFFT, FilmDemucs
from tests.films.pieces import played

TINY = {"channels": 4, "depth": 5, "segment": 1.0}


def babble(seed: int, seconds: float, rate: int) -> np.ndarray:
    """Bursts of noise with the pace of syllables, in place of speech."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * rate)) / rate
    syllables = np.clip(np.sin(2 * np.pi * 4 * time_s), 0, 1)
    return (0.3 * rng.standard_normal(len(time_s)) * syllables).astype(np.float32)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for kind, make in (("music", played), ("speech", babble)):
        (folder / kind).mkdir()
        for seed in range(2):
            np.save(folder / kind / f"made-{seed}.npy", make(seed, 8.0, RATE).astype(np.float16))
    return folder


@pytest.fixture
def mixer(data: Path) -> Mixer:
    return Mixer(Sounds.load(data / "music"), Sounds.load(data / "speech"), 1.0, seed=1)


def test_a_mix_is_its_stems_and_noise(mixer: Mixer) -> None:
    mixes, stems = mixer.batch(16)
    assert (mixes.shape, stems.shape) == ((16, 1, RATE), (16, 2, 1, RATE))
    assert torch.isfinite(mixes).all()
    both = (stems.square().mean((-1, -2)) > 1e-9).all(1)
    assert 4 <= int(both.sum()) < 16, "most windows have music and speech, some do not"
    noise = mixes - stems.sum(1)
    assert (noise.square().mean((-1, -2)) < 1e-12).any(), "some windows have no noise"


def test_a_tiny_model_is_trained_exported_and_loaded_by_demucs(
    mixer: Mixer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    tiny = FilmDemucs(samplerate=RATE, audio_channels=1, nfft=TRAINING_NFFT, **TINY)
    monkeypatch.setattr(fit, "build", lambda: tiny)
    plan = fit.Plan(data=tmp_path, run=tmp_path / "run", warm_up_steps=1, averaging=0.5)
    plan.run.mkdir()
    trainer = fit.Trainer(plan, rank=0)
    mixes, stems = mixer.batch(4)
    losses = [trainer.learn(trainer.model, mixes, stems) for _ in range(8)]
    assert min(losses[-3:]) < losses[0] - 0.1, losses
    held_out = fixed_batches(mixer, batches=1, size=2)
    fit.report(trainer, held_out, losses[-1])
    assert (plan.run / "metrics.jsonl").read_text().count("\n") == 1
    assert np.isfinite(list(validate(trainer.average, held_out).values())).all()

    # A run that was interrupted resumes at its checkpoint.
    assert fit.Trainer(plan, rank=0).step == 8

    monkeypatch.setattr(export, "ARGUMENTS", {**export.ARGUMENTS, **TINY})
    weights = tmp_path / "tiny.safetensors"
    digest = export.save(trainer.average, weights)
    assert len(digest) == 64
    model = load_safetensors_model(weights).eval()
    assert (model.sources, model.samplerate) == (["dialogue", "music"], 44_100)
    with torch.no_grad():
        separated = apply_model(model, torch.randn(1, 2, 44_100), shifts=0, split=True)
    assert separated.shape == (1, 2, 2, 44_100)
    assert torch.isfinite(separated).all()
