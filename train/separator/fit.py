"""Fit the separator: one job, a wall-clock budget, a checkpoint every few minutes.

    python -m separator.fit --init FILE --data DIR --run DIR --minutes 66 --processes 2
    python -m separator.fit --init FILE --data DIR --run DIR --batch 64 --workers 15 --remixes 1

Run again with the same options, it goes on from the last checkpoint until the budget is spent. The
learning rate falls to nothing by cosine over that budget, so a run that ends early is not finished.
On a CPU, two processes of one thread each are several times faster than two threads. The second
command is for a machine with one GPU, which is used if there is one; there the windows are mixed by
many processes, and `--remixes` uses each batch again, with its stems in other combinations.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from ossl_builder.separator.model import RANK, TRAINING_NFFT, FilmUNet
from separator.loss import SOURCES, loss, validate
from separator.mixing import Batches, Mixer, fixed_batches, load_all, remix
from separator.spoiling import RATE

log = logging.getLogger("fit")


@dataclass(frozen=True)
class Plan:
    """What a run is; all lengths in seconds unless the name says otherwise."""

    data: Path
    run: Path
    minutes: float = 90.0
    processes: int = 1
    """That train; on a CPU, of one thread each."""
    batch: int = 4
    """Windows per process and step."""
    window: float = 4.4
    rate: float = 8e-4
    warm_up_steps: int = 100
    clip: float = 5.0
    averaging: float = 0.998
    """Decay per step of the moving average of the weights, which is what ships."""
    checkpoint_minutes: float = 8.0
    seed: int = 0
    init: Path | None = None
    """Weights to start from; a file with fewer sources gives those that it has."""
    device: str = "auto"
    """cpu, cuda, or auto: the GPU if there is one."""
    workers: int = 1
    """Processes that mix windows, for each process that trains."""
    remixes: int = 0
    """Further steps with the stems of the same windows in other combinations."""
    rank: int = RANK
    """Rank of the network's factorised layers."""
    sources: int = 2
    """How many of `SOURCES` the network gives; the others are in no stem."""

    def torch_device(self) -> torch.device:
        """The device to train on."""
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return torch.device(self.device)


def build(rank: int = RANK, sources: int = 2) -> FilmUNet:
    """The network on the training grid: 16 kHz, mono."""
    model: FilmUNet = FilmUNet(
        SOURCES[:sources], samplerate=RATE, audio_channels=1, nfft=TRAINING_NFFT, rank=rank
    )
    return model


