"""Speed of a training step, as ratios of one run: cached codes, few video tokens, bf16.

    python tests/benchmarks/bench_fit.py [--work DIR] [--device cpu|cuda] [--steps N]

Models are randomly initialised, which does not change the speed. On the CPU the language model is
small, but EnCodec has its published size. So the relative cost of encoding at each step is higher
than with MusicGen; the second figure is the work of a window by itself. On a GPU the language model
has the size of MusicGen medium, windows are 30 s and the batch is 8. The method of the reference is
float32, all 3137 video tokens, audio encoded at each step, and only item 0 in the loss, with the
largest batch up to 8 that fits.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from ossl_train.adapter.adapter import VideoAdapter, adapter_for
from ossl_train.data.dataset import Batch
from ossl_train.data.windows import Window
from ossl_train.musicgen import Backbone, Shape, TextStates
from ossl_train.musicgen.codec import Codec
from ossl_train.musicgen.decoders import AudiocraftModel
from ossl_train.musicgen.losses import token_losses
from ossl_train.training.distributed import Processes
from ossl_train.training.loop import train_step
from ossl_train.training.optimiser import create_optimiser
from ossl_train.training.settings import FitSettings
from ossl_train.training.train_module import TrainModule
from torch import nn

CARDINALITY, CODEBOOKS, TEXT_DIM, VIDEO_DIM, FRAME_RATE = 2048, 4, 768, 768, 50
FEW, ALL = 17, 3137


@dataclass(frozen=True)
class Size:
    """Sizes for one kind of device."""

    dim: int
    heads: int
    layers: int
    batch: int
    window_s: float


SMALL = Size(dim=256, heads=4, layers=6, batch=2, window_s=10.0)
MEDIUM = Size(dim=1536, heads=24, layers=48, batch=8, window_s=30.0)


def random_backbone(size: Size, device: torch.device, dtype: torch.dtype) -> Backbone:
    """A MusicGen of a size, with random weights and the published EnCodec's shape."""
    from audiocraft.models.lm import LMModel
    from audiocraft.modules.codebooks_patterns import DelayedPatternProvider
    from audiocraft.modules.conditioners import ConditionFuser, ConditioningProvider
    from transformers import EncodecConfig, EncodecModel

    fuser = {"sum": [], "prepend": [], "cross": ["description"], "input_interpolate": []}
    with device:
        model = LMModel(
            DelayedPatternProvider(CODEBOOKS, list(range(CODEBOOKS))),
            ConditioningProvider({}), ConditionFuser(fuser), n_q=CODEBOOKS, card=CARDINALITY,
            dim=size.dim, num_heads=size.heads, num_layers=size.layers, hidden_scale=4,
            norm_first=True, bias_proj=False, bias_ff=False, bias_attn=False, causal=True,
            custom=False, memory_efficient=True, cross_attention=True, activation="gelu",
            dropout=0.0,
        )  # fmt: skip
        projection = nn.Linear(TEXT_DIM, size.dim)
        codec = EncodecModel(
            EncodecConfig(
                target_bandwidths=[2.2], sampling_rate=32_000, upsampling_ratios=[8, 5, 4, 4],
                num_filters=64, codebook_size=CARDINALITY, use_causal_conv=False,
            )
        )  # fmt: skip
    shape = Shape(
        size.dim, size.heads, size.layers, CODEBOOKS, CARDINALITY, FRAME_RATE, 32_000, TEXT_DIM
    )
    text: Any = SimpleNamespace(model=nn.Identity(), width=TEXT_DIM)
    language_model = AudiocraftModel(model, projection)
    return Backbone("audiocraft", "random", shape, language_model, text, Codec(codec), dtype)


def random_batch(size: Size, n_tokens: int, batch: int, device: torch.device) -> Batch:
    """Full windows."""
    n_frames = round(size.window_s * FRAME_RATE)
    return Batch(
        windows=(Window("film", "clip", "train", 0, 0.0, size.window_s),) * batch,
        codes=torch.randint(0, CARDINALITY, (batch, CODEBOOKS, n_frames), device=device),
        valid=torch.ones(batch, n_frames, dtype=torch.bool, device=device),
        video=torch.randn(batch, n_tokens, VIDEO_DIM, device=device),
        video_times=torch.linspace(0, size.window_s, n_tokens, device=device).repeat(batch, 1),
        video_mask=torch.ones(batch, n_tokens, dtype=torch.bool, device=device),
        text=TextStates(
            torch.randn(batch, 16, TEXT_DIM, device=device),
            torch.ones(batch, 16, dtype=torch.bool, device=device),
        ),
        dialogue=None,
    )


def our_step(
    backbone: Backbone, adapter: VideoAdapter, batch: Batch, precision: str
) -> Callable[[], object]:
    """One step of `ossl train fit`."""
    settings = FitSettings(precision=precision, batch_size=len(batch.windows))
    optimiser = create_optimiser(adapter, settings)
    watched = TrainModule(backbone, adapter, settings)
    source: Iterator[Batch] = itertools.repeat(batch)
    alone = Processes(0, 1, backbone.device)
    return lambda: train_step(watched, optimiser, source, settings, 0, alone)


def reference_step(
    backbone: Backbone, adapter: VideoAdapter, batch: Batch, audio: torch.Tensor
) -> Callable[[], object]:
    """One step of the published loop: encode, predict, one item in the loss, scale and step."""
    optimiser = torch.optim.AdamW(adapter.parameters(), 1e-4)
    scaler = torch.amp.GradScaler(backbone.device.type)

    def step() -> object:
        codes = backbone.encode_audio(audio)
        with adapter.show(batch.video, batch.video_times):
            logits, predicted = backbone.logits(codes, batch.text)
        loss = token_losses(logits[:1], codes[:1], predicted[:1]).sum() / predicted[:1].sum()
        scaler.scale(loss).backward()
        nn.utils.clip_grad_norm_(adapter.parameters(), 1.0)
        scaler.step(optimiser)
        scaler.update()
        optimiser.zero_grad()
        return loss.item()

    return step


