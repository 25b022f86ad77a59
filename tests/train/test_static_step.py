"""Steps over buffers of fixed size: the logits of the usual steps, and nothing a graph cannot hold.

A CUDA graph needs a GPU. What it needs of a step can be tested without one: the same logits, the
same memory at each step, and no value of a tensor that the CPU reads.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ossl_train.adapter.adapter import adapter_for
from ossl_train.musicgen import Backbone, TextStates, load_backbone
from ossl_train.musicgen.static_step import GraphedDecoder, StaticDecoder
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

pytestmark = pytest.mark.usefixtures("one_thread")
WIDTH, TOKENS, STEPS = 48, 17, 40
READS = ("_local_scalar_dense", "item", "nonzero", "is_nonzero", "_unique2", "masked_select")
"""Operations whose result the CPU waits for."""


@pytest.fixture(scope="module")
def backbone(tiny_models: Path) -> Backbone:
    return load_backbone(str(tiny_models / "musicgen"))


@pytest.fixture
def text(backbone: Backbone) -> TextStates:
    return backbone.encode_text(["a sad piano", "tense music with drums and brass"])


class Calls(TorchDispatchMode):
    """The names of all operations."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(func._schema.name.removeprefix("aten::"))
        return func(*args, **(kwargs or {}))


def video(backbone: Backbone, **settings: Any) -> tuple[Any, Callable[[], Any]]:
    torch.manual_seed(0)
    adapter = adapter_for(backbone, video_dim=WIDTH, positions="time", alpha_init=0.7, **settings)
    shown, times = torch.randn(2, TOKENS, WIDTH), torch.arange(TOKENS) * 0.05
    return adapter, lambda: adapter.show(shown, times.expand(2, -1))


@pytest.mark.parametrize("settings", [{}, {"null_tokens": 3}, {"reference_positions": True}])
@torch.no_grad()
def test_the_logits_are_those_of_the_usual_steps(
    backbone: Backbone, text: TextStates, settings: dict[str, Any]
) -> None:
    adapter, shown = video(backbone, **settings)
    sequence = torch.randint(0, 128, (2, 4, STEPS))
    model: Any = backbone.language_model
    parts = [sequence[..., :7], *sequence[..., 7:].split(1, dim=-1)]  # a known start, then steps
    with shown(), model.streaming(text, STEPS) as step:
        expected = [step(part) for part in parts]
    with shown():
        static = model.static_decoder(text, STEPS + 5)
        found = [static(part) for part in parts]
        # A step that is taken back and repeated writes the same.
        static.go_back(20)
        again = [static(part) for part in parts[14:]]
    adapter.detach()
    assert static.n_done == STEPS
    for one, other in zip(found, expected, strict=True):
        assert (one - other).abs().max() < 1e-5
    for one, other in zip(again, expected[14:], strict=True):
        assert (one - other).abs().max() < 1e-5
    assert (expected[0] - expected[1]).abs().max() > 0.01


@torch.no_grad()
def test_a_step_reads_no_value_and_writes_to_the_same_memory(
    backbone: Backbone, text: TextStates
) -> None:
    adapter, shown = video(backbone, null_tokens=3)
    model: Any = backbone.language_model
    with shown():
        static: StaticDecoder = model.static_decoder(text, STEPS)
        for number in range(3):
            static(torch.full((2, 4, 1), number))
        cache = static._cache.self_attention_cache.layers
        places = [(layer.keys.data_ptr(), layer.values.data_ptr()) for layer in cache]
        with Calls() as calls:
            static.run(torch.zeros(2, 4, 1, dtype=torch.int64), torch.tensor([3]))
    adapter.detach()
    assert "index_copy_" in calls.names  # the calls were seen
    assert not set(calls.names) & set(READS)
    assert places == [(layer.keys.data_ptr(), layer.values.data_ptr()) for layer in cache]
    assert [int(layer.cumulative_length) for layer in cache] == [4] * len(cache)


@torch.no_grad()
def test_without_a_graph_the_steps_are_run_one_by_one(
    backbone: Backbone, text: TextStates, caplog: pytest.LogCaptureFixture
) -> None:
    """A machine whose driver cannot record a graph: slower, said once, and never wrong."""
    model: Any = backbone.language_model
    sequence = torch.randint(0, 128, (2, 4, STEPS))
    plain: StaticDecoder = model.static_decoder(text, STEPS)
    expected: list[Tensor] = [plain(part) for part in sequence.split(1, dim=-1)]
    graphed = GraphedDecoder(model.static_decoder(text, STEPS))
    found = [graphed(part) for part in sequence.split(1, dim=-1)]
    if not torch.cuda.is_available():
        told = [one for one in caplog.messages if "not replayed as a CUDA graph" in one]
        assert len(told) == 1
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)
