"""The random models and the clock of the GPU benchmark."""

from __future__ import annotations

import json
import statistics
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from ossl_train.musicgen import Backbone, Shape
from ossl_train.musicgen.codec import Codec
from ossl_train.musicgen.decoders import TransformersModel
from torch import nn

from tests.benchmarks.bench_fit import ALL, CARDINALITY, CODEBOOKS, FRAME_RATE, TEXT_DIM
from tests.benchmarks.bench_fit import Size as BatchSize


@dataclass(frozen=True)
class Sizes:
    """Sizes of the models; `all_tokens`: ViViT's video tokens; `known`: frames of a long start."""

    small: BatchSize
    medium: BatchSize
    all_tokens: int
    known: int
    product: int
    """Side of the square matrices whose product gives the card's rate."""
    drawn: int
    """Frames that are sampled per measurement."""


PUBLISHED = Sizes(
    BatchSize(1024, 16, 24, 4, 30.0), BatchSize(1536, 24, 48, 8, 30.0), ALL, 1000, 8192, 40
)
TINY = Sizes(BatchSize(64, 4, 2, 2, 2.0), BatchSize(96, 4, 3, 2, 2.0), 50, 50, 256, 10)

Figures = dict[str, Any]


@dataclass
class Bench:
    """The machine, what was measured so far, and where it is written."""

    device: torch.device
    sizes: Sizes
    tiny: bool
    out: Path | None
    budget_s: float
    began: float = field(default_factory=time.perf_counter)
    figures: Figures = field(default_factory=dict)

    def part(self, name: str, measure: Callable[[], Figures]) -> None:
        """Measure one part; write all figures."""
        started = time.perf_counter()
        if started - self.began > self.budget_s:
            self.figures[name] = "left out: no time"
        else:
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            try:
                self.figures[name] = measure()
            except Exception as error:  # noqa: BLE001 # one part's failure must not cost the others' figures
                traceback.print_exc(limit=4)
                self.figures[name] = f"failed: {type(error).__name__}: {str(error)[:300]}"
        now = time.perf_counter()
        sys.stdout.write(
            f"[{now - self.began:5.0f} s, {now - started:4.1f} s] {name}: "
            f"{json.dumps(self.figures[name])}\n"
        )
        sys.stdout.flush()
        if self.out:
            self.out.write_text(json.dumps(self.figures, indent=1))

    def seconds(self, step: Callable[[], object], times: int = 5, warm: int = 2) -> float:
        """Return the median time of a step."""
        taken = []
        for turn in range(warm + times):
            self.wait()
            started = time.perf_counter()
            step()
            self.wait()
            if turn >= warm:
                taken.append(time.perf_counter() - started)
        return statistics.median(taken)

    def wait(self) -> None:
        """Wait for the GPU."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def peak_gb(self) -> float | None:
        """Return the highest memory of this part in GB."""
        if self.device.type != "cuda":
            return None
        return round(torch.cuda.max_memory_allocated() / 1e9, 2)


def random_backbone(size: BatchSize, bench: Bench, dtype: torch.dtype) -> Backbone:
    """A MusicGen of a size, with transformers' decoder; its codec has no weights."""
    from transformers import MusicgenDecoderConfig, MusicgenForCausalLM

    config = MusicgenDecoderConfig(
        vocab_size=CARDINALITY, num_hidden_layers=size.layers, ffn_dim=4 * size.dim,
        num_attention_heads=size.heads, hidden_size=size.dim, num_codebooks=CODEBOOKS, dropout=0.0,
        pad_token_id=CARDINALITY, bos_token_id=CARDINALITY, is_decoder=True,
        add_cross_attention=True,
    )  # fmt: skip
    with bench.device:
        model = MusicgenForCausalLM(config)
        projection = nn.Linear(TEXT_DIM, size.dim)
    codec: Any = SimpleNamespace(
        module=nn.Identity(), sample_rate=32_000, frame_rate=FRAME_RATE,
        codebooks=lambda: [torch.zeros(1, 1)],
    )  # fmt: skip
    text: Any = SimpleNamespace(model=nn.Identity(), width=TEXT_DIM)
    shape = Shape(
        size.dim, size.heads, size.layers, CODEBOOKS, CARDINALITY, FRAME_RATE, 32_000, TEXT_DIM
    )
    language_model = TransformersModel(model, projection)
    return Backbone("transformers", "random", shape, language_model, text, codec, dtype)


def random_codec(bench: Bench) -> Codec:
    """EnCodec at 32 kHz in the published size, with random weights."""
    from transformers import EncodecConfig, EncodecModel

    config = EncodecConfig(
        target_bandwidths=[2.2], sampling_rate=32_000, upsampling_ratios=[8, 5, 4, 4],
        num_filters=4 if bench.tiny else 64, codebook_size=CARDINALITY, use_causal_conv=False,
    )  # fmt: skip
    return Codec(EncodecModel(config).to(bench.device))
