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
from ossl_train.training.weight_average import AveragedWeights

LAST, BEST = "last", "best"
RECIPE, DATA = "recipe.yaml", "data.json"
SAMPLES = "samples"
RUN_FILES = (LAST, BEST, "tensorboard", "metrics.jsonl", RECIPE, DATA, SAMPLES)


@contextlib.contextmanager
def lock_run(out: Path) -> Iterator[None]:
    """Lock the folder of a run; the lock ends with the process.

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
            "run_in_use", f"Another process trains in {out}.", "Wait until it ends, or stop it."
        ) from error
    try:
        yield
    finally:
        lock.release()


def clear_run(out: Path) -> None:
    """Delete the files of a run."""
    for name in RUN_FILES:
        for path in (out / name, out / f".{name}.old", out / f".{name}.new"):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def recover_run(out: Path) -> None:
    """Repair the checkpoints after a kill."""
    for name in (LAST, BEST):
        checkpoint.recover(out / name)


def steps_done(out: Path) -> int:
    """Return the steps of the last checkpoint; 0 if there is none.

    Raises:
        OsslError: `checkpoint_damaged`.
    """
    trainer = checkpoint.read_trainer_state(out / LAST)
    return 0 if trainer is None else trainer.step


def record_run(out: Path, recipe: TrainRecipe, data: Mapping[str, Any]) -> None:
    """Record recipe and data of a new run, or check that they are those of the run in the folder.

    Args:
        out: the run's folder.
        recipe: the recipe, with the changes of `--set`.
        data: checksums of tables, numbers of windows, digests of models.

    Raises:
        OsslError: `run_differs`, with the differences; `run_unreadable`.
    """
    import yaml

    wanted = shaping_settings(recipe)
    if (out / DATA).exists() and (out / RECIPE).exists():
        recorded, data_before = _described(out)
        differing = [
            *_differing(shaping_settings(recorded), wanted),
            *_differing(_flat(data_before), _flat(data)),
        ]
        if differing:
            raise OsslError(
                "run_differs",
                f"{out} holds a run with other settings or data: {'; '.join(differing[:4])}.",
                "Give the new run its own --out, or delete the old run with --restart.",
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
            "Give the new run its own --out, or delete the old run with --restart.",
        ) from error


def shaping_settings(recipe: TrainRecipe) -> dict[str, Any]:
    """Return the settings that the result depends on, by `section.key`."""
    return {
        f"{section}.{key}": getattr(settings, key)
        for section in TrainRecipe.model_fields
        if isinstance(settings := getattr(recipe, section), BaseModel)
        for key, field in type(settings).model_fields.items()
        if field.json_schema_extra != UNSHAPING
    }


def _flat(data: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, Mapping):
            values |= _flat(value, f"{above}{key} ")
        else:
            values[above + key] = value
    return values


def _differing(recorded: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    return [
        f"{key} was {_short(recorded.get(key))}, is {_short(current.get(key))}"
        for key in sorted(recorded.keys() | current.keys())
        if recorded.get(key) != current.get(key)
    ]


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:8]}…"


@dataclass(frozen=True)
class CheckpointWriter:
    """Writes and restores the checkpoints of one run.

    Attributes:
        out: the folder of the run.
        adapter, optimiser, average: the objects to save.
        metadata: texts that are written into each adapter file.
        processes: this process and the number of others; rank 0 writes.
    """

    out: Path
    adapter: VideoAdapter
    optimiser: Optimizer
    average: AveragedWeights
    metadata: Mapping[str, str]
    processes: Processes

    def keep_last(self, trainer: TrainerState) -> None:
        """Write all that is needed to resume; every process calls it.

        Raises:
            OsslError: `disk_full`.
        """
        # Each process has its own random state.
        randoms = self.processes.gather(_random_state(self.processes.device))
        if self.processes.rank == 0:
            state = optimiser_state(self.optimiser, self.adapter) | self.average.state()
            for rank, tensors in enumerate(randoms):
                state |= {f"random/{rank}/{kind}": value for kind, value in tensors.items()}
            self._save(LAST, trainer, state)

    def keep_best(self, trainer: TrainerState) -> None:
        """Write the adapter as the one to use; it takes a third of the space of `last`.

        Raises:
            OsslError: `disk_full`.
        """
        if self.processes.rank == 0:
            self._save(BEST, trainer, None)

    def resume(self) -> TrainerState | None:
        """Restore the state of `last`; return its progress, or None if there is none.

        Raises:
            OsslError: `out_not_shared`, `processes_differ`, `checkpoint_damaged`,
                `checkpoint_size`.
        """
        last = self.out / LAST
        world = self.processes.world
        saved = checkpoint.read_trainer_state(last)
        if any(other != saved for other in self.processes.gather(saved)):
            raise OsslError(
                "out_not_shared",
                f"The processes of the run see different checkpoints in {self.out}.",
                "Set --out to a folder that all machines share.",
            )
        if saved is None:
            return None
        if saved.world != world:
            raise OsslError(
                "processes_differ",
                f"The run was started with {_count(saved.world)}, and now there are {world}: the "
                "order of its data would change.",
                "Start as many processes as before, or a new run with another --out.",
            )
        checkpoint.load_weights(last, self.adapter)
        state = checkpoint.read_state(last)
        restore_optimiser(self.optimiser, self.adapter, state)
        self.average.restore(state)
        torch.set_rng_state(state[f"random/{self.processes.rank}/cpu"])
        on_gpu = state.get(f"random/{self.processes.rank}/cuda")
        if self.processes.device.type == "cuda" and on_gpu is not None:
            torch.cuda.set_rng_state(on_gpu, self.processes.device)
        return saved

    def _save(self, name: str, trainer: TrainerState, state: dict[str, Tensor] | None) -> None:
        facts = {**self.metadata, "step": str(trainer.step)}
        checkpoint.save_checkpoint(
            self.out / name,
            lambda path: save_adapter(path, self.adapter, facts),
            trainer,
            state,
        )


def _random_state(device: torch.device) -> dict[str, Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def _count(count: int) -> str:
    return "1 process" if count == 1 else f"{count} processes"
