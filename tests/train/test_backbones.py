"""The frozen MusicGen of either package gives the same results as the original."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from ossl_train.adapter.tiny_models import write_tiny_models
from ossl_train.musicgen import Backbone, Sampling, load_backbone
from torch import Tensor

from ossl_builder.errors import OsslError

pytestmark = pytest.mark.usefixtures("one_thread")
KINDS = ("audiocraft", "transformers")
PROMPT = "a sad piano"


@dataclass(frozen=True)
class AudiocraftOutput:
    """Output of unmodified audiocraft: logits where valid, tokens, audio, and a continuation."""

    codes: Tensor
    logits: Tensor
    valid: Tensor
    tokens: Tensor
    audio: Tensor
    start: Tensor
    continued: Tensor


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def audiocraft_itself(tiny_models: Path) -> AudiocraftOutput:
    """The MusicGen of audiocraft on the same files, called by its public functions."""
    from audiocraft.models import MusicGen
    from audiocraft.modules.conditioners import ConditioningAttributes, T5Conditioner

    folder = tiny_models / "musicgen"
    with pytest.MonkeyPatch.context() as patch:
        # audiocraft only takes text encoders that it lists, by their names.
        patch.setattr(T5Conditioner, "MODELS", ["t5"])
        patch.setattr(T5Conditioner, "MODELS_DIMS", {"t5": 32})
        patch.chdir(folder)
        model = MusicGen.get_pretrained(str(folder), device="cpu")
    codes = torch.randint(0, 128, (2, 4, 40), generator=torch.Generator().manual_seed(1))
    text_tokens = model.lm.condition_provider.tokenize(
        [ConditioningAttributes(text={"description": PROMPT})] * 2
    )
    with torch.no_grad():
        predicted = model.lm.compute_predictions(
            codes, [], model.lm.condition_provider(text_tokens)
        )
    model.set_generation_params(duration=1, top_k=50)
    torch.manual_seed(5)
    audio, tokens = model.generate([PROMPT], return_tokens=True)
    model.set_generation_params(duration=1, top_k=0, cfg_coef=1.7)
    torch.manual_seed(6)
    _, continued = model.generate_continuation(
        audio[..., :16_000], 32_000, [PROMPT], return_tokens=True
    )
    return AudiocraftOutput(
        codes, predicted.logits, predicted.mask, tokens, audio, continued[..., :25], continued
    )


@pytest.fixture(scope="module")
def backbones(tiny_models: Path) -> dict[str, Backbone]:
    return {kind: load_backbone(str(tiny_models / "musicgen"), kind) for kind in KINDS}


def test_the_results_equal_audiocraft_to_the_bit(
    backbones: dict[str, Backbone], audiocraft_itself: AudiocraftOutput
) -> None:
    ours, given = backbones["audiocraft"], audiocraft_itself
    logits, valid = ours.logits(given.codes, ours.encode_text([PROMPT] * 2))
    assert torch.equal(valid, given.valid)
    assert torch.equal(logits[valid], given.logits[valid])
    tokens = ours.generate(ours.encode_text([PROMPT]), 50, Sampling(top_k=50, seed=5))
    assert torch.equal(tokens, given.tokens)
    assert torch.equal(ours.decode_audio(tokens), given.audio)
    plain = Sampling(top_k=0, text_guidance=1.7, seed=6)
    continued = ours.generate(ours.encode_text([PROMPT]), 50, plain, start=given.start)
    assert torch.equal(continued, given.continued)


def test_both_packages_compute_the_same(backbones: dict[str, Backbone]) -> None:
    one, two = (backbones[kind] for kind in KINDS)
    assert (one.shape, one.digest, one.codec_digest) == (two.shape, two.digest, two.codec_digest)
    codes = torch.randint(0, 128, (2, 4, 60))
    prompts = [PROMPT, "tense music with drums and brass"]
    left, right = (each.logits(codes, each.encode_text(prompts))[0] for each in (one, two))
    assert (left - right).abs().max() < 1e-5
    assert left.std() > 0.5
    sampling = Sampling(seed=3)
    tokens = one.generate(one.encode_text(prompts), 40, sampling)
    assert torch.equal(tokens, two.generate(two.encode_text(prompts), 40, sampling))
    audio = 0.1 * torch.randn(2, 1, 32_000)
    assert torch.equal(one.encode_audio(audio), two.encode_audio(audio))
    assert (one.decode_audio(tokens) - two.decode_audio(tokens)).abs().max() < 1e-5


def test_transformers_own_layout_is_read(
    backbones: dict[str, Backbone], tiny_models: Path, tmp_path: Path
) -> None:
    from transformers import MusicgenForConditionalGeneration

    # A separate model, because transformers changes the parts that it combines.
    ours: Any = load_backbone(str(tiny_models / "musicgen"), "transformers")
    decoder, projection = ours.language_model.module
    whole = MusicgenForConditionalGeneration(
        text_encoder=ours.text_encoder.model, audio_encoder=ours.codec.module, decoder=decoder
    )
    whole.enc_to_dec_proj.load_state_dict(projection.state_dict())
    whole.save_pretrained(tmp_path)
    ours.text_encoder.tokenizer.save_pretrained(tmp_path)
    again = load_backbone(str(tmp_path), "transformers")
    assert (again.shape, again.digest) == (ours.shape, ours.digest)
    ours = backbones["transformers"]
    codes = torch.randint(0, 128, (1, 4, 30))
    expected = ours.logits(codes, ours.encode_text([PROMPT]))[0]
    assert (again.logits(codes, again.encode_text([PROMPT]))[0] - expected).abs().max() < 1e-5
    with pytest.raises(OsslError, match="transformers' layout") as caught:
        load_backbone(str(tmp_path), "audiocraft")
    assert caught.value.code == "model_kind"


@pytest.mark.parametrize("kind", KINDS)
def test_the_future_and_other_items_of_the_batch_do_not_matter(
    backbones: dict[str, Backbone], kind: str
) -> None:
    ours = backbones[kind]
    codes = torch.randint(0, 128, (3, 4, 30))
    text = ours.encode_text(["sad", "a slow film soundtrack with strings and organ", ""])
    logits, _ = ours.logits(codes, text)
    for item, prompt in enumerate(["sad", "a slow film soundtrack with strings and organ", ""]):
        alone, _ = ours.logits(codes[item : item + 1], ours.encode_text([prompt]))
        assert (alone[0] - logits[item]).abs().max() < 1e-5
    changed = codes.clone()
    changed[:, :, 20:] = 0
    # Codebook 3 is drawn three frames later, when codebook 0 is known three frames further.
    earlier = ours.logits(changed, text)[0][:, :, :17]
    assert (earlier - logits[:, :, :17]).abs().max() < 1e-5
    later = ours.generate(text, 12, Sampling(seed=1), seeds=[9, 8, 7])
    alone = ours.generate(ours.encode_text(["sad"]), 12, Sampling(seed=9))
    assert torch.equal(later[:1], alone)


@pytest.mark.parametrize("kind", KINDS)
def test_a_window_continues_the_previous_one(backbones: dict[str, Backbone], kind: str) -> None:
    ours = backbones[kind]
    text = ours.no_text(2)
    greedy = Sampling(temperature=0)
    whole = ours.generate(text, 30, greedy)
    again = ours.generate(text, 30, greedy, start=whole[..., :17])
    assert torch.equal(again, whole)
    assert whole.max() < ours.shape.cardinality
    with pytest.raises(OsslError, match="known already"):
        ours.generate(text, 17, greedy, start=whole[..., :17])


def test_it_is_frozen_and_in_evaluation_mode(backbones: dict[str, Backbone]) -> None:
    for ours in backbones.values():
        assert not any(weight.requires_grad for weight in ours.parameters())
        assert not any(part.training for whole in ours.modules() for part in whole.modules())
        left, right = (ours.encode_text([PROMPT]).states for _ in range(2))
        assert torch.equal(left, right)  # no word dropout


def test_different_sounds_have_different_codes(backbones: dict[str, Backbone]) -> None:
    time = torch.arange(32_000) / 32_000
    sounds = [0.3 * torch.sin(2 * torch.pi * hertz * time) for hertz in (220, 1500)]
    sounds += [0.1 * sounds[0], 0.1 * torch.randn(32_000), torch.zeros(32_000)]
    codes = backbones["audiocraft"].encode_audio(torch.stack(sounds)[:, None])
    assert codes.shape == (5, 4, 50)
    for left in range(5):
        for right in range(left):
            assert (codes[left] != codes[right]).any(0).float().mean() > 0.85


def test_tiny_models_are_always_the_same(tiny_models: Path, tmp_path: Path) -> None:
    state = torch.get_rng_state()
    write_tiny_models(tmp_path)
    assert torch.equal(torch.get_rng_state(), state)
    names = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert len(names) >= 9
    for name in names:
        assert (tmp_path / name).read_bytes() == (tiny_models / name).read_bytes(), name


@pytest.mark.parametrize(
    ("source", "kind", "code"),
    [
        ("/no/such/model", "audiocraft", "model_missing"),
        ("small", "audiocraft", "model_missing"),
        ("medium", "transformers", "model_missing"),
        ("small", "jax", "model_kind"),
    ],
)
def test_a_missing_model_gives_a_clear_error(
    source: str, kind: str, code: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import huggingface_hub.constants as hub

    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(OsslError) as caught:
        load_backbone(source, kind)
    assert caught.value.code == code
    assert caught.value.hint


def test_a_truncated_model_gives_a_clear_error(tiny_models: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_models / "musicgen", tmp_path / "cut")
    whole = (folder / "state_dict.bin").read_bytes()
    (folder / "state_dict.bin").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(OsslError) as caught:
        load_backbone(str(folder))
    assert caught.value.code == "model_damaged"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_is_as_exact_at_the_end_of_a_window_as_at_its_start(
    tiny_models: Path, backbones: dict[str, Backbone], kind: str, dtype: torch.dtype
) -> None:
    exact = backbones[kind]
    half = load_backbone(str(tiny_models / "musicgen"), kind, dtype=dtype)
    codes = torch.randint(0, 128, (1, 4, 1500))
    text = exact.encode_text([PROMPT])
    with torch.no_grad():
        expected, predicted = exact.logits(codes, text)
        with torch.autocast("cpu", dtype):
            found, _ = half.logits(codes, text)
    difference = (found - expected).square().sum((0, 1, 3))
    norm = expected.square().sum((0, 1, 3))
    parts = [slice(0, 100), slice(500, 1000), slice(1000, 1490)]
    errors = [float((difference[part].sum() / norm[part].sum()).sqrt()) for part in parts]
    assert max(errors) < 0.03, errors
    assert max(errors) < 2 * errors[0], errors
    assert predicted.shape[-1] == 1500


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"conditioners": {"self_wav": {"model": "chroma_stem", "chroma_stem": {}}}}, "conditions"),
        ({"transformer_lm": {"n_q": 8}}, "stereo"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_melody_and_stereo_models_are_refused_with_the_reason(
    tiny_models: Path, tmp_path: Path, kind: str, change: dict[str, Any], told: str
) -> None:
    folder = shutil.copytree(tiny_models / "musicgen", tmp_path / "musicgen")
    package = torch.load(folder / "state_dict.bin", weights_only=True)
    settings = OmegaConf.merge(OmegaConf.create(package["xp.cfg"]), change)
    package["xp.cfg"] = OmegaConf.to_yaml(settings)
    torch.save(package, folder / "state_dict.bin")
    with pytest.raises(OsslError, match=told) as caught:
        load_backbone(str(folder), kind)
    assert caught.value.code == "model_unsupported"
