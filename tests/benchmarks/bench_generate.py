"""Speed of generation: keys and values of the video once per window, or at each step.

    python tests/benchmarks/bench_generate.py [--work DIR] [--device cpu|cuda] [--steps N]

Both methods draw the same tokens from the same randomly initialised model and adapter, with all
3137 tokens of ViViT. The reference projects them in every layer at each step (`caching=False`). On
the CPU the model is small and few frames are drawn, because the method of the reference is slow; on
a GPU it has the size of MusicGen medium, in bf16. The figures are medians of steps at the start of
a window, and after 1,000 of its 1,500 frames; the work of our method once per window is extra.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from ossl_train.adapter.adapter import VideoAdapter, adapter_for
from ossl_train.musicgen import Backbone, Sampling, TextStates

from tests.benchmarks.bench_fit import ALL, FEW, TEXT_DIM, VIDEO_DIM, Size, random_backbone

SMALL = Size(dim=512, heads=8, layers=8, batch=1, window_s=30.0)
MEDIUM = Size(dim=1536, heads=24, layers=48, batch=1, window_s=30.0)
AIM = 5.0
LATE = 1000


@dataclass(frozen=True)
class Method:
    """One method to draw tokens.

    Attributes:
        n_tokens: of the video.
        caching: keys and values once per window; else at each step.
        n_known: frames of music that are there before.
    """

    n_tokens: int
    caching: bool
    n_known: int = 0


@dataclass(frozen=True)
class Timing:
    """Of one method: the median step and the first step, in seconds, and the drawn codes."""

    step_s: float
    first_s: float
    codes: torch.Tensor

    def rate(self, batch: int) -> float:
        """Codes per second, four to a step and item."""
        return 4 * batch / self.step_s


def measure(
    backbone: Backbone, adapter: VideoAdapter, way: Method, n_frames: int, batch: int
) -> Timing:
    """Draw some frames."""
    device = backbone.device
    source = torch.Generator().manual_seed(1)
    video = torch.randn(batch, way.n_tokens, VIDEO_DIM, generator=source).to(device)
    times = torch.linspace(0, 30, way.n_tokens).repeat(batch, 1)
    states = torch.randn(batch, 16, TEXT_DIM, generator=source).to(device)
    text = TextStates(states, torch.ones(batch, 16, dtype=torch.bool, device=device))
    start = torch.randint(0, 2048, (batch, 4, way.n_known), generator=source).to(device)
    moments = [time.perf_counter()]

    def stepped(done: int, total: int) -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()
        moments.append(time.perf_counter())

    with (
        torch.autocast(device.type, torch.bfloat16, backbone.dtype == torch.bfloat16),
        adapter.show(video, times, caching=way.caching),
    ):
        n_all = way.n_known + n_frames
        codes = backbone.generate(text, n_all, Sampling(seed=4), start=start, progress=stepped)
    first, *rest = (after - before for before, after in itertools.pairwise(moments))
    return Timing(sorted(rest)[len(rest) // 2], first, codes)


def compare(size: Size, device: torch.device, dtype: torch.dtype, n_frames: int) -> None:
    """Print the times of both methods, and their ratio."""
    backbone = random_backbone(size, device, dtype)
    adapter = adapter_for(backbone, video_dim=VIDEO_DIM, positions="time", alpha_init=0.5).eval()

    def of(n_tokens: int, caching: bool, n_known: int = 0) -> Timing:
        return measure(backbone, adapter, Method(n_tokens, caching, n_known), n_frames, size.batch)

    of(FEW, caching=True)  # warms up
    ours, theirs = of(ALL, caching=True), of(ALL, caching=False)
    few = of(FEW, caching=True)
    fast, slow = ours.rate(size.batch), theirs.rate(size.batch)
    equal = (ours.codes == theirs.codes).float().mean()
    print_line(
        f"{device.type:<7} {size.layers} layers of width {size.dim}, {ALL} video tokens: "
        f"{fast:.1f} tokens/s, projected at each step {slow:.1f}: {fast / slow:.1f} times "
        f"(aim: {AIM:g}); {100 * equal:.0f} % of the tokens are the same; once per window "
        f"{ours.first_s:.2f} s"
    )
    ours, theirs = of(ALL, True, LATE), of(ALL, False, LATE)
    late, late_slow = ours.rate(size.batch), theirs.rate(size.batch)
    print_line(
        f"late    after {LATE} frames: {late:.1f} and {late_slow:.1f} tokens/s: "
        f"{late / late_slow:.1f} times"
    )
    rate = few.rate(size.batch)
    print_line(f"tokens  with {FEW} of them: {rate:.1f} tokens/s, {rate / fast:.2f} times as many")


def print_line(line: str) -> None:
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
        print_line("gpu     none here: MusicGen medium's size is not measured")


if __name__ == "__main__":
    main()
