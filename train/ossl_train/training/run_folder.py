"""The folder of a run: its settings, its checkpoints, and how a run resumes."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor
from torch.optim import Optimizer

from ossl_builder import files, parse
from ossl_builder.engine.cache import UNSHAPING
from ossl_builder.errors import OsslError
from ossl_train.adapter.adapter import VideoAdapter
from ossl_train.adapter.adapter_file import save_adapter
from ossl_train.recipe import TrainRecipe
from ossl_train.training import checkpoint
from ossl_train.training.checkpoint import TrainerState
from ossl_train.training.distributed import Processes
from ossl_train.training.optimiser import optimiser_state, restore_optimiser

LAST, BEST = "last", "best"
RECIPE, DATA = "recipe.yaml", "data.json"
RUN_FILES = (LAST, BEST, "tensorboard", "metrics.jsonl", RECIPE, DATA)


@contextlib.contextmanager
def lock_run(out: Path) -> Iterator[None]:
    """Hold a run's folder for writing; the system frees it when the process ends, however.

    Raises:
        OsslError: `run_in_use`.
    """
    import filelock

    out.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(out / ".lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise OsslError(
            "run_in_use", f"Another process is fitting into {out}.", "Wait for it, or stop it."
        ) from error
    try:
        yield
    finally:
        lock.release()


def clear_run(out: Path) -> None:
    """Remove what a run left in its folder."""
    for name in RUN_FILES:
        for path in (out / name, out / f".{name}.old", out / f".{name}.new"):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def recover_run(out: Path) -> None:
    """Put right what a kill left behind."""
    for name in (LAST, BEST):
        checkpoint.recover(out / name)


def steps_done(out: Path) -> int:
    """Steps of the last checkpoint; 0 where there is none.

    Raises:
        OsslError: `checkpoint_damaged`.
    """
    standing = checkpoint.read_trainer_state(out / LAST)
    return 0 if standing is None else standing.step


def record_run(out: Path, recipe: TrainRecipe, data: Mapping[str, Any]) -> None:
    """Write down what a run is made with, or see that it is the run that stands there.

    Args:
        out: the run's folder.
        recipe: resolved, with what `--set` changed.
        data: checksums of tables, numbers of windows, digests of models.

    Raises:
        OsslError: `run_differs`, which names what does; `run_unreadable`.
    """
    import yaml

    here = shaping_settings(recipe)
    if (out / DATA).exists() and (out / RECIPE).exists():
        there, before = _described(out)
        differing = [
            *_differing(shaping_settings(there), here),
            *_differing(_flat(before), _flat(data)),
        ]
        if differing:
            raise OsslError(
                "run_differs",
                f"{out} holds a run made otherwise: {'; '.join(differing[:4])}.",
                "Give the new run its own --out, or throw the old one away with --restart.",
            )
        return
    text = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    files.write_bytes(out / RECIPE, text.encode())
    files.write_bytes(out / DATA, json.dumps(data, indent=1, sort_keys=True).encode() + b"\n")


def _described(out: Path) -> tuple[TrainRecipe, dict[str, Any]]:
    try:
        text = json.dumps(parse.yaml_file(out / RECIPE))
        return TrainRecipe.model_validate_json(text), parse.json_value((out / DATA).read_bytes())
    except (TypeError, ValueError) as error:  # pydantic's errors are ValueErrors
        raise OsslError(
            "run_unreadable",
            f"{out / RECIPE} or {DATA} beside it is damaged, or of another version.",
            "Give the new run its own --out, or throw the old one away with --restart.",
        ) from error


def shaping_settings(recipe: TrainRecipe) -> dict[str, Any]:
    """A recipe's settings that shape the result, by `section.key`."""
    return {
        f"{section}.{key}": getattr(settings, key)
        for section in TrainRecipe.model_fields
        if isinstance(settings := getattr(recipe, section), BaseModel)
        for key, field in type(settings).model_fields.items()
        if field.json_schema_extra != UNSHAPING
    }


def _flat(data: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{above}{key} ")
        else:
            found[above + key] = value
    return found


def _differing(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    return [
        f"{key} was {_short(there.get(key))}, is {_short(here.get(key))}"
        for key in sorted(there.keys() | here.keys())
        if there.get(key) != here.get(key)
    ]


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:8]}…"


@dataclass(frozen=True)
class CheckpointWriter:
    """Keeps one run's checkpoints.

    Attributes:
        out: the run's folder.
        adapter, optimiser: whose state it is.
        metadata: written into each adapter file, text by text.
        processes: this one among its like; rank 0 writes.
    """

    out: Path
    adapter: VideoAdapter
    optimiser: Optimizer
    metadata: Mapping[str, str]
    processes: Processes

    def keep_last(self, standing: TrainerState) -> None:
        """Write all that the run needs to go on; every process calls it.

        Raises:
            OsslError: `disk_full`.
        """
        # Each process has random numbers of its own.
        randoms = self.processes.gather(_random_state(self.processes.device))
        if self.processes.rank == 0:
            state = optimiser_state(self.optimiser, self.adapter)
            for rank, found in enumerate(randoms):
                state |= {f"random/{rank}/{kind}": value for kind, value in found.items()}
            self._save(LAST, standing, state)

    def keep_best(self, standing: TrainerState) -> None:
        """Write the adapter as the one to use: a third of what `last` takes.

        Raises:
            OsslError: `disk_full`.
        """
        if self.processes.rank == 0:
            self._save(BEST, standing, None)

    def resume(self) -> TrainerState | None:
        """Take up `last`; None where there is none.

        Raises:
            OsslError: `out_not_shared`, `processes_differ`, `checkpoint_damaged`,
                `checkpoint_size`.
        """
        last = self.out / LAST
        world = self.processes.world
        found = checkpoint.read_trainer_state(last)
        if any(one != found for one in self.processes.gather(found)):
            raise OsslError(
                "out_not_shared",
                f"Not all processes of the run see the same checkpoint in {self.out}.",
                "Put --out where all machines can read it.",
            )
        if found is None:
            return None
        if found.world != world:
            raise OsslError(
                "processes_differ",
                f"The run was begun with {_processes(found.world)}, and there is now {world}: "
                "its data would come in another order.",
                "Begin as many as before, or a new run with another --out.",
            )
        checkpoint.load_weights(last, self.adapter)
        state = checkpoint.read_state(last)
        restore_optimiser(self.optimiser, self.adapter, state)
        torch.set_rng_state(state[f"random/{self.processes.rank}/cpu"])
        on_gpu = state.get(f"random/{self.processes.rank}/cuda")
        if self.processes.device.type == "cuda" and on_gpu is not None:
            torch.cuda.set_rng_state(on_gpu, self.processes.device)
        return found

    def _save(self, name: str, standing: TrainerState, state: dict[str, Tensor] | None) -> None:
        facts = {**self.metadata, "step": str(standing.step)}
        checkpoint.save_checkpoint(
            self.out / name,
            lambda path: save_adapter(path, self.adapter, facts),
            standing,
            state,
        )


def _random_state(device: torch.device) -> dict[str, Tensor]:
    found = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        found["cuda"] = torch.cuda.get_rng_state(device)
    return found


def _processes(count: int) -> str:
    return "1 process" if count == 1 else f"{count} processes"
