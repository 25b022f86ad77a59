"""Checkpoints of a run: `last` holds all that a run needs to go on, `best` the adapter to use."""

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
TRAINER_STATE = "standing.json"
SaveAdapter = Callable[[Path], None]


@dataclass(frozen=True)
class TrainerState:
    """How far a run has come; the learning rate and the data's place follow from it.

    Attributes:
        step: steps of the optimiser done.
        world: processes that take part.
        best_loss: lowest validation loss, nats per token; None before the first validation.
        best_step: when that was.
        waited: validations since then.
        ended: why the run is over (`steps`, `patience`), or nothing.
    """

    step: int = 0
    world: int = 1
    best_loss: float | None = None
    best_step: int = 0
    waited: int = 0
    ended: str = ""


def save_checkpoint(
    folder: Path, save_adapter: SaveAdapter, standing: TrainerState, state: dict[str, Tensor] | None
) -> None:
    """Write a checkpoint in place of the one there; a kill or a full disk leaves the old one.

    Args:
        folder: `OUT/last` or `OUT/best`.
        save_adapter: writes the adapter's file.
        standing: where the run stands.
        state: of optimiser and random numbers; None for a checkpoint only to be used.

    Raises:
        OsslError: `disk_full`.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    new = folder.with_name(f".{folder.name}.new")
    try:
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        save_adapter(new / ADAPTER)
        if state is not None:
            save_file({name: value.contiguous() for name, value in state.items()}, new / STATE)
        (new / TRAINER_STATE).write_text(json.dumps(dataclasses.asdict(standing), indent=1) + "\n")
        files.swap_folder(new, folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(new, ignore_errors=True)
        full = _disk_full(error, folder)
        if full is None:
            raise
        raise full from error
    except OsslError:
        shutil.rmtree(new, ignore_errors=True)
        raise


def recover(folder: Path) -> None:
    """Put right what a kill between the two renames of a swap left behind."""
    old = folder.with_name(f".{folder.name}.old")
    if old.exists() and not folder.exists():
        old.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(folder.with_name(f".{folder.name}.new"), ignore_errors=True)


def read_trainer_state(folder: Path) -> TrainerState | None:
    """Where the run of a checkpoint stands; None where there is no checkpoint.

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
    """The tensors of optimiser and random numbers, on the CPU.

    Raises:
        OsslError: `checkpoint_damaged`.
    """
    return _tensors(folder / STATE)


def load_weights(folder: Path, adapter: nn.Module) -> None:
    """Give the adapter the weights of a checkpoint.

    Raises:
        OsslError: `checkpoint_damaged`; `checkpoint_size`: other names or shapes than the adapter's
            (weights are never loaded in part: what is left out would be silently untrained).
    """
    path = folder / ADAPTER
    found = _tensors(path)
    here = adapter.state_dict()
    differing = sorted(
        name
        for name in found.keys() | here.keys()
        if name not in found or name not in here or found[name].shape != here[name].shape
    )
    if differing:
        name = differing[0]
        raise OsslError(
            "checkpoint_size",
            f"{path} is of another size than the adapter of this recipe: {name} is "
            f"{_shape(found.get(name))} there and {_shape(here.get(name))} here.",
            "Take the recipe and the model it was made with, or another --out for a new run.",
        )
    adapter.load_state_dict(found, strict=True)


def _tensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise _damaged(path) from error
    return found


def _damaged(path: Path) -> OsslError:
    return OsslError(
        "checkpoint_damaged",
        f"{path} cannot be read.",
        "Copy the run's folder again, or begin it anew with `--restart`.",
    )


def _shape(tensor: Tensor | None) -> str:
    return "missing" if tensor is None else "x".join(map(str, tensor.shape)) or "one number"


def _disk_full(error: Exception, folder: Path) -> OsslError | None:
    if isinstance(error, OSError):
        found = files.disk_full(error, folder.parent)
    elif "os error 28" in str(error) or "os error 122" in str(error):
        # safetensors writes by itself and tells ENOSPC and EDQUOT in words.
        import errno

        found = files.disk_full(OSError(errno.ENOSPC, "full"), folder.parent)
    else:
        found = None
    if found is None:
        return None
    before: Any = read_trainer_state(folder)
    kept = f" The checkpoint of step {before.step} is kept." if before else ""
    return OsslError("disk_full", found.message + kept, found.hint)
