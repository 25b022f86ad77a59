"""Bags of separation models, speech enhancers, and Spleeter's network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from demucs.apply import apply_model
from demucs.hdemucs import HDemucs

from ossl_builder.config import load_recipe
from ossl_builder.errors import OsslError
from ossl_builder.models import demucs, separators
from ossl_builder.models.spleeter import Spleeter
from tests.models.test_demucs import save, tiny_ht
from tests.models.tiny_onnx import multiply

RATE = 44_100


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def tiny(sources: list[str]) -> HDemucs:
    return HDemucs(sources, samplerate=RATE, segment=0.5, channels=4, nfft=1024, depth=5)


def separated(model: separators.Separator, mix: np.ndarray, block: int = 5_000) -> np.ndarray:
    blocks = (mix[:, at : at + block] for at in range(0, mix.shape[1], block))
    return np.concatenate(list(demucs.separate(model.members, blocks)), axis=-1)


def noise(seconds: float, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal((2, round(seconds * RATE)))).astype(np.float32)


def test_names_are_joined_by_plus_but_a_path_is_one_name():
    assert separators.names_of("bundled") == ("bundled",)
    assert separators.names_of("bundled+spleeter") == ("bundled", "spleeter")
    assert separators.names_of("/models/a+b.safetensors") == ("/models/a+b.safetensors",)
    assert separators.names_of(("bundled", "./a+b.onnx")) == ("bundled", "./a+b.onnx")


def test_bag_averages_stems_of_models_with_other_source_names(tmp_path):
    mix = noise(1.7)
    parts = {"a": tiny(["speech", "drums", "bass"]), "b": tiny(["accompaniment", "vocals"])}
    paths = [str(save(part, tmp_path / f"{name}.safetensors")) for name, part in parts.items()]
    with torch.no_grad():
        alone = [
            apply_model(part.eval(), torch.from_numpy(mix)[None], shifts=0)[0].numpy()
            for part in parts.values()
        ]
    music = [alone[0][1] + alone[0][2], alone[1][0]]
    dialogue = [alone[0][0], alone[1][1]]

    bag = separators.load(tuple(paths), {}, {}, "cpu")
    assert bag.roles == ("music", "dialogue")
    result = separated(bag, mix)
    assert np.abs(result[0] - np.mean(music, axis=0)).max() < 1e-6
    assert np.abs(result[1] - np.mean(dialogue, axis=0)).max() < 1e-6

    weighted = separators.load(tuple(paths), {paths[1]: {"music": 3.0, "dialogue": 0.0}}, {}, "cpu")
    result = separated(weighted, mix)
    assert np.abs(result[0] - (music[0] + 3 * music[1]) / 4).max() < 1e-6
    assert np.abs(result[1] - dialogue[0]).max() < 1e-6


def test_a_stem_that_one_model_lacks_comes_from_the_other(tmp_path):
    mix = noise(0.9)
    paths = [
        str(save(tiny(["speech", "music", "effects"]), tmp_path / "a.safetensors")),
        str(save(tiny(["music", "speech"]), tmp_path / "b.safetensors")),
    ]
    bag = separators.load(tuple(paths), {}, {}, "cpu")
    assert bag.roles == ("music", "dialogue", "effects")
    alone = separators.load(paths[0], {}, {}, "cpu")
    assert np.abs(separated(bag, mix)[2] - separated(alone, mix)[2]).max() < 1e-6


def test_blocks_do_not_change_the_result_of_a_bag(tmp_path):
    paths = [
        str(save(tiny(["speech", "music"]), tmp_path / "a.safetensors")),
        str(multiply(tmp_path / "half.onnx", 0.5)),
    ]
    bag = separators.load(tuple(paths), {}, {}, "cpu")
    mix = noise(2.3)
    assert np.array_equal(separated(bag, mix, 1_000), separated(bag, mix, 100_000))


@pytest.mark.parametrize(
    ("model", "weights", "roles", "code"),
    [
        (("a",), {"b": {"music": 1.0}}, {}, "model_invalid"),
        (("a", "other_rate"), {}, {}, "model_invalid"),
        (("a",), {}, {"crowd": "effects"}, "source_unknown"),
        (("a",), {"a": {"music": 0.0}}, {}, "model_invalid"),
    ],
)
def test_recipe_mistakes_are_named(tmp_path, model, weights, roles, code):
    save(tiny(["speech", "music"]), tmp_path / "a.safetensors")
    save(tiny_ht(["speech", "music"]), tmp_path / "other_rate.safetensors")
    paths = tuple(str(tmp_path / f"{name}.safetensors") for name in model)
    weights = {str(tmp_path / f"{name}.safetensors"): of for name, of in weights.items()}
    with pytest.raises(OsslError) as raised:
        separators.load(paths, weights, roles, "cpu")
    assert raised.value.code == code


def test_enhancer_gives_speech_and_what_is_left(tmp_path):
    path = str(multiply(tmp_path / "half.onnx", 0.5))
    model = separators.load(path, {}, {}, "cpu")
    time_s = np.arange(3 * RATE) / RATE
    tone = (0.3 * np.sin(2 * np.pi * 440 * time_s)).astype(np.float32)
    mix = np.stack([tone, -0.2 * tone])
    music, dialogue = separated(model, mix)
    # At the ends, resampling sees the silence outside.
    inside = slice(2_000, -2_000)
    assert np.abs(dialogue - 0.5 * mix)[:, inside].max() < 1e-3
    assert np.abs(music + dialogue - mix).max() < 1e-6


def test_equal_channels_are_enhanced_once(tmp_path, monkeypatch):
    from ossl_builder.models.speech_enhancer import SpeechEnhancer

    calls = []

    def enhance(audio: np.ndarray) -> np.ndarray:
        calls.append(len(audio))
        return audio

    part = SpeechEnhancer(enhance)
    mono = torch.from_numpy(np.repeat(noise(1)[:1], 2, axis=0))[None]
    part(mono)
    assert len(calls) == 1
    part(torch.from_numpy(noise(1))[None])
    assert len(calls) == 3


@pytest.mark.parametrize("kind", ["two inputs", "no ONNX", "fixed length"])
def test_a_file_that_is_no_enhancer_is_refused(tmp_path, kind):
    path = tmp_path / "model.onnx"
    if kind == "no ONNX":
        path.write_bytes(b"not a network")
    else:
        multiply(path, 0.5, *((100,) if kind == "fixed length" else ()),
                 n_inputs=2 if kind == "two inputs" else 1)  # fmt: skip
    with pytest.raises(OsslError) as raised:
        separated(separators.load(str(path), {}, {}, "cpu"), noise(1))
    assert raised.value.code == "model_invalid"


def test_spleeters_masks_share_the_mix(tmp_path):
    network = Spleeter().eval()
    model = separators.load(str(save(network, tmp_path / "s.safetensors")), {}, {}, "cpu")
    assert model.roles == ("music", "dialogue")
    mix = noise(14.0)
    with torch.no_grad():
        vocals, accompaniment = apply_model(network, torch.from_numpy(mix)[None], shifts=0)[0]
    music, dialogue = separated(model, mix)
    assert np.abs(music - accompaniment.numpy()).max() < 1e-6
    assert np.abs(dialogue - vocals.numpy()).max() < 1e-6
    assert np.abs(music + dialogue - mix).max() < 1e-4


def test_fingerprint_of_a_bag_changes_with_each_member(tmp_path):
    first = str(save(tiny(["speech", "music"]), tmp_path / "a.safetensors"))
    second = str(multiply(tmp_path / "b.onnx", 0.5))
    before = separators.fingerprint((first, second))
    assert before is not None
    assert before not in (separators.fingerprint(first), separators.fingerprint(second))
    multiply(Path(second), 0.25)
    assert separators.fingerprint((first, second)) != before
    Path(second).unlink()
    assert separators.fingerprint((first, second)) is None


@pytest.mark.parametrize("weight", ["{music: -1}", "{musik: 1}", "{music: .nan}"])
def test_weights_that_make_no_average_are_refused(tmp_path, weight):
    recipe = tmp_path / "ossl.yaml"
    recipe.write_text(f"stems: {{model: bundled, weights: {{bundled: {weight}}}}}\n")
    with pytest.raises(OsslError) as raised:
        load_recipe(recipe)
    assert raised.value.code == "recipe_invalid"