def seconds(step: Callable[[], object], steps: int, device: torch.device) -> float:
    """The shortest of some steps after a warm-up step: on a CPU, the processor time of all cores.

    Processor time does not count other programs on the machine.
    """
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    found = []
    for _ in range(1 + steps):
        _wait(device)
        began = clock()
        step()
        _wait(device)
        found.append(clock() - began)
    return min(found[1:])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def work_of(step: Callable[[], object]) -> float:
    """Floating-point operations of one step, matrix products and attention."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        step()
    return float(counter.get_total_flops())


def matrix_rate(device: torch.device) -> float:
    """Operations per second of a large bf16 product on this card, in this run."""
    left, right = (torch.randn(8192, 8192, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 20 * 2 * 8192**3 / seconds(lambda: [left @ right for _ in range(20)], 5, device)


def print_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def on_cpu(steps: int) -> None:
    """Ratios with a small model."""
    device, size = torch.device("cpu"), SMALL
    backbone = random_backbone(size, device, torch.float32)
    audio = 0.1 * torch.randn(size.batch, 1, round(size.window_s * 32_000))

    def encoding_too(step: Callable[[], object]) -> Callable[[], object]:
        return lambda: (backbone.encode_audio(audio), step())

    took = {}
    for n_tokens in (FEW, ALL):
        adapter = adapter_for(backbone, video_dim=VIDEO_DIM, positions="time")
        batch = random_batch(size, n_tokens, size.batch, device)
        step = our_step(backbone, adapter, batch, "fp32")
        took[n_tokens] = seconds(step, steps, device)
        if n_tokens == FEW:
            encoding = seconds(encoding_too(step), steps, device)
        adapter.detach()
    print_line(
        f"cache   encoding at each step / cached codes = {encoding / took[FEW]:.1f} times the time "
        f"({encoding:.2f} s and {took[FEW]:.2f} s of CPU time; EnCodec alone "
        f"{(encoding - took[FEW]) / size.batch / size.window_s:.3f} s per second of audio)"
    )
    print_line(
        f"tokens  {ALL} / {FEW} video tokens = {took[ALL] / took[FEW]:.2f} times the time "
        f"({1 / took[ALL]:.2f} and {1 / took[FEW]:.2f} steps per CPU second, {size.batch} windows "
        f"of {size.window_s:g} s; {size.layers} layers of width {size.dim})"
    )


def on_gpu(steps: int) -> None:
    """MusicGen medium, compared with the method of the reference."""
    device, size = torch.device("cuda"), MEDIUM
    rate = matrix_rate(device)
    print_line(
        f"card    {torch.cuda.get_device_name()}: {rate / 1e12:.0f} TFLOP/s in bf16 products"
    )
    backbone = random_backbone(size, device, torch.bfloat16)
    per_s = {}
    for n_tokens in (FEW, ALL):
        torch.cuda.reset_peak_memory_stats()
        adapter = adapter_for(backbone, video_dim=VIDEO_DIM, positions="time")
        batch = random_batch(size, n_tokens, size.batch, device)
        step = our_step(backbone, adapter, batch, "bf16")
        took = seconds(step, steps, device)
        per_s[n_tokens] = size.batch / took
        used = torch.cuda.max_memory_allocated() / 1e9
        share = work_of(step) / took / rate
        print_line(
            f"ours    bf16, batch {size.batch}, {n_tokens} tokens: {per_s[n_tokens]:.2f} clips/s, "
            f"{used:.1f} GB, {100 * share:.0f} % of that rate"
        )
        adapter.detach()
        del adapter, step
    del backbone
    torch.cuda.empty_cache()
    backbone = random_backbone(size, device, torch.float32)
    adapter = adapter_for(backbone, video_dim=VIDEO_DIM)
    for batch_size in (8, 4, 2, 1):
        try:
            torch.cuda.reset_peak_memory_stats()
            batch = random_batch(size, ALL, batch_size, device)
            audio = 0.1 * torch.randn(batch_size, 1, round(size.window_s * 32_000), device=device)
            took = seconds(reference_step(backbone, adapter, batch, audio), steps, device)
        except torch.cuda.OutOfMemoryError:
            adapter.zero_grad()
            torch.cuda.empty_cache()
            continue
        theirs = batch_size / took
        print_line(
            f"theirs  fp32, batch {batch_size}, {ALL} tokens, encoding: {theirs:.2f} clips/s "
            f"through the model, {theirs / batch_size:.2f} into the loss, "
            f"{torch.cuda.max_memory_allocated() / 1e9:.1f} GB"
        )
        print_line(
            f"ratio   ours / theirs = {per_s[ALL] / theirs:.1f} with the same tokens, "
            f"{per_s[FEW] / theirs:.1f} with {FEW} (clips/s through the model; aim: 10)"
        )
        return


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="not needed: nothing is written")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: a GPU if there is one")
    parser.add_argument("--steps", type=int, default=3, help="measured, after one that warms up")
    chosen = parser.parse_args(arguments)
    torch.manual_seed(0)
    on_cpu(chosen.steps)
    if chosen.device == "cuda" or (chosen.device is None and torch.cuda.is_available()):
        on_gpu(max(chosen.steps, 5))
    else:
        print_line("gpu     none here: clips per second of MusicGen medium are not measured")


if __name__ == "__main__":
    main()
