"""Errors of the reference code; each test fails if our code has the same error."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import ossl_train
import pytest
import torch
from ossl_train.adapter.adapter import AdapterConfig, VideoAdapter, adapter_for
from ossl_train.adapter.adapter_file import load_adapter, load_reference, save_adapter
from ossl_train.musicgen import Backbone, Sampling, load_backbone
from torch import Tensor

from ossl_builder.errors import OsslError

pytestmark = pytest.mark.usefixtures("one_thread")
WIDTH, TOKENS = 48, 9
PROMPT = ["a sad piano", "slow strings"]
MODEL_SIZES = {1536, 3137}
"""Width of MusicGen-medium and ViViT's number of tokens, which no code may take for given."""


@pytest.fixture(scope="module")
def backbones(tiny_models: Path) -> list[Backbone]:
    folder = str(tiny_models / "musicgen")
    return [load_backbone(folder, kind) for kind in ("audiocraft", "transformers")]


@pytest.fixture
def video() -> Tensor:
    return torch.randn(2, TOKENS, WIDTH, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def codes() -> Tensor:
    return torch.randint(0, 128, (2, 4, 30), generator=torch.Generator().manual_seed(1))


def published(adapter: VideoAdapter) -> dict[str, Tensor]:
    """An adapter's weights as the reference's language model would hold them, half precision."""
    found = {"emb.0.weight": torch.zeros(3, 3)}
    for index, layer in enumerate(adapter.layers):
        stem = f"transformer.layers.{index}"
        rows = [layer.query.weight, layer.key.weight, layer.value.weight]
        found[f"{stem}.video_cross_attention.in_proj_weight"] = torch.cat(rows)
        found[f"{stem}.video_cross_attention.out_proj.weight"] = layer.out.weight
        found[f"{stem}.video_projection.weight"] = layer.project.weight
        found[f"{stem}.video_projection.bias"] = layer.project.bias
        found[f"{stem}.video_alpha"] = layer.alpha
        found[f"{stem}.cross_attention.out_proj.weight"] = torch.zeros(3, 3)
    return {name: weight.detach().half() for name, weight in found.items()}


def logits(backbone: Backbone, adapter: VideoAdapter, codes: Tensor, video: Tensor) -> Tensor:
    with torch.no_grad(), adapter.show(video):
        return backbone.logits(codes, backbone.encode_text(PROMPT))[0]


def test_attaching_does_not_move_the_base_models_positions(
    backbones: list[Backbone], codes: Tensor, video: Tensor
) -> None:
    """The reference shadows MusicGen's position function: its frozen base is another model."""
    for backbone in backbones:
        base = backbone.logits(codes, backbone.encode_text(PROMPT))[0]
        adapter = adapter_for(backbone, video_dim=WIDTH)
        assert torch.equal(logits(backbone, adapter, codes, video), base)
        adapter.detach()


def test_the_position_fault_can_be_imitated_and_leaves_no_trace(
    backbones: list[Backbone], codes: Tensor, video: Tensor
) -> None:
    found = []
    for backbone in backbones:
        text = backbone.encode_text(PROMPT)
        base = backbone.logits(codes, text)[0]
        adapter = adapter_for(backbone, video_dim=WIDTH, reference_positions=True)
        found.append(logits(backbone, adapter, codes, video))
        assert (found[-1] - base).abs().max() > 0.1
        # Streaming uses the right step: greedy tokens are those of one forward pass.
        greedy = Sampling(temperature=0, text_guidance=1)
        with adapter.show(video):
            tokens = backbone.generate(text, 25, greedy)
            again, valid = backbone.logits(tokens, text)
        assert torch.equal(again.argmax(-1)[valid], tokens[valid])
        adapter.detach()
        assert torch.equal(backbone.logits(codes, text)[0], base)
    assert (found[0] - found[1]).abs().max() < 1e-5


def test_published_weights_are_loaded_unchanged(
    backbones: list[Backbone], codes: Tensor, video: Tensor, tmp_path: Path
) -> None:
    backbone, path = backbones[0], tmp_path / "multi7.pt"
    torch.manual_seed(0)
    made = adapter_for(backbone, video_dim=WIDTH, alpha_init=0.5, reference_positions=True).half()
    torch.save({"epoch": 7, "model_state_dict": published(made)}, path)
    expected = logits(backbone, made.float(), codes, video)
    made.detach()
    read = load_reference(path, n_heads=backbone.shape.n_heads)
    assert read.config == made.config.__class__(**{**made.config.__dict__, "alpha_init": 0.0})
    assert torch.equal(logits(backbone, read.attach(backbone), codes, video), expected)
    read.detach()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda state: {name: w for name, w in state.items() if "video" not in name},
        lambda state: {name: w for name, w in state.items() if not name.endswith("video_alpha")},
        lambda state: {**state, "video_extra.weight": torch.zeros(2, 2)},
        lambda state: {name: w for name, w in state.items() if "layers.1." not in name},
    ],
    ids=["no video", "no alpha", "a part of no layer", "a layer less"],
)
def test_a_checkpoint_that_is_not_understood_is_never_plain_musicgen(
    backbones: list[Backbone],
    tmp_path: Path,
    spoil: Callable[[dict[str, Tensor]], dict[str, Tensor]],
) -> None:
    """The reference loads under the wrong key with strict=False, and plays the base model."""
    path = tmp_path / "multi7.pt"
    made = adapter_for(backbones[0], video_dim=WIDTH)
    made.detach()
    torch.save({"model_state_dict": spoil(published(made))}, path)
    with pytest.raises(OsslError) as caught:
        load_reference(path)
    assert caught.value.code == "reference_unknown"


