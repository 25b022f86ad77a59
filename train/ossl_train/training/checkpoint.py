"""Checkpoints of a run: `last` has all that is needed to resume, `best` the adapter to use."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ossl_builder import files, parse
from ossl_builder.errors import OsslError

ADAPTER = "adapter.safetensors"
STATE = "state.safetensors"
TRAINER_STATE = "trainer_state.json"
SaveAdapter = Callable[[Path], None]


@dataclass(frozen=True)
class TrainerState:
    """The progress of a run; the learning rate and the position in the data follow from it.

    Attributes:
        step: optimiser steps that are done.
        world: number of processes.
        best_loss: validation loss of the best adapter, nats per token; None before the first
            validation.
        best_gain, best_gain_low, best_gain_high: its video gain and the 95 % interval, nats per
            token; None below two films in the validation split.
        best_step: its step.
        waited: validations since then without a better one.
        ended: why the run has ended (`steps`, `patience`); empty: it has not.
    """

    step: int = 0
    world: int = 1
    best_loss: float | None = None
    best_gain: float | None = None
    best_gain_low: float | None = None
    best_gain_high: float | None = None
    best_step: int = 0
    waited: int = 0
    ended: str = ""


def save_checkpoint(
    folder: Path, save_adapter: SaveAdapter, trainer: TrainerState, state: dict[str, Tensor] | None
) -> None:
    """Replace a checkpoint; after a kill or on a full disk the old one remains.

    Args:
        folder: `OUT/last` or `OUT/best`.
        save_adapter: writes the adapter's file.
        trainer: the progress of the run.
        state: tensors of optimiser and random numbers; None: the run cannot resume from it.

    Raises:
        OsslError: `disk_full`.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    new_folder = folder.with_name(f".{folder.name}.new")
    try:
        shutil.rmtree(new_folder, ignore_errors=True)
        new_folder.mkdir(parents=True)
        save_adapter(new_folder / ADAPTER)
        if state is not None:
            save_file(
                {name: value.contiguous() for name, value in state.items()}, new_folder / STATE
            )
        (new_folder / TRAINER_STATE).write_text(
            json.dumps(dataclasses.asdict(trainer), indent=1) + "\n"
        )
        files.swap_folder(new_folder, folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(new_folder, ignore_errors=True)
        full = _disk_full(error, folder)
        if full is None:
            raise
        raise full from error
    except OsslError:
        shutil.rmtree(new_folder, ignore_errors=True)
        raise


def recover(folder: Path) -> None:
    """Repair a checkpoint after a kill between the two renames of a swap."""
    old_folder = folder.with_name(f".{folder.name}.old")
    if old_folder.exists() and not folder.exists():
        old_folder.rename(folder)
    shutil.rmtree(old_folder, ignore_errors=True)
    shutil.rmtree(folder.with_name(f".{folder.name}.new"), ignore_errors=True)


def read_trainer_state(folder: Path) -> TrainerState | None:
    """Read the progress of a run from a checkpoint; None if there is no checkpoint.

    Raises:
        OsslError: `checkpoint_damaged`.
    """
    path = folder / TRAINER_STATE
    if not path.exists():
        return None
    try:
        return TrainerState(**parse.json_value(path.read_text()))
    except (ValueError, TypeError) as error:
        raise _damaged(path) from error


def read_state(folder: Path) -> dict[str, Tensor]:
    """Read the tensors of optimiser and random numbers, on the CPU.

    Raises:
        OsslError: `checkpoint_damaged`.
    """
    return _tensors(folder / STATE)


def load_weights(folder: Path, adapter: nn.Module) -> None:
    """Load the weights of a checkpoint into the adapter.

    Raises:
        OsslError: `checkpoint_damaged`; `checkpoint_size`: names or shapes differ from the
            adapter's (weights are never loaded in part: the rest would stay untrained).
    """
    path = folder / ADAPTER
    stored = _tensors(path)
    wanted = adapter.state_dict()
    differing = sorted(
        name
        for name in stored.keys() | wanted.keys()
        if name not in stored or name not in wanted or stored[name].shape != wanted[name].shape
    )
    if differing:
        name = differing[0]
        raise OsslError(
            "checkpoint_size",
            f"{path} does not fit the adapter of this recipe: {name} is "
            f"{_shape(stored.get(name))} in the file, "
            f"{_shape(wanted.get(name))} in the adapter.",
            "Use the recipe and the model of that run, or start a new run with another --out.",
        )
    adapter.load_state_dict(stored, strict=True)


def _tensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise _damaged(path) from error
    return tensors


def _damaged(path: Path) -> OsslError:
    return OsslError(
        "checkpoint_damaged",
        f"The checkpoint file {path} cannot be read.",
        "Copy the run again, or start with `--restart`.",
    )


def _shape(tensor: Tensor | None) -> str:
    return "missing" if tensor is None else "x".join(map(str, tensor.shape)) or "one number"


def _disk_full(error: Exception, folder: Path) -> OsslError | None:
    if isinstance(error, OSError):
        full = files.disk_full(error, folder.parent)
    elif "os error 28" in str(error) or "os error 122" in str(error):
        # safetensors reports ENOSPC and EDQUOT only in its message.
        import errno

        full = files.disk_full(OSError(errno.ENOSPC, "full"), folder.parent)
    else:
        full = None
    if full is None:
        return None
    before: Any = read_trainer_state(folder)
    remains = f" The checkpoint of step {before.step} remains." if before else ""
    return OsslError("disk_full", full.message + remains, full.hint)
