"""Figures of one GPU for train/README.md, in about six minutes; random weights, no network.

    python -m tests.benchmarks gpu                       # on a machine with a GPU
    python tests/benchmarks/bench_gpu.py --tiny           # the same parts on a CPU, in a minute

`--out FILE` gets the figures as JSON after each part. A part that fails is recorded as failed, and
the others go on; parts that begin after `--budget` seconds are recorded as left out. The language
model is that of transformers, so audiocraft is not needed. The reference is a loop that does what
the published code does: float32, all 3137 video tokens, audio encoded at each step, and only the
first item of a batch in the loss.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from ossl_train.adapter.adapter import VideoAdapter, adapter_for
from ossl_train.musicgen import Backbone, Sampling
from ossl_train.training.checkpoint import TrainerState
from ossl_train.training.distributed import Processes
from ossl_train.training.optimiser import create_optimiser
from ossl_train.training.run_folder import CheckpointWriter
from ossl_train.training.settings import FitSettings

from ossl_builder.models import demucs, demucs_model
from tests.benchmarks.bench_fit import (
    ALL,
    FEW,
    FRAME_RATE,
    VIDEO_DIM,
    our_step,
    random_batch,
    reference_step,
    work_of,
)
from tests.benchmarks.bench_fit import Size as BatchSize
from tests.benchmarks.gpu_models import (
    PUBLISHED,
    TINY,
    Bench,
    Figures,
    random_backbone,
    random_codec,
)


def card(bench: Bench) -> Figures:
    """Name, and rate of a large product in bf16."""
    n = bench.sizes.product
    left, right = (torch.randn(n, n, device=bench.device, dtype=torch.bfloat16) for _ in range(2))
    taken = bench.seconds(lambda: [left @ right for _ in range(20)]) / 20
    return {
        "name": torch.cuda.get_device_name() if bench.device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "bf16_tflops": round(2 * n**3 / taken / 1e12, 1),
    }


def precision(bench: Bench, dtype: torch.dtype) -> Figures:
    """Error of the logits in half precision, relative to float32, along a full window."""
    torch.manual_seed(0)
    backbone = random_backbone(bench.sizes.small, bench, torch.float32)
    batch = random_batch(bench.sizes.small, FEW, 1, bench.device)
    with torch.no_grad():
        exact, predicted = backbone.logits(batch.codes, batch.text)
        backbone.language_model.module.to(dtype)
        with torch.autocast(bench.device.type, dtype):
            half, _ = backbone.logits(batch.codes, batch.text)
    error = (half - exact).square().sum((0, 1, 3)).sqrt()
    norm = exact.square().sum((0, 1, 3)).sqrt()
    n = predicted.shape[-1]
    return {
        f"relative error, frames {a} to {b}": round(float(error[a:b].norm() / norm[a:b].norm()), 5)
        for a, b in itertools.pairwise((0, n // 15, n // 2, n))
    }


class Steps:
    """Training steps; the backbone stays for steps of the same size and precision."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.backbone = bench, None
        self.key: tuple[object, ...] = ()

    def ours(
        self, size: BatchSize, n_tokens: int, batch_size: int, precision: str, tf32: bool
    ) -> Figures:
        """A step of `ossl train fit`."""
        torch.backends.cuda.matmul.allow_tf32 = tf32
        backbone = self._backbone(size, precision)
        adapter = adapter_for(backbone, video_dim=VIDEO_DIM, positions="time", alpha_init=0.1)
        batch = random_batch(size, n_tokens, batch_size, self.bench.device)
        try:
            step = our_step(backbone, adapter, batch, precision)
            taken = self.bench.seconds(step)
            peak = self.bench.peak_gb()
            rate = work_of(step) / taken / 1e12
        finally:
            adapter.detach()
        return {
            "ms_a_step": round(taken * 1e3, 1),
            "windows_per_s": round(batch_size / taken, 2),
            "peak_gb": peak,
            "tflops": round(rate, 1),
        }

    def reference(self, size: BatchSize, n_tokens: int, batch_sizes: Sequence[int]) -> Figures:
        """The published loop, with the largest batch that fits."""
        torch.backends.cuda.matmul.allow_tf32 = False
        backbone = self._backbone(size, "fp32")
        backbone.codec = random_codec(self.bench)
        adapter = adapter_for(backbone, video_dim=VIDEO_DIM)
        try:
            for batch_size in batch_sizes:
                batch = random_batch(size, n_tokens, batch_size, self.bench.device)
                audio = 0.1 * torch.randn(
                    batch_size, 1, round(size.window_s * 32_000), device=self.bench.device
                )
                try:
                    taken = self.bench.seconds(
                        reference_step(backbone, adapter, batch, audio), 3, 1
                    )
                except torch.cuda.OutOfMemoryError:
                    adapter.zero_grad()
                    torch.cuda.empty_cache()
                    continue
                return {
                    "batch": batch_size,
                    "ms_a_step": round(taken * 1e3, 1),
                    "windows_per_s": round(batch_size / taken, 2),
                    "windows_per_s_in_the_loss": round(1 / taken, 2),
                    "peak_gb": self.bench.peak_gb(),
                }
        finally:
            adapter.detach()
            self.key = ()  # its codec differs
        raise torch.cuda.OutOfMemoryError("not even one window fits")

    def drop(self) -> None:
        """Free the memory."""
        self.backbone, self.key = None, ()

    def _backbone(self, size: BatchSize, precision: str) -> Backbone:
        if self.key != (size, precision) or self.backbone is None:
            self.drop()
            if self.bench.device.type == "cuda":
                torch.cuda.empty_cache()
            dtype = torch.bfloat16 if precision == "bf16" else torch.float32
            self.backbone, self.key = random_backbone(size, self.bench, dtype), (size, precision)
        return self.backbone


