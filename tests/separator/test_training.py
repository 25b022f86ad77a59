"""The separator's training from end to end: compose, mix, train a tiny model, export, load."""

from __future__ import annotations

import itertools
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
from safetensors.torch import save_file
from separator import export, fit
from separator.loss import SOURCES, validate
from separator.mixing import Batches, Mixer, fixed_batches, load_all, remix
from separator.spoiling import RATE, worn
from torch.utils.data import DataLoader

from ossl_builder.separator.model import TRAINING_NFFT, FilmUNet
from tests.films.pieces import played

TINY = {"rank": 4, "segment": 1.0}


def knocks(seed: int, seconds: float, rate: int) -> np.ndarray:
    """Short bursts of noise, in place of effects."""
    rng = np.random.default_rng(seed)
    audio = np.zeros(round(seconds * rate), np.float32)
    for at in rng.integers(0, len(audio) - 2_000, 8):
        audio[at : at + 2_000] += 0.3 * rng.standard_normal(2_000) * np.linspace(1, 0, 2_000)
    return audio


def babble(seed: int, seconds: float, rate: int) -> np.ndarray:
    """Bursts of noise with the pace of syllables, in place of speech."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * rate)) / rate
    syllables = np.clip(np.sin(2 * np.pi * 4 * time_s), 0, 1)
    return (0.3 * rng.standard_normal(len(time_s)) * syllables).astype(np.float32)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for kind, make in (("music", played), ("speech", babble), ("effects", knocks)):
        (folder / kind).mkdir()
        for seed in range(2):
            np.save(folder / kind / f"made-{seed}.npy", make(seed, 8.0, RATE).astype(np.float16))
    return folder


@pytest.fixture
def mixer(data: Path) -> Mixer:
    return Mixer(*load_all(data), 1.0, seed=1)


def test_a_mix_is_its_stems_and_noise(mixer: Mixer) -> None:
    mixes, stems = mixer.batch(16)
    assert (mixes.shape, stems.shape) == ((16, 1, RATE), (16, 3, 1, RATE))
    assert torch.isfinite(mixes).all()
    both = (stems[:, :2].square().mean((-1, -2)) > 1e-9).all(1)
    assert 4 <= int(both.sum()) < 16, "most windows have music and speech, some do not"
    noise = mixes - stems.sum(1)
    assert (noise.square().mean((-1, -2)) < 1e-12).any(), "some windows have no noise"


def test_remixed_stems_add_up_and_differ(mixer: Mixer) -> None:
    torch.manual_seed(0)
    mixes, stems = mixer.batch(8)
    noise = mixes - stems.sum(1)
    new_mixes, new_stems = remix(mixes, stems)
    new_noise = new_mixes - new_stems.sum(1)
    assert new_stems.shape == stems.shape
    for kind, before, after in (*zip("dme", stems.unbind(1), new_stems.unbind(1), strict=True),
                                ("noise", noise, new_noise)):  # fmt: skip
        levels = [x.square().mean((-1, -2)).sqrt() for x in (before, after)]
        ratios = levels[1][:, None] / levels[0].clamp_min(1e-9)[None]
        for item, wave in enumerate(after):
            scaled = before * ratios[item][:, None, None]
            error = (scaled - wave).abs().amax((-1, -2)).min()
            assert error < 1e-4, f"{kind} {item} is none of the batch, louder or softer"
    assert not torch.allclose(new_mixes, mixes)


def test_processes_that_load_draw_different_windows(data: Path) -> None:
    batches = DataLoader(Batches(data, 0.5, 2, seed=3), batch_size=None, num_workers=2)
    first, second = itertools.islice(batches, 2)
    assert not torch.equal(first[0], second[0])
    again = next(iter(DataLoader(Batches(data, 0.5, 2, seed=3), batch_size=None, num_workers=2)))
    assert torch.equal(again[0], first[0]), "the seed decides"


@pytest.mark.parametrize("n_sources", [2, 3])
def test_a_tiny_model_is_trained_exported_and_loaded_by_demucs(
    mixer: Mixer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_sources: int
) -> None:
    torch.set_num_threads(1)
    sources = SOURCES[:n_sources]
    tiny = FilmUNet(sources, samplerate=RATE, audio_channels=1, nfft=TRAINING_NFFT, **TINY)
    monkeypatch.setattr(fit, "build", lambda rank, sources: tiny)
    plan = fit.Plan(
        data=tmp_path, run=tmp_path / "run", warm_up_steps=1, averaging=0.5, sources=n_sources
    )
    plan.run.mkdir()
    trainer = fit.Trainer(plan)
    mixes, stems = mixer.batch(4)
    losses = [float(trainer.learn(trainer.model, mixes, stems)) for _ in range(8)]
    assert min(losses[-3:]) < losses[0] - 0.1, losses
    held_out = [
        (mix, stems[:, :n_sources]) for mix, stems in fixed_batches(mixer, batches=1, size=2)
    ]
    fit.report(trainer, held_out, losses[-1])
    assert (plan.run / "metrics.jsonl").read_text().count("\n") == 1
    assert np.isfinite(list(validate(trainer.average, held_out).values())).all()

    # A run that was interrupted resumes at its checkpoint.
    assert fit.Trainer(plan).step == 8

    weights = tmp_path / "tiny.safetensors"
    arguments = {**export.ARGUMENTS, **TINY, "sources": sources}
    digest = export.save(trainer.average.state_dict(), arguments, weights)
    assert len(digest) == 64
    model = load_safetensors_model(weights).eval()
    assert (model.sources, model.samplerate) == (list(sources), 44_100)
    with torch.no_grad():
        separated = apply_model(model, torch.randn(1, 2, 44_100), shifts=0, split=True)
    assert separated.shape == (1, n_sources, 2, 44_100)
    assert torch.isfinite(separated).all()


def test_a_run_can_start_from_weights_with_fewer_sources(tmp_path: Path) -> None:
    torch.manual_seed(1)
    options = {"samplerate": RATE, "audio_channels": 1, "nfft": TRAINING_NFFT, **TINY}
    before = FilmUNet(["dialogue", "music"], **options)
    path = tmp_path / "before.safetensors"
    save_file({name: value.contiguous() for name, value in before.state_dict().items()}, path)
    after = FilmUNet(SOURCES, **options)
    fit.start_from(after, path)
    audio = 0.1 * torch.randn(1, 1, RATE)
    with torch.no_grad():
        assert torch.allclose(after(audio)[:, :2], before(audio), atol=1e-6)


def test_the_exported_weights_have_a_share_of_those_at_the_start(tmp_path: Path) -> None:
    start = tmp_path / "start.safetensors"
    save_file({"weight": torch.tensor([0.0, 10.0])}, start)
    blended = export.blended({"weight": torch.tensor([1.0, 20.0])}, start, 0.3)
    assert torch.allclose(blended["weight"], torch.tensor([0.7, 17.0]))


def test_aged_stems_add_up_to_the_aged_mix() -> None:
    stems = np.random.default_rng(0).standard_normal((4, RATE)).astype(np.float32) * 0.1
    mix = stems.sum(0, keepdims=True)
    n_changed = 0
    for seed in range(30):
        aged = worn(np.random.default_rng(seed), stems)
        aged_mix = worn(np.random.default_rng(seed), mix)
        assert np.abs(aged.sum(0) - aged_mix[0]).max() < 1e-4
        n_changed += not np.array_equal(aged, stems)
    assert 10 < n_changed < 30, "some are aged, others are not"
