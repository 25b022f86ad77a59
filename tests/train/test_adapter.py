"""The video adapter: its effect on the logits, and that it changes nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from ossl_train.adapter.adapter import AdapterConfig, VideoAdapter, adapter_for
from ossl_train.adapter.adapter_file import load_adapter, read_metadata, save_adapter
from ossl_train.musicgen import Backbone, Sampling, load_backbone
from torch import Tensor

from ossl_builder.errors import OsslError

pytestmark = pytest.mark.usefixtures("one_thread")
KINDS = ("audiocraft", "transformers")
WIDTH, TOKENS = 48, 17
PROMPTS = ["a sad piano", "tense music with drums and brass"]
TIMES = torch.arange(TOKENS) * 0.05
Load = Callable[..., Backbone]


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def load(tiny_models: Path) -> Load:
    loaded: dict[Any, Backbone] = {}

    def get(kind: str = "audiocraft", dtype: torch.dtype = torch.float32) -> Backbone:
        if (kind, dtype) not in loaded:
            loaded[kind, dtype] = load_backbone(str(tiny_models / "musicgen"), kind, dtype=dtype)
        return loaded[kind, dtype]

    return get


@pytest.fixture
def codes() -> Tensor:
    return torch.randint(0, 128, (2, 4, 30))


@pytest.fixture
def video() -> Tensor:
    return torch.randn(2, TOKENS, WIDTH)


def times(batch: int = 2) -> Tensor:
    return TIMES.expand(batch, -1)


def active_adapter(backbone: Backbone, **settings: Any) -> VideoAdapter:
    """An adapter whose alphas are not 0."""
    return adapter_for(backbone, video_dim=WIDTH, alpha_init=0.7, **settings)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_at_alpha_0_it_is_the_base_model_to_the_bit(
    load: Load, kind: str, dtype: torch.dtype, codes: Tensor, video: Tensor
) -> None:
    backbone = load(kind, dtype)
    text = backbone.encode_text(PROMPTS)
    sampling = Sampling(seed=4)
    with torch.no_grad():
        base = backbone.logits(codes, text)[0]
    tokens = backbone.generate(text, 20, sampling)
    audio = backbone.decode_audio(tokens)
    adapter = adapter_for(backbone, video_dim=WIDTH, positions="time", dialogue=True)
    dialogue = torch.rand(2, TOKENS, 2)
    try:
        assert {weight.dtype for weight in adapter.parameters()} == {torch.float32}
        with adapter.show(video, times(), dialogue=dialogue):
            assert torch.equal(backbone.logits(codes, text)[0], base)
            again = backbone.generate(text, 20, sampling)
            assert torch.equal(again, tokens)
            assert torch.equal(backbone.decode_audio(again), audio)
        torch.nn.init.constant_(adapter.layers[0].alpha, 1.0)
        with adapter.show(video, times(), dialogue=dialogue):
            assert (backbone.logits(codes, text)[0] - base).abs().max() > 0.1
        with adapter.show(video, times(), dialogue=dialogue, strength=0.0):
            assert torch.equal(backbone.logits(codes, text)[0], base)
        assert torch.equal(backbone.logits(codes, text)[0], base)  # outside of the block
    finally:
        adapter.detach()


def test_one_file_works_with_both_packages(
    load: Load, codes: Tensor, video: Tensor, tmp_path: Path
) -> None:
    path = tmp_path / "adapter.safetensors"
    made = active_adapter(load("audiocraft"), positions="time", dialogue=True)
    torch.nn.init.normal_(made.film.outer.weight)
    save_adapter(path, made, {"recipe": "small"})
    made.detach()
    dialogue = torch.rand(2, TOKENS, 2)
    found = []
    for kind in KINDS:
        backbone = load(kind)
        adapter = load_adapter(path).attach(backbone)
        with adapter.show(video, times(), dialogue=dialogue):
            found.append(backbone.logits(codes, backbone.encode_text(PROMPTS))[0])
        adapter.detach()
    assert (found[0] - found[1]).abs().max() < 1e-5
    assert read_metadata(path) == {"recipe": "small"}


def test_a_file_has_only_the_adapter_and_always_the_same_bytes(load: Load, tmp_path: Path) -> None:
    adapter = active_adapter(load(), dialogue=True)
    assert {name.split(".")[0] for name in adapter.state_dict()} == {"layers", "film"}
    one, two = tmp_path / "one", tmp_path / "two"
    for path in (one, two):
        save_adapter(path, adapter, {"b": "2", "a": "1", "c": "3"})
    assert one.read_bytes() == two.read_bytes()
    assert one.stat().st_mode & 0o777 == 0o644
    again = load_adapter(one)
    assert again.config == adapter.config
    for name, weight in adapter.state_dict().items():
        assert torch.equal(again.state_dict()[name], weight)
    adapter.detach()


@pytest.mark.parametrize("kind", KINDS)
def test_keys_and_values_are_computed_once_per_window(
    load: Load, kind: str, codes: Tensor, video: Tensor
) -> None:
    backbone = load(kind)
    text, sampling = backbone.encode_text(PROMPTS), Sampling(seed=2)
    adapter = active_adapter(backbone, positions="time")
    found = []
    for caching, projections in ((True, 1), (False, 24 + 3 + 2)):
        adapter.projections = 0
        with torch.no_grad(), adapter.show(video, times(), caching=caching):
            tokens = backbone.generate(text, 24, sampling)
            found.append((tokens, [backbone.logits(codes, text)[0] for _ in range(2)]))
        assert adapter.projections == backbone.shape.n_layers * projections
    adapter.detach()
    (cached, logits), (uncached, expected) = found
    assert torch.equal(cached, uncached)
    for one, two in zip(logits, expected, strict=True):
        assert (one - two).abs().max() < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_streamed_logits_are_those_of_one_forward(
    load: Load, kind: str, codes: Tensor, video: Tensor
) -> None:
    backbone = load(kind)
    model, text = backbone.language_model, backbone.encode_text(PROMPTS)
    adapter = active_adapter(backbone, positions="time")
    with torch.no_grad(), adapter.show(video, times()):
        whole = model.forward(codes, text)
        with model.streaming(text, codes.shape[-1]) as step:
            steps = [step(codes[..., now : now + 1]) for now in range(codes.shape[-1])]
    adapter.detach()
    assert (torch.stack(steps, dim=2) - whole).abs().max() < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_adapter_gets_gradients(
    load: Load, kind: str, codes: Tensor, video: Tensor
) -> None:
    backbone = load(kind)
    adapter = active_adapter(backbone, positions="time", dialogue=True).train()
    torch.nn.init.normal_(adapter.film.outer.weight)
    text = backbone.encode_text(PROMPTS)
    keep = torch.tensor([True, False])
    for _ in range(2):  # the second backward pass has a new graph
        with adapter.show(video, times(), keep=keep, dialogue=torch.rand(2, TOKENS, 2)):
            backbone.logits(codes, text)[0].square().mean().backward()
    assert all(weight.grad is None for weight in backbone.parameters())
    assert not any(part.training for whole in backbone.modules() for part in whole.modules())
    for name, weight in adapter.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().max() > 0, name
    adapter.detach()


@pytest.mark.parametrize("kind", KINDS)
def test_a_bf16_model_fits_an_adapter_in_full_precision(
    load: Load, kind: str, codes: Tensor, video: Tensor
) -> None:
    backbone = load(kind, torch.bfloat16)
    adapter = active_adapter(backbone, positions="time")
    text = backbone.encode_text(PROMPTS)
    with adapter.show(video, times()), torch.autocast("cpu", torch.bfloat16):
        logits = backbone.logits(codes, text)[0]
    logits.square().mean().backward()
    adapter.detach()
    exact = load(kind)
    adapter.attach(exact)
    with torch.no_grad(), adapter.show(video, times()):
        expected = exact.logits(codes, text)[0]
    adapter.detach()
    assert logits.dtype == torch.float32
    assert (logits - expected).abs().mean() < 0.05 * expected.std()
    for weight in adapter.parameters():
        assert weight.grad.dtype == torch.float32
        assert torch.isfinite(weight.grad).all()
        assert weight.grad.abs().max() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_padding_and_other_items_of_the_batch_do_not_matter(
    load: Load, kind: str, codes: Tensor, video: Tensor
) -> None:
    backbone = load(kind)
    text = backbone.encode_text(PROMPTS)
    base = backbone.logits(codes, text)[0]
    adapter = active_adapter(backbone, positions="time")
    mask = torch.ones(2, TOKENS, dtype=torch.bool)
    mask[0, 9:] = False
    padded = video.clone()
    padded[0, 9:] = 1e3
    with adapter.show(padded, times(), mask=mask):
        both = backbone.logits(codes, text)[0]
    with adapter.show(video[:1, :9], times(1)[:, :9]):
        alone = backbone.logits(codes[:1], backbone.encode_text(PROMPTS[:1]))[0]
    assert (alone[0] - both[0]).abs().max() < 1e-5
    # An item whose video is dropped or missing has the logits of the base model.
    with adapter.show(video, times(), keep=torch.tensor([False, True])):
        dropped = backbone.logits(codes, text)[0]
    mask[0] = False
    with adapter.show(video, times(), mask=mask):
        without = backbone.logits(codes, text)[0]
    adapter.detach()
    for seen in (dropped, without):
        assert torch.equal(seen[0], base[0])
        assert (seen[1] - base[1]).abs().max() > 0.1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("for_text", "for_video"), [(3.0, 1.0), (2.0, 2.0), (3.0, 1.5), (1.0, 1.0)]
)
def test_guidance_weighs_text_and_video(
    load: Load, kind: str, for_text: float, for_video: float, video: Tensor
) -> None:
    backbone = load(kind)
    text = backbone.encode_text(PROMPTS)
    adapter = active_adapter(backbone, positions="time")
    greedy = Sampling(temperature=0, text_guidance=for_text, video_guidance=for_video)
    with adapter.show(video, times()):
        tokens = backbone.generate(text, 20, greedy)
        both, valid = backbone.logits(tokens, text)
        seeing, _ = backbone.logits(tokens, text.without_text())
    adapter.detach()
    nothing, _ = backbone.logits(tokens, text.without_text())
    weighed = nothing + for_video * (seeing - nothing) + for_text * (both - seeing)
    assert torch.equal(weighed.argmax(-1)[valid], tokens[valid])


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_for_no_video_learn_where_the_video_is_dropped(
    load: Load, kind: str, codes: Tensor, video: Tensor
) -> None:
    """Error: a dropped video has no gradient, so that training without video changes nothing."""
    backbone = load(kind)
    text = backbone.encode_text(PROMPTS)
    base = backbone.logits(codes, text)[0]
    adapter = active_adapter(backbone, positions="time", null_tokens=3)

    def gradients_of_item(item: int, keep: Tensor) -> dict[str, float]:
        adapter.zero_grad()
        with adapter.show(video, times(), keep=keep):
            logits = backbone.logits(codes, text)[0]
        logits[item].square().mean().backward()
        grads = {name: weight.grad for name, weight in adapter.named_parameters()}
        return {name: float(grad.abs().max()) for name, grad in grads.items()}

    dropped = gradients_of_item(1, torch.tensor([True, False]))
    assert min(dropped.values()) > 0
    kept = gradients_of_item(0, torch.tensor([True, False]))
    assert kept.pop("null") == 0
    assert min(kept.values()) > 0
    # "No video" does not depend on the video, and it is not the base model.
    with torch.no_grad():
        outputs = []
        for shown in (video, torch.randn_like(video)):
            with adapter.show(shown, times(), keep=torch.tensor([False, True])):
                outputs.append(backbone.logits(codes, text)[0])
        with adapter.show(video, times(), mask=torch.zeros(2, TOKENS, dtype=torch.bool)):
            missing = backbone.logits(codes, text)[0]
        with adapter.show(video, times(), keep=torch.tensor([False, True]), strength=0.0):
            switched_off = backbone.logits(codes, text)[0]
        with adapter.show(video[1:], times(1)):
            alone = backbone.logits(codes[1:], backbone.encode_text(PROMPTS[1:]))[0]
    adapter.detach()
    assert torch.equal(outputs[0][0], outputs[1][0])
    assert (outputs[0][1] - outputs[1][1]).abs().max() > 0.1
    assert (outputs[0][0] - base[0]).abs().max() > 0.1
    assert (missing[0] - outputs[0][0]).abs().max() < 1e-5
    assert torch.equal(switched_off, base)
    # The item with a video does not see the tokens for none.
    assert (alone[0] - outputs[0][1]).abs().max() < 1e-4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("for_text", "for_video"), [(3.0, 1.0), (2.0, 2.0), (3.0, 1.5)])
def test_guidance_of_an_adapter_that_knows_no_video_starts_from_it(
    load: Load, kind: str, for_text: float, for_video: float, video: Tensor
) -> None:
    backbone = load(kind)
    text = backbone.encode_text(PROMPTS)
    adapter = active_adapter(backbone, positions="time", null_tokens=3)
    greedy = Sampling(temperature=0, text_guidance=for_text, video_guidance=for_video)
    nobody = torch.zeros(2, dtype=torch.bool)
    with torch.no_grad():
        with adapter.show(video, times()):
            tokens = backbone.generate(text, 20, greedy)
            both, valid = backbone.logits(tokens, text)
            seeing, _ = backbone.logits(tokens, text.without_text())
        with adapter.show(video, times(), keep=nobody):
            nothing, _ = backbone.logits(tokens, text.without_text())
    adapter.detach()
    base, _ = backbone.logits(tokens, text.without_text())
    assert (nothing - base).abs().max() > 0.1
    weighed = nothing + for_video * (seeing - nothing) + for_text * (both - seeing)
    assert torch.equal(weighed.argmax(-1)[valid], tokens[valid])


def test_an_adapter_of_low_rank_is_small_learns_and_is_read_again(
    load: Load, codes: Tensor, video: Tensor, tmp_path: Path
) -> None:
    backbone = load()
    adapter = active_adapter(backbone, positions="time", rank=2)
    wide = VideoAdapter(replace(adapter.config, rank=0))
    full = sum(weight.numel() for weight in wide.parameters())
    dim, layers = backbone.shape.dim, backbone.shape.n_layers
    few = sum(weight.numel() for weight in adapter.parameters())
    assert few == full - layers * 4 * (dim * dim - 2 * 2 * dim)
    text = backbone.encode_text(PROMPTS)
    with adapter.show(video, times()):
        logits = backbone.logits(codes, text)[0]
    logits.square().mean().backward()
    assert min(float(weight.grad.abs().max()) for weight in adapter.parameters()) > 0
    adapter.detach()
    save_adapter(tmp_path / "low.safetensors", adapter, {})
    read = load_adapter(tmp_path / "low.safetensors").attach(backbone)
    with torch.no_grad(), read.show(video, times()):
        assert torch.equal(backbone.logits(codes, text)[0], logits)
    read.detach()


def test_curves_of_events_modulate_the_video(load: Load, codes: Tensor, video: Tensor) -> None:
    backbone = load()
    text = backbone.encode_text(PROMPTS)
    events, dialogue = torch.rand(2, TOKENS, 3), torch.rand(2, TOKENS, 2)
    adapter = active_adapter(backbone, positions="time", events=True, dialogue=True)

    def logits(events: Tensor, dialogue: Tensor) -> Tensor:
        with torch.no_grad(), adapter.show(video, times(), events=events, dialogue=dialogue):
            return backbone.logits(codes, text)[0]

    assert torch.equal(logits(events, dialogue), logits(1 - events, dialogue))  # at the start
    torch.nn.init.normal_(adapter.film.outer.weight)
    there = logits(events, dialogue)
    for curve in range(3):
        changed = events.clone()
        changed[..., curve] = 1 - changed[..., curve]
        assert (logits(changed, dialogue) - there).abs().max() > 0.01
    assert (logits(events, 1 - dialogue) - there).abs().max() > 0.01
    missing = adapter.show(video, times(), dialogue=dialogue)
    with pytest.raises(OsslError, match="uses events") as caught, missing:
        pass
    assert caught.value.code == "adapter_input"
    adapter.detach()


def test_time_positions_depend_on_the_times_of_frames(
    load: Load, codes: Tensor, video: Tensor
) -> None:
    backbone = load()
    text = backbone.encode_text(PROMPTS)

    def logits(adapter: VideoAdapter, video: Tensor, times: Tensor) -> Tensor:
        with adapter.show(video, times):
            return backbone.logits(codes, text)[0]

    order = torch.randperm(TOKENS)
    blind = active_adapter(backbone)  # the published form: a bag of tokens
    there = logits(blind, video, times())
    assert (logits(blind, video, times() + 0.1) - there).abs().max() == 0
    assert (logits(blind, video[:, order], times()) - there).abs().max() < 1e-5
    blind.detach()
    placed = active_adapter(backbone, positions="time")
    there = logits(placed, video, times())
    assert (logits(placed, video, times() + 0.1) - there).abs().max() > 0.01
    assert (logits(placed, video[:, order], times()) - there).abs().max() > 0.01
    # Only the times matter, not the order in which tokens come.
    assert (logits(placed, video[:, order], times()[:, order]) - there).abs().max() < 1e-5
    timeless = torch.full_like(times(), torch.nan)
    torch.manual_seed(1)
    assert torch.isfinite(logits(placed, video, timeless)).all()
    assert (
        logits(placed, video[:, order], timeless) - logits(placed, video, timeless)
    ).abs().max() < 1e-5
    placed.detach()


def test_a_video_token_has_the_position_of_its_music_frame() -> None:
    from audiocraft.modules.transformer import create_sin_embedding
    from ossl_train.adapter.adapter import positions_of_times

    steps = torch.arange(100)
    own = create_sin_embedding(steps.view(1, -1, 1), 64)[0]
    assert (positions_of_times(steps / 50.0, 50.0, 64) - own).abs().max() < 1e-4


def test_dialogue_has_no_effect_at_initialisation(load: Load, codes: Tensor, video: Tensor) -> None:
    backbone = load()
    text = backbone.encode_text(PROMPTS)
    adapter = active_adapter(backbone, dialogue=True)
    quiet, loud = torch.zeros(2, TOKENS, 2), torch.ones(2, TOKENS, 2)

    def logits(dialogue: Tensor) -> Tensor:
        with torch.no_grad(), adapter.show(video, dialogue=dialogue):
            return backbone.logits(codes, text)[0]

    assert torch.equal(logits(quiet), logits(loud))
    torch.nn.init.normal_(adapter.film.outer.weight)
    assert (logits(quiet) - logits(loud)).abs().max() > 0.01
    adapter.detach()


def test_inputs_that_do_not_fit_give_clear_errors(
    load: Load, codes: Tensor, video: Tensor, tmp_path: Path
) -> None:
    backbone = load()
    with pytest.raises(OsslError, match="24 layers of width 1024 with 16 heads") as caught:
        VideoAdapter(AdapterConfig(1024, 16, 24, 8)).attach(backbone)
    assert caught.value.code == "adapter_size"
    adapter = active_adapter(backbone, positions="time", dialogue=True)
    dialogue = torch.rand(2, TOKENS, 2)
    for shown in (
        {"video": video[..., :8], "times": times(), "dialogue": dialogue},
        {"video": video, "dialogue": dialogue},
        {"video": video, "times": times()},
    ):
        with pytest.raises(OsslError) as caught, adapter.show(**shown):
            pass
        assert caught.value.code == "adapter_input"
    text = backbone.encode_text([*PROMPTS, "sad"])
    three = codes[:1].repeat(3, 1, 1)
    with adapter.show(video, times(), dialogue=dialogue), pytest.raises(OsslError) as caught:
        backbone.logits(three, text)
    assert "3 sequences, and there are 2" in str(caught.value)
    adapter.detach()
    with pytest.raises(OsslError, match="not attached to a model"), adapter.show(video):
        pass


def test_a_damaged_adapter_file_gives_a_clear_error(load: Load, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = tmp_path / "adapter.safetensors"
    adapter = active_adapter(load())
    save_adapter(path, adapter, {})
    adapter.detach()
    whole = path.read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text").write_text("not an adapter")
    save_file(load_file(path), tmp_path / "no_header")
    for name in ("cut", "text", "no_header", "nowhere"):
        with pytest.raises(OsslError) as caught:
            load_adapter(tmp_path / name)
        assert caught.value.code == "adapter_unreadable"
