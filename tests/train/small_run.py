"""A small run of the training loop: the tiny MusicGen, and windows in memory.

    python -m tests.train.small_run --models DIR --out DIR [--set key=value …] [--stop-at N]

Tests start this program to kill it, or start two processes of it with `torchrun`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from ossl_train.adapter.adapter import VideoAdapter, adapter_for
from ossl_train.adapter.tiny_models import CARDINALITY, MUSICGEN, N_CODEBOOKS, TEXT_DIM
from ossl_train.data.dataset import TrainSample
from ossl_train.data.windows import Window
from ossl_train.musicgen import Backbone, load_backbone
from ossl_train.training.checkpoint import TrainerState
from ossl_train.training.distributed import join_processes
from ossl_train.training.loop import Parts, fit
from ossl_train.training.monitor import open_monitor, read_metrics
from ossl_train.training.run_folder import recover_run, steps_done
from ossl_train.training.settings import FitSettings

FRAME_RATE, VIDEO_DIM, MOODS = 50, 24, 4
SETTINGS: dict[str, Any] = {
    "device": "cpu", "batch_size": 4, "steps": 8, "warmup_steps": 2, "learning_rate": 3e-3 / 16,
    "validate_every": 4, "checkpoint_every": 2, "patience": 0, "alpha_rate": 160.0,
    "video_dropout": 0.0,
}  # fmt: skip


@dataclass
class InMemory:
    """A dataset like that of `open_dataset`, without files."""

    samples: list[TrainSample]
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def windows(self) -> tuple[Window, ...]:
        return tuple(one.window for one in self.samples)

    def __len__(self) -> int:
        return len(self.samples)

    def sample(self, index: int) -> TrainSample:
        return self.samples[index]


def windows_of(split: str, films: int, per_film: int, frames: Sequence[int] = (40,)) -> InMemory:
    """Windows whose tokens follow a mood that the video shows; some shorter than others."""
    source = torch.Generator().manual_seed(len(split))
    world = torch.Generator().manual_seed(7)
    likely = 3 * torch.randn(MOODS, N_CODEBOOKS, CARDINALITY, generator=world)
    looks = torch.randn(MOODS, VIDEO_DIM, generator=world)
    samples = []
    for number in range(films * per_film):
        n_frames = frames[number % len(frames)]
        mood = int(torch.randint(0, MOODS, (1,), generator=source))
        chances = likely[mood].softmax(-1)
        codes = torch.multinomial(chances, n_frames, replacement=True, generator=source)
        name = f"{split}-{number // per_film}"
        window = Window(name, f"{number % per_film:03d}", split, 0, 0.0, n_frames / FRAME_RATE)
        video = looks[mood] + 0.1 * torch.randn(5, VIDEO_DIM, generator=source)
        times = torch.arange(5) * n_frames / FRAME_RATE / 5
        text = torch.randn(3 + number % 2, TEXT_DIM, generator=source)
        samples.append(TrainSample(window, codes, video, times, text, None))
    return InMemory(samples)


def tiny(models: Path, **settings: Any) -> tuple[Backbone, VideoAdapter]:
    """The tiny model with a fresh adapter."""
    backbone = load_backbone(str(models / MUSICGEN))
    torch.manual_seed(0)
    return backbone, adapter_for(backbone, video_dim=VIDEO_DIM, positions="time", **settings)


def parts_of(models: Path, train: InMemory | None = None, null_tokens: int = 0) -> Parts:
    """The parts of a run: model, adapter and data."""
    backbone, adapter = tiny(models, null_tokens=null_tokens)
    learned: Any = windows_of("train", 2, 8, (40, 40, 23)) if train is None else train
    measured: Any = windows_of("validation", 2, 3, (40, 31))
    return Parts(backbone, adapter, learned, measured, {"recipe": "made up"})


def run(
    parts: Parts, out: Path, stop_at: int | None = None, **settings: Any
) -> tuple[TrainerState, list[float]]:
    """Fit or resume; return the state of the run and the losses of all its steps."""
    chosen = FitSettings(**(SETTINGS | settings))
    with join_processes("cpu") as processes:
        first = processes.rank == 0
        if not first:
            return fit(parts, chosen, out, processes, None, stop_at), []
        recover_run(out)
        with open_monitor(out, steps_done(out), chosen.steps) as monitor:
            standing = fit(parts, chosen, out, processes, monitor, stop_at)
    return standing, losses_of(out)


def weights_of(parts: Parts) -> dict[str, torch.Tensor]:
    """A copy of the adapter's weights."""
    return {name: value.clone() for name, value in parts.adapter.state_dict().items()}


def max_difference(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> float:
    """The largest difference of two adapters' weights."""
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def losses_of(out: Path) -> list[float]:
    """The loss of each step, in order."""
    lines = [line for line in read_metrics(out) if "loss" in line]
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    return [line["loss"] for line in lines]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--stop-at", type=int)
    parser.add_argument("--set", nargs="*", default=[])
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    settings = {
        key: json.loads(value) for key, _, value in (one.partition("=") for one in chosen.set)
    }
    chosen.out.mkdir(parents=True, exist_ok=True)
    parts = parts_of(chosen.models, null_tokens=3 if settings.get("video_dropout") else 0)
    run(parts, chosen.out, chosen.stop_at, **settings)
    weights = torch.cat([one.detach().flatten() for one in parts.adapter.parameters()])
    # Every process writes a checksum of its final adapter.
    (chosen.out / f"adapter-{os.environ.get('RANK', '0')}.txt").write_text(
        hashlib.sha256(weights.numpy().tobytes()).hexdigest()
    )


if __name__ == "__main__":
    main()
