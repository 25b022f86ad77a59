"""Speed of generation: keys and values of the video once per window, or in every layer at each step.

    python tests/benchmarks/bench_generate.py [--work DIR] [--device cpu|cuda] [--steps N]

Both ways draw the same tokens from the same randomly initialised model and adapter with all 3137
tokens of ViViT; the one projects them as the reference does (`watching(caching=False)`). On the CPU
the model is a small one and few frames are drawn, so that the reference's way is bearable; on a GPU
it has MusicGen medium's size, in bf16. Steps late in a window attend to more music than these, which
costs both ways the same; a second figure tells what a step costs after 1,000 frames.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from ossl_train.adapter import VideoAdapter, adapter_for
from ossl_train.backbones import Backbone, Sampling, TextStates

from tests.benchmarks.bench_fit import ALL, FEW, TEXT_DIM, VIDEO_DIM, Size, random_backbone

SMALL = Size(dim=512, heads=8, layers=8, batch=1, window_s=30.0)
MEDIUM = Size(dim=1536, heads=24, layers=48, batch=1, window_s=30.0)
AIM = 5.0


@dataclass(frozen=True)
class Way:
    """One way to draw.

    Attributes:
        n_tokens: of the video.
        caching: keys and values once per window; else at each step.
        n_known: frames of music that are there before.
    """

    n_tokens: int
    caching: bool
    n_known: int = 0


def tokens_per_s(
    backbone: Backbone, adapter: VideoAdapter, way: Way, n_frames: int, batch: int
) -> tuple[float, torch.Tensor]:
    """Codes per second (four to a frame), and the codes, which are the same either way."""
    device = backbone.device
    source = torch.Generator().manual_seed(1)
    video = torch.randn(batch, way.n_tokens, VIDEO_DIM, generator=source).to(device)
    times = torch.linspace(0, 30, way.n_tokens).repeat(batch, 1)
    states = torch.randn(batch, 16, TEXT_DIM, generator=source).to(device)
    text = TextStates(states, torch.ones(batch, 16, dtype=torch.bool, device=device))
    start = torch.randint(0, 2048, (batch, 4, way.n_known), generator=source).to(device)
    autocast = torch.autocast(device.type, torch.bfloat16, backbone.dtype == torch.bfloat16)
    began = time.perf_counter()
    with autocast, adapter.watching(video, times, caching=way.caching):
        codes = backbone.generate(text, way.n_known + n_frames, Sampling(seed=4), start=start)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return batch * 4 * n_frames / (time.perf_counter() - began), codes


def compare(size: Size, device: torch.device, dtype: torch.dtype, n_frames: int) -> None:
    """Print what both ways give, and their ratio."""
    backbone = random_backbone(size, device, dtype)
    adapter = adapter_for(backbone, video_dim=VIDEO_DIM, positions="time", alpha_init=0.5).eval()
    ours, theirs = Way(ALL, caching=True), Way(ALL, caching=False)
    tokens_per_s(backbone, adapter, Way(FEW, caching=True), 4, size.batch)  # warms up
    fast, codes = tokens_per_s(backbone, adapter, ours, 4 * n_frames, size.batch)
    slow, same = tokens_per_s(backbone, adapter, theirs, n_frames, size.batch)
    few, _ = tokens_per_s(backbone, adapter, Way(FEW, caching=True), 4 * n_frames, size.batch)
    late, _ = tokens_per_s(backbone, adapter, Way(ALL, True, 1000), n_frames, size.batch)
    late_slow, _ = tokens_per_s(backbone, adapter, Way(ALL, False, 1000), n_frames, size.batch)
    equal = (codes[..., : n_frames - 3] == same[..., : n_frames - 3]).float().mean()
    tell(
        f"{device.type:<7} {size.layers} layers of width {size.dim}, {ALL} video tokens: "
        f"{fast:.1f} tokens/s, at each step {slow:.1f}: {fast / slow:.1f} times (aim: {AIM:g}); "
        f"{100 * equal:.0f} % of the tokens are the same"
    )
    tell(
        f"late    after 1,000 frames: {late:.1f} and {late_slow:.1f} tokens/s: "
        f"{late / late_slow:.1f} times"
    )
    tell(
        f"tokens  with {FEW} video tokens: {few:.1f} tokens/s, {few / fast:.2f} times those of {ALL}"
    )


def tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="not needed: nothing is written")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: a GPU if there is one")
    parser.add_argument("--steps", type=int, default=12, help="frames the slow way draws")
    chosen = parser.parse_args(arguments)
    torch.manual_seed(0)
    compare(SMALL, torch.device("cpu"), torch.float32, chosen.steps)
    if chosen.device == "cuda" or (chosen.device is None and torch.cuda.is_available()):
        compare(MEDIUM, torch.device("cuda"), torch.bfloat16, max(chosen.steps, 50))
    else:
        tell("gpu     none here: MusicGen medium's size is not measured")


if __name__ == "__main__":
    main()