def generation(bench: Bench) -> Figures:
    """Time of one frame with guidance 3, by batch and by the number of frames before it."""
    size, known = bench.sizes.medium, bench.sizes.known
    dtype = torch.bfloat16 if bench.device.type == "cuda" else torch.float32
    backbone = random_backbone(size, bench, dtype)
    adapter = adapter_for(backbone, video_dim=VIDEO_DIM, positions="time", alpha_init=0.1).eval()
    figures: Figures = {}
    cases = ((1, FEW, 0), (1, FEW, known), (1, bench.sizes.all_tokens, known),
             (8, FEW, known), (32, FEW, known), (8, bench.sizes.all_tokens, known))  # fmt: skip
    for batch_size, n_tokens, before in cases:
        batch = random_batch(size, n_tokens, batch_size, bench.device)
        moments = [0.0]

        def note(done: int, total: int, moments: list[float] = moments) -> None:
            bench.wait()
            moments.append(time.perf_counter())

        context = (
            torch.autocast("cuda", torch.bfloat16) if dtype == torch.bfloat16 else nullcontext()
        )
        with context, adapter.show(batch.video, batch.video_times, caching=True):
            backbone.generate(
                batch.text, before + bench.sizes.drawn, Sampling(),
                start=batch.codes[..., :before] if before else None, progress=note,
            )  # fmt: skip
        frame_s = statistics.median(b - a for a, b in itertools.pairwise(moments[2:]))
        figures[f"batch {batch_size}, {n_tokens} tokens, after {before} frames"] = {
            "ms_a_frame": round(frame_s * 1e3, 2),
            "s_of_music_per_s": round(batch_size / FRAME_RATE / frame_s, 2),
        }
    adapter.detach()
    return figures | {"peak_gb": bench.peak_gb()}


def checkpoint(bench: Bench) -> Figures:
    """Write and read the state of a run with medium's adapter."""
    size = bench.sizes.medium
    backbone = random_backbone(size, bench, torch.bfloat16)
    adapter: VideoAdapter = adapter_for(backbone, video_dim=VIDEO_DIM, positions="time")
    adapter.detach()
    del backbone
    optimiser = create_optimiser(adapter, FitSettings())
    for parameter in adapter.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimiser.step()
    with tempfile.TemporaryDirectory() as folder:
        writer = CheckpointWriter(
            Path(folder), adapter, optimiser, {}, Processes(0, 1, bench.device)
        )
        started = time.perf_counter()
        writer.keep_last(TrainerState(step=1))
        written = time.perf_counter()
        writer.resume()
        return {
            "write_s": round(written - started, 2),
            "read_s": round(time.perf_counter() - written, 2),
            "gb": round(sum(p.stat().st_size for p in Path(folder).rglob("*.*")) / 1e9, 2),
        }


def video_encoder(bench: Bench) -> Figures:
    """ViViT-B on windows of 32 frames."""
    from transformers import VivitConfig, VivitModel

    config = VivitConfig()
    if bench.tiny:
        config = VivitConfig(
            image_size=32, num_frames=4, hidden_size=48, num_hidden_layers=2,
            num_attention_heads=4, intermediate_size=64,
        )  # fmt: skip
    model = VivitModel(config, add_pooling_layer=False).to(bench.device).eval()
    figures: Figures = {}
    for batch_size in (1, 2 if bench.tiny else 16):
        frames = torch.randn(
            batch_size, config.num_frames, 3, config.image_size, config.image_size,
            device=bench.device,
        )  # fmt: skip
        for name, half in (("fp32", False), ("bf16", True)):
            with (
                torch.inference_mode(),
                torch.autocast(bench.device.type, torch.bfloat16, enabled=half),
            ):
                taken = bench.seconds(lambda frames=frames: model(pixel_values=frames), 3, 1)
            figures[f"{name}, batch {batch_size}, ms_a_window"] = round(taken / batch_size * 1e3, 1)
    return figures | {"peak_gb": bench.peak_gb()}


