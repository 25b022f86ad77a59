"""Writing down where a run stands, and taking it up again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import Optimizer

from ossl_builder.errors import OsslError
from ossl_train.fit import checkpoint
from ossl_train.fit.checkpoint import Standing
from ossl_train.fit.optimiser import optimiser_state, restore_optimiser
from ossl_train.fit.processes import Processes
from ossl_train.fit.run_folder import BEST, LAST
from ossl_train.model.adapter import VideoAdapter
from ossl_train.model.adapter_file import save_adapter


@dataclass(frozen=True)
class Keeper:
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

    def keep_last(self, standing: Standing) -> None:
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

    def keep_best(self, standing: Standing) -> None:
        """Write the adapter as the one to use: a third of what `last` takes.

        Raises:
            OsslError: `disk_full`.
        """
        if self.processes.rank == 0:
            self._save(BEST, standing, None)

    def resume(self) -> Standing | None:
        """Take up `last`; None where there is none.

        Raises:
            OsslError: `out_not_shared`, `processes_differ`, `checkpoint_damaged`,
                `checkpoint_size`.
        """
        last = self.out / LAST
        world = self.processes.world
        found = checkpoint.read_standing(last)
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

    def _save(self, name: str, standing: Standing, state: dict[str, Tensor] | None) -> None:
        facts = {**self.metadata, "step": str(standing.step)}
        checkpoint.save(
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
