"""Video encoders of several kinds, tiny and random, give tokens at their own rates."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from ossl_train.data.storage import read_metadata, read_tensor, store_path
from ossl_train.data.video_encoder import encoder_shape, load_encoder

from ossl_builder.errors import OsslError
from tests.e2e.corpora import Ossl
from tests.train.labelled_corpus import SPLIT_OF

LAYERS = {"num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
SIZE = {"height": 32, "width": 32}


def write_videomae(folder: Path) -> None:
    config = transformers.VideoMAEConfig(
        image_size=32, patch_size=16, num_frames=16, tubelet_size=2, hidden_size=48, **LAYERS
    )
    transformers.VideoMAEModel(config).save_pretrained(folder)
    transformers.VideoMAEImageProcessor(size={"shortest_edge": 32}, crop_size=SIZE).save_pretrained(
        folder
    )


def write_clip(folder: Path) -> None:
    vision = {"image_size": 32, "patch_size": 16, "hidden_size": 48, **LAYERS}
    text = {"vocab_size": 50, "hidden_size": 32, **LAYERS}
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)
    transformers.CLIPModel(config).save_pretrained(folder)  # a whole CLIP, as on the hub
    transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=SIZE).save_pretrained(
        folder
    )


def write_siglip(folder: Path) -> None:
    config = transformers.SiglipVisionConfig(image_size=32, patch_size=16, hidden_size=48, **LAYERS)
    transformers.SiglipVisionModel(config).save_pretrained(folder)
    transformers.SiglipImageProcessor(size=SIZE).save_pretrained(folder)


def write_dinov2(folder: Path) -> None:
    config = transformers.Dinov2Config(
        image_size=32, patch_size=16, hidden_size=48, num_hidden_layers=2, num_attention_heads=4
    )
    transformers.Dinov2Model(config).save_pretrained(folder)
    transformers.BitImageProcessor(size={"shortest_edge": 32}, crop_size=SIZE).save_pretrained(
        folder
    )


def write_efficientnet(folder: Path) -> None:
    config = transformers.EfficientNetConfig(
        image_size=32, width_coefficient=0.25, depth_coefficient=0.3, hidden_dim=320
    )
    model = transformers.EfficientNetModel(config)
    for module in model.modules():  # as transformers initialises it, the output vanishes
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.constant_(module.weight, 2.0)
    model.save_pretrained(folder)
    transformers.EfficientNetImageProcessor(size=SIZE).save_pretrained(folder)


IMAGES: dict[str, Callable[[Path], None]] = {
    "clip": write_clip,
    "siglip": write_siglip,
    "dinov2": write_dinov2,
    "efficientnet": write_efficientnet,
}


def frames(count: int) -> list[np.ndarray]:
    source = np.random.default_rng(0)
    return [source.integers(0, 256, (40, 56, 3)).astype(np.uint8) for _ in range(count)]


@pytest.mark.parametrize("name", IMAGES)
def test_image_encoders_give_a_token_a_frame(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    IMAGES[name](tmp_path / name)
    encoder = load_encoder(str(tmp_path / name), "main", 6, "cpu")
    shape = encoder.shape
    assert (shape.n_frames, shape.n_slots, shape.per_slot) == (6, 6, 1)
    assert encoder_shape(str(tmp_path / name), "main", 6) == shape
    shown = frames(6)
    pixels = encoder.prepared(shown)
    states = encoder.states(pixels[None], "fp32")
    assert states.shape == (1, 7, shape.width)
    assert torch.allclose(states[:, 0], states[:, 1:].mean(1), rtol=1e-5)
    near = 1e-4 * float(states.abs().max())
    assert near > 1e-6
    # Each token is that of its frame alone, whatever its neighbours are.
    alone = encoder.states(encoder.prepared(shown[3:4])[None], "fp32")[0, 1]
    assert torch.allclose(states[0, 4], alone, atol=near)
    assert not torch.allclose(states[0, 4], states[0, 3], atol=near)
    two = encoder.states(torch.stack([pixels.flip(0), pixels]), "fp32")
    assert torch.allclose(two[1], states[0], atol=near)


def test_videomae_gives_tokens_of_two_frames_each(tmp_path: Path) -> None:
    torch.manual_seed(0)
    write_videomae(tmp_path / "videomae")
    encoder = load_encoder(str(tmp_path / "videomae"), "main", 32, "cpu")
    shape = encoder.shape
    assert (shape.n_frames, shape.n_slots, shape.per_slot, shape.width) == (16, 8, 4, 48)
    pixels = encoder.prepared(frames(16))
    assert pixels.shape == (16, 3, 32, 32)
    states = encoder.states(pixels[None], "fp32")
    with torch.no_grad():
        expected = encoder.model(pixel_values=pixels[None]).last_hidden_state
    assert torch.equal(states[:, 1:], expected)
    assert torch.allclose(states[:, 0], expected.mean(1), atol=1e-6)


def test_vivit_without_optional_keys_in_its_configuration(
    tiny_models: Path, tmp_path: Path
) -> None:
    """transformers leaves out values that are its defaults."""
    folder = tmp_path / "vivit"
    folder.mkdir()
    config = json.loads((tiny_models / "vivit/config.json").read_text())
    assert config.pop("num_frames") == 32  # the class's default
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("preprocessor_config.json", "model.safetensors"):
        (folder / name).write_bytes((tiny_models / "vivit" / name).read_bytes())
    assert encoder_shape(str(folder), "main", 5).n_frames == 32


@pytest.mark.parametrize(
    ("config", "told"),
    [({"model_type": "bert"}, "bert"), ({"model_type": "no such"}, "no such"), ({}, "")],
)
def test_other_models_are_refused(config: dict[str, str], told: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(OsslError, match="cannot be loaded as a video encoder") as caught:
        encoder_shape(str(tmp_path), "main", 8)
    assert caught.value.code == "model_invalid"
    assert told in caught.value.message


def test_features_of_a_corpus_by_clip(ossl: Ossl, corpus: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    write_clip(tmp_path / "clip")
    chosen = ("--recipe", "tiny_cpu", "--set", f"features.encoder={tmp_path / 'clip'}")
    ossl("-C", corpus, "train", "features", *chosen, "--set", "features.frames=10")
    encoder = load_encoder(str(tmp_path / "clip"), "main", 10, "cpu")
    for film in SPLIT_OF:
        path = store_path(corpus, film, "features")
        metadata = read_metadata(path)
        assert (metadata["slots"], metadata["per_slot"], metadata["width"]) == (10, 1, 48)
        for key, window in metadata["windows"].items():
            assert len(window["sample_s"]) == 10
            assert read_tensor(path, key).shape == (11, encoder.shape.width)
    # Training with another number of frames is refused: the tokens have other times.
    other = ("--set", "features.frames=12")
    refused = ossl("-C", corpus, "train", "fit", *chosen, *other, "--dry-run", code=1)
    assert "frames_per_window" in refused.stderr
    ossl("-C", corpus, "train", "features", *chosen, *other)
    assert read_metadata(path)["slots"] == 12
    ossl("-C", corpus, "train", "fit", *chosen, *other, "--dry-run")