def codec(bench: Bench) -> Figures:
    """EnCodec on windows of 30 s."""
    encodec, figures = random_codec(bench), Figures()
    samples = round(bench.sizes.medium.window_s * 32_000)
    for batch_size in (1, 2 if bench.tiny else 8):
        audio = 0.1 * torch.randn(batch_size, 1, samples, device=bench.device)
        taken = bench.seconds(lambda audio=audio: encodec.encode(audio), 3, 1)
        figures[f"encode, batch {batch_size}, ms_a_window"] = round(taken / batch_size * 1e3, 1)
    codes = encodec.encode(audio)
    taken = bench.seconds(lambda: encodec.decode(codes), 3, 1)
    figures[f"decode, batch {batch_size}, ms_a_window"] = round(taken / batch_size * 1e3, 1)
    return figures | {"peak_gb": bench.peak_gb()}


def separation(bench: Bench) -> Figures:
    """Seconds of film per second of separation: the bundled model, and Demucs' own, random."""
    from demucs.htdemucs import HTDemucs

    figures: Figures = {}
    bundled = demucs_model.load("bundled", bench.device.type)
    sources = ("drums", "bass", "other", "vocals")
    random = HTDemucs(list(sources), segment=7.8).to(bench.device).eval()
    htdemucs = demucs_model.Model(
        (random,), ((1.0,) * len(sources),), sources, 44_100, 2, bench.device.type
    )
    film_s = 20 if bench.tiny else 240
    rng = np.random.default_rng(0)
    mix = rng.normal(0, 0.1, (2, film_s * 44_100)).astype(np.float32)
    for name, model in (("bundled", bundled), ("htdemucs, random", htdemucs)):
        member = demucs.Member(model, tuple((name,) for name in model.sources),
                               (1.0,) * len(model.sources))  # fmt: skip
        for batch_size in (1, 8, 32):

            def run(member: demucs.Member = member, batch_size: int = batch_size) -> None:
                for _ in demucs.separate([member], [mix], batch_size=batch_size):
                    pass

            taken = bench.seconds(run, 1, 0 if bench.tiny else 1)
            figures[f"{name}, batch {batch_size}"] = round(film_s / taken, 1)
        figures[f"{name}, peak_gb"] = bench.peak_gb()
    return figures


def measure_all(bench: Bench) -> None:
    """All parts, the most wanted first."""
    sizes, steps = bench.sizes, Steps(bench)
    bench.part("card", lambda: card(bench))
    for dtype in (torch.bfloat16, torch.float16):
        name = str(dtype).removeprefix("torch.")
        bench.part(f"{name} against float32", lambda dtype=dtype: precision(bench, dtype))
    for name, n_tokens, batch_size, kind, tf32 in cases(bench.tiny):
        size = getattr(sizes, name)
        tokens = min(n_tokens, sizes.all_tokens)
        bench.part(
            f"fit {name}, {tokens} tokens, batch {batch_size}, {kind}{' tf32' if tf32 else ''}",
            lambda args=(size, tokens, batch_size, kind, tf32): steps.ours(*args),
        )
    batches = (1,) if bench.tiny else (8, 4, 2, 1)
    bench.part(
        "reference loop, medium",
        lambda: steps.reference(sizes.medium, sizes.all_tokens, batches),
    )
    steps.drop()
    bench.part("checkpoint, medium", lambda: checkpoint(bench))
    bench.part("ViViT-B", lambda: video_encoder(bench))
    bench.part("EnCodec 32 kHz", lambda: codec(bench))
    bench.part("generate medium, guidance 3", lambda: generation(bench))
    bench.part("separate, s of film per s", lambda: separation(bench))


def cases(tiny: bool) -> Iterator[tuple[str, int, int, str, bool]]:
    """Size, video tokens, batch, precision, TF32."""
    yield "small", FEW, 2 if tiny else 4, "fp32", False
    yield "small", FEW, 2 if tiny else 4, "fp32", True
    for batch_size in (2,) if tiny else (4, 32):
        yield "small", FEW, batch_size, "bf16", False
    yield "small", ALL, 2 if tiny else 8, "bf16", False
    for n_tokens in (FEW, ALL):
        for batch_size in (2,) if tiny else (4, 8, 16):
            yield "medium", n_tokens, batch_size, "bf16", False


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="not needed: nothing is kept")
    parser.add_argument("--tiny", action="store_true", help="small models, on the CPU")
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    parser.add_argument(
        "--budget", type=float, default=360, help="seconds; later parts are left out"
    )
    chosen = parser.parse_args(arguments)
    if not chosen.tiny and not torch.cuda.is_available():
        sys.stdout.write(
            "gpu     none here: nothing is measured (--tiny runs all parts on a CPU)\n"
        )
        return
    device = torch.device("cpu" if chosen.tiny else "cuda")
    sizes = TINY if chosen.tiny else PUBLISHED
    measure_all(Bench(device, sizes, chosen.tiny, chosen.out, chosen.budget))


if __name__ == "__main__":
    main()
