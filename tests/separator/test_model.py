"""The bundled separator: from a mix, it makes two finite stems of the same shape."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from demucs.apply import apply_model
from demucs.hf import load_safetensors_model

import ossl_builder.separator
from ossl_builder.models import separators
from ossl_builder.separator.model import BINS, TRAINING_NFFT, FilmUNet, _raised
from ossl_builder.stages.cues.settings import CuesSettings

pytest.importorskip("torch")
pytest.importorskip("demucs")
pytest.importorskip("safetensors")


WEIGHTS = Path(ossl_builder.separator.__file__).parent / "bundled.safetensors"
MEDIA = Path(os.environ.get("OSSL_TEST_MEDIA", "shared/media"))
RATE = 44_100


@pytest.fixture(scope="module")
def model():
    torch.set_num_threads(1)
    return load_safetensors_model(WEIGHTS).eval()


@pytest.fixture(scope="module")
def chord():
    """Four seconds of struck chords in stereo, [1, 2, samples]."""
    time = torch.arange(RATE // 2) / RATE
    bars = []
    for root in (220.0, 174.6, 261.6, 196.0, 220.0, 174.6, 196.0, 220.0):
        notes = [
            torch.sin(2 * torch.pi * root * ratio * harmonic * time) / harmonic**1.5
            for ratio in (1.0, 1.25, 1.5, 2.0)
            for harmonic in (1, 2, 3, 4, 5, 6)
        ]
        bars.append(sum(notes) * 0.05 * torch.exp(-3 * time) * (1 - torch.exp(-200 * time)))
    left = torch.cat(bars)
    return torch.stack([left, 0.7 * left])[None]


def separate(model, mix):
    with torch.no_grad():
        return model(mix)


def rms(audio):
    return float(audio.square().mean().sqrt())


def test_the_model_file_has_metadata_and_is_small(model):
    assert isinstance(model, FilmUNet)
    assert model.sources == ["dialogue", "music"]
    assert (model.samplerate, model.audio_channels, model.segment) == (RATE, 2, 11.8)
    assert WEIGHTS.stat().st_size < 16_000_000


def test_both_grids_have_the_same_frequency_bins():
    assert FilmUNet().nfft / RATE == pytest.approx(TRAINING_NFFT / 16_000, rel=1e-4)
    assert BINS == TRAINING_NFFT // 2


@pytest.mark.parametrize("samples", [1, 700, 4_095, 4_096, 44_100, 50_001])
def test_any_length_gives_finite_stems_of_that_length(model, samples):
    mix = torch.randn(1, 2, samples, generator=torch.Generator().manual_seed(0)) * 0.1
    stems = separate(model, mix)
    assert stems.shape == (1, 2, 2, samples)
    assert torch.isfinite(stems).all()


def test_demucs_applies_it_by_segments(model):
    mix = torch.randn(1, 2, 13 * RATE + 17, generator=torch.Generator().manual_seed(0)) * 0.1
    first = apply_model(model, mix, shifts=0, split=True, overlap=0.25)
    again = apply_model(model, mix, shifts=0, split=True, overlap=0.25)
    assert first.shape == (1, 2, 2, mix.shape[-1])
    assert torch.equal(first, again)


def test_an_item_is_the_same_alone_and_in_a_batch(model, chord):
    noise = torch.randn(chord.shape, generator=torch.Generator().manual_seed(1))
    batch = separate(model, torch.cat([chord, noise, chord * 0.01]))
    assert torch.allclose(batch[:1], separate(model, chord), atol=1e-5)
    assert torch.allclose(batch[1:2], separate(model, noise), atol=1e-5)


@pytest.mark.parametrize("gain_db", [-40, -12, 6])
def test_the_level_of_the_mix_does_not_matter(model, chord, gain_db):
    gain = 10 ** (gain_db / 20)
    quiet = separate(model, chord * gain) / gain
    assert torch.allclose(quiet, separate(model, chord), atol=1e-3)


def test_silence_stays_silence(model):
    assert not separate(model, torch.zeros(1, 2, RATE)).any()
    faint = torch.randn(1, 2, RATE, generator=torch.Generator().manual_seed(0)) * 1e-7
    stems = separate(model, faint)
    assert torch.isfinite(stems).all()
    assert stems.abs().max() < 1e-6


def test_a_stem_is_never_louder_than_the_mix_and_keeps_its_stereo_image(model, chord):
    stems = separate(model, chord)
    assert rms(stems[:, 1]) <= rms(chord) * 1.01
    left, right = stems[0, 1]
    assert rms(right) / rms(left) == pytest.approx(0.7, rel=1e-3)


def test_channels_that_cancel_are_not_lost(model, chord):
    opposed = torch.cat([chord[:, :1], -chord[:, :1]], dim=1)
    together = torch.cat([chord[:, :1], chord[:, :1]], dim=1)
    music, expected = separate(model, opposed)[:, 1], separate(model, together)[:, 1]
    assert torch.allclose(music[:, 0], expected[:, 0], atol=1e-5)


def test_a_chord_is_music_and_hiss_is_neither(model, chord):
    dialogue, music = separate(model, chord)[0]
    assert rms(music) > 0.7 * rms(chord)
    assert rms(dialogue) < 0.2 * rms(chord)
    hiss = torch.randn(1, 2, 4 * RATE, generator=torch.Generator().manual_seed(2)) * 0.01
    for stem in separate(model, hiss)[0]:
        assert rms(stem) < 0.1 * rms(hiss)


def test_masks_that_pass_less_than_all_are_raised_to_the_root_of_their_sum():
    masks = torch.tensor([[0.16, 0.09], [0.7, 0.9], [0.0, 0.0], [1.0, 0.0]])  # [bins, sources]
    raised = _raised(masks)
    assert torch.allclose(raised.sum(1), torch.tensor([0.5, 1.6, 0.0, 1.0]))
    assert torch.allclose(raised[0], torch.tensor([0.32, 0.18])), "the ratio stays"


@pytest.mark.parametrize("film", ["steamboat", "sintel", "caminandes"])
def test_cues_of_real_soundtracks(film):
    """With the default settings of the stages, against marks of every second."""
    from separator import soundtracks

    marks = json.loads(soundtracks.MARKS.read_text())["films"]
    mark = next(mark for mark in marks if mark["id"] == film)
    model = separators.load("bundled", {}, {}, "cpu")
    assert soundtracks.film_scores(mark, model, CuesSettings())["cue_f1"] >= 0.89


@pytest.mark.skipif(
    not (MEDIA / "mixfilm" / "truth.json").exists(),
    reason="needs the shared media folder: set OSSL_TEST_MEDIA",
)
def test_gain_and_cues_on_a_real_film():
    from separator.score import Film, score

    figures = score(Film.load(MEDIA / "mixfilm"), "bundled", noise_dbfs=[-42.0])
    assert figures["music_gain"] >= 7
    assert figures["dialogue_gain"] >= 7
    for condition in ("clean", "noise -42 dBFS"):
        assert figures[condition]["cue_f1"] >= 0.95
        assert figures[condition]["claimed_in_speech_alone"] <= 0.02
    assert np.isfinite(figures["processor_s_per_s"])