def test_an_adapter_with_a_weight_too_few_or_too_many_is_refused(tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    path = tmp_path / "adapter.safetensors"
    save_adapter(path, VideoAdapter(AdapterConfig(16, 2, 2, 8)), {})
    weights = load_file(path)
    with safe_open(path, "pt") as stream:
        header = stream.metadata()
    fewer = {name: weight for name, weight in weights.items() if name != "layers.1.alpha"}
    renamed = {name.replace("layers", "blocks"): weight for name, weight in weights.items()}
    wider = {**weights, "layers.1.alpha": torch.zeros(2)}
    for spoilt in (fewer, renamed, wider, {**weights, "more": torch.zeros(1)}):
        save_file(spoilt, path, header)
        with pytest.raises(OsslError) as caught:
            load_adapter(path)
        assert caught.value.code == "adapter_unreadable"


@pytest.mark.parametrize(
    ("dim", "n_heads", "n_layers", "video_dim"), [(1024, 16, 2, 768), (48, 3, 5, 20)]
)
def test_no_width_is_taken_for_given(
    dim: int, n_heads: int, n_layers: int, video_dim: int, tmp_path: Path
) -> None:
    """The reference hard-codes 1536 in its layers, so that MusicGen-small cannot run."""
    path = tmp_path / "adapter.safetensors"
    save_adapter(path, VideoAdapter(AdapterConfig(dim, n_heads, n_layers, video_dim)), {})
    layer = load_adapter(path).layers[-1]
    assert layer.project.weight.shape == (dim, video_dim)
    assert layer.out.weight.shape == (dim, dim)
    for module in Path(ossl_train.__file__).parent.glob("**/*.py"):
        if module.name == "costs.py":  # computes the costs of the published sizes
            continue
        for node in ast.walk(ast.parse(module.read_text())):
            assert not (isinstance(node, ast.Constant) and node.value in MODEL_SIZES), module


def test_the_video_is_projected_once_and_not_at_every_step(
    backbones: list[Backbone], video: Tensor
) -> None:
    """The reference projects all video tokens in every layer at every decoding step."""
    for backbone in backbones:
        adapter = adapter_for(backbone, video_dim=WIDTH, alpha_init=0.5)
        with adapter.show(video):
            backbone.generate(backbone.encode_text(PROMPT), 20, Sampling(text_guidance=3))
        assert adapter.projections == backbone.shape.n_layers
        adapter.detach()


def test_guidance_can_strengthen_the_video(backbones: list[Backbone], video: Tensor) -> None:
    """In the reference both halves see the video, so it cancels in their difference."""
    for backbone in backbones:
        text = backbone.no_text(2)
        adapter = adapter_for(backbone, video_dim=WIDTH, alpha_init=0.5)
        runs = []
        for weight in (1.0, 4.0):
            greedy = Sampling(temperature=0, text_guidance=3, video_guidance=weight)
            with adapter.show(video):
                runs.append(backbone.generate(text, 12, greedy))
                seeing, valid = backbone.logits(runs[-1], text)
            adapter.detach()
            blind, _ = backbone.logits(runs[-1], text)
            adapter.attach(backbone)
            weighed = blind + weight * (seeing - blind)
            assert torch.equal(weighed.argmax(-1)[valid], runs[-1][valid])
        assert not torch.equal(*runs)
        adapter.detach()


def test_a_blind_copy_is_the_base_model_to_the_bit(
    backbones: list[Backbone], codes: Tensor, video: Tensor
) -> None:
    for backbone in backbones:
        text = backbone.encode_text(PROMPT * 2)
        twice = codes.repeat(2, 1, 1)
        base = backbone.logits(twice, text)[0]
        adapter = adapter_for(backbone, video_dim=WIDTH, alpha_init=0.5)
        with adapter.show(video, guidance="none"):
            blind = backbone.logits(twice, text)[0]
        with adapter.show(video, guidance="same"):
            same = backbone.logits(twice, text)[0]
        adapter.detach()
        assert torch.equal(blind[2:], base[2:])
        assert torch.equal(blind[:2], same[:2])
        assert torch.equal(same[2:], same[:2])
        assert (same[2:] - base[2:]).abs().max() > 0.1