def has_bf16(device: torch.device) -> bool:
    """Whether the device computes in bf16; a processor that emulates it is 20 times slower."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def start_from(model: FilmUNet, path: Path) -> None:
    """Copy the weights of a file; a source that it does not have keeps its random weights."""
    model.load_state_dict({**model.state_dict(), **load_file(path)})


class Trainer:
    """The state of a run: model, moving average, optimiser, time spent."""

    def __init__(self, plan: Plan) -> None:
        """Fresh, or as the last checkpoint of the run left it."""
        torch.manual_seed(plan.seed)
        self.plan, self.device = plan, plan.torch_device()
        self.model = build(plan.rank, plan.sources)
        if plan.init is not None:
            start_from(self.model, plan.init)
        self.model.to(self.device)
        self.in_bf16 = has_bf16(self.device)
        self.average = copy.deepcopy(self.model).eval()
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=plan.rate, betas=(0.9, 0.99), weight_decay=1e-4
        )
        self.step, self.spent = 0, 0.0
        if self.checkpoint.exists():
            state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
            self.model.load_state_dict(state["model"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.spent = state["step"], state["spent"]

    @property
    def checkpoint(self) -> Path:
        """Where the state is kept between starts."""
        return self.plan.run / "checkpoint.pt"

    @property
    def progress(self) -> float:
        """Share of the budget that is spent."""
        return self.spent / (self.plan.minutes * 60)

    def rate(self) -> float:
        """Warm up by steps, hold for a tenth of the budget, then fall by cosine to nothing."""
        warm = min(1.0, (self.step + 1) / self.plan.warm_up_steps)
        falling = max(0.0, (self.progress - 0.1) / 0.9)
        return self.plan.rate * warm * 0.5 * (1 + math.cos(math.pi * min(1.0, falling)))

    def learn(self, network: nn.Module, mix: Tensor, stems: Tensor) -> Tensor:
        """One step; the loss before it, on the device."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.in_bf16):
            estimate = network(mix)
        value = loss(estimate.float(), stems[:, : self.plan.sources], mix)
        self.optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.plan.clip)
        self.optimizer.step()
        self.step += 1
        decay = min(self.plan.averaging, (self.step + 1) / (self.step + 20))
        with torch.no_grad():
            weights = zip(self.average.parameters(), self.model.parameters(), strict=True)
            for slow, fast in weights:
                slow.lerp_(fast, 1 - decay)
        return value.detach()

    def save(self) -> None:
        """Write the checkpoint so that a kill at any instant leaves the old or the new one."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "spent": self.spent,
            "rank": self.plan.rank,
            "sources": self.plan.sources,
        }
        part = self.checkpoint.with_suffix(".part")
        torch.save(state, part)
        part.replace(self.checkpoint)


def ticks(trainer: Trainer) -> Iterator[bool]:
    """Count the time each step takes; yields whether a checkpoint is due.

    The first process decides for all, so that none waits for a step that another does not take.
    """
    last = time.monotonic()
    saved = trainer.spent
    while trainer.progress < 1:
        due = trainer.spent - saved >= trainer.plan.checkpoint_minutes * 60
        if due:
            saved = trainer.spent
        yield due
        now = time.monotonic()
        spent = torch.tensor([trainer.spent + now - last], dtype=torch.float64)
        last = now
        dist.broadcast(spent, 0)
        trainer.spent = float(spent)


def work(process: int, plan: Plan) -> None:
    """One process of the run."""
    torch.set_num_threads(1)
    torch.backends.cudnn.benchmark = True
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    store = f"file://{plan.run.resolve() / 'rendezvous'}"
    dist.init_process_group("gloo", init_method=store, rank=process, world_size=plan.processes)
    trainer = Trainer(plan)
    network: nn.Module = trainer.model
    if plan.processes > 1:
        network = DistributedDataParallel(trainer.model)
    unseen = Mixer(*load_all(plan.data, "-val"), seconds=6.0, seed=99)
    held_out = [
        (mix.to(trainer.device), stems[:, : plan.sources].to(trainer.device))
        for mix, stems in fixed_batches(unseen, batches=10, size=5)
    ]
    source = windows(plan, seed=plan.seed + 1000 * trainer.step + process, device=trainer.device)
    recent: list[Tensor] = []
    begun = trainer.step
    for due in ticks(trainer):
        recent.append(trainer.learn(network, *next(source)))
        if process == 0 and (due or trainer.step - begun in (10, 100)):
            log.info("step %d, %.1f min, loss %.3f", trainer.step, trainer.spent / 60, mean(recent))
        if process == 0 and due:
            report(trainer, held_out, mean(recent))
            recent.clear()
    if process == 0:
        report(trainer, held_out, mean(recent))
    dist.barrier()
    dist.destroy_process_group()


def windows(plan: Plan, seed: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches on the device; after a restart, `seed` makes other windows than before."""
    batches = DataLoader(
        Batches(plan.data, plan.window, plan.batch, seed),
        batch_size=None, num_workers=plan.workers, prefetch_factor=2,
        pin_memory=device.type == "cuda",
    )  # fmt: skip
    for cpu_mix, cpu_stems in batches:
        mix = cpu_mix.to(device, non_blocking=True)
        stems = cpu_stems.to(device, non_blocking=True)
        yield mix, stems
        for _ in range(plan.remixes):
            yield remix(mix, stems)


def mean(losses: Sequence[Tensor]) -> float:
    """Mean of the losses; not a number if there are none."""
    return float(torch.stack(list(losses)).mean()) if losses else math.nan


def report(trainer: Trainer, held_out: Sequence[tuple[Tensor, Tensor]], train_loss: float) -> None:
    """Save, validate the moving average, and add a line to metrics.jsonl."""
    trainer.save()
    figures = validate(trainer.average, held_out)
    line = {
        "step": trainer.step,
        "minutes": round(trainer.spent / 60, 2),
        "rate": trainer.rate(),
        "train_loss": round(train_loss, 4),
        **{name: round(value, 3) for name, value in figures.items()},
    }
    with (trainer.plan.run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    log.info("%s", line)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--data", type=Path, required=True, help="music/, speech/, effects/, their -val"
    )
    parser.add_argument("--run", type=Path, required=True, help="folder of checkpoints and metrics")
    parser.add_argument("--minutes", type=float, default=Plan.minutes, help="budget, wall clock")
    parser.add_argument("--processes", type=int, default=Plan.processes, help="that train")
    parser.add_argument("--batch", type=int, default=Plan.batch, help="windows per process, step")
    parser.add_argument("--window", type=float, default=Plan.window, help="seconds of a window")
    parser.add_argument("--rate", type=float, default=Plan.rate, help="highest learning rate")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default=Plan.device)
    parser.add_argument("--workers", type=int, default=Plan.workers, help="mixing, per process")
    parser.add_argument(
        "--remixes", type=int, default=Plan.remixes, help="further steps with the same stems"
    )
    parser.add_argument("--rank", type=int, default=Plan.rank, help="of the factorised layers")
    parser.add_argument(
        "--sources", type=int, choices=(2, 3), default=Plan.sources, help="3: effects too"
    )
    parser.add_argument("--init", type=Path, help="a .safetensors file to start from")
    parser.add_argument("--seed", type=int, default=Plan.seed, help="of weights and windows")
    plan = Plan(**vars(parser.parse_args()))
    if plan.torch_device().type == "cuda" and plan.processes > 1:
        parser.error("one GPU is used by one process: set --processes 1 (and --workers)")
    plan.run.mkdir(parents=True, exist_ok=True)
    (plan.run / "rendezvous").unlink(missing_ok=True)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.multiprocessing.spawn(work, args=(plan,), nprocs=plan.processes)


if __name__ == "__main__":
    main()
