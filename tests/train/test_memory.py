"""Too little memory for a step: the error names what to set, and a dry run finds what fits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ossl_train.training.distributed import Processes
from ossl_train.training.dry_run import dry_run
from ossl_train.training.memory import halved, is_out_of_memory, memory_explained
from ossl_train.training.settings import FitSettings
from ossl_train.training.train_module import TrainModule

from ossl_builder.errors import OsslError
from tests.train.small_run import SETTINGS, parts_of, run

CPU = torch.device("cpu")


@pytest.fixture
def two_windows_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of more than two windows asks PyTorch for a petabyte, which it really refuses."""
    forward = TrainModule.forward

    def greedy(self: TrainModule, batch: Any, *keep: Any) -> Any:
        if len(batch.windows) > 2:
            torch.empty(10**15, dtype=torch.uint8)
        return forward(self, batch, *keep)

    monkeypatch.setattr(TrainModule, "forward", greedy)


@pytest.mark.usefixtures("two_windows_fit")
def test_fit_stops_with_the_settings_to_change(tiny_models: Path, tmp_path: Path) -> None:
    parts = parts_of(tiny_models)
    with pytest.raises(OsslError, match="batches of 4 windows") as caught:
        run(parts, tmp_path, accumulation=2)
    assert caught.value.code == "memory_full"
    assert "--set fit.batch_size=2 --set fit.accumulation=4" in caught.value.hint
    state, losses = run(parts_of(tiny_models), tmp_path, batch_size=2, accumulation=4)
    assert state.step == len(losses) == SETTINGS["steps"]


@pytest.mark.usefixtures("two_windows_fit")
def test_a_dry_run_finds_the_batch_that_fits(tiny_models: Path, tmp_path: Path) -> None:
    settings = FitSettings(**(SETTINGS | {"batch_size": 8, "accumulation": 3}))
    found = dry_run(parts_of(tiny_models), settings, tmp_path, Processes(0, 1, CPU))
    assert (found.batch_size, found.accumulation, found.fits) == (2, 12, False)
    assert found.windows_per_step == 24
    told = " ".join(found.sentences())
    assert "--set fit.batch_size=2 --set fit.accumulation=12" in told


def test_a_dry_run_of_a_batch_that_fits_says_nothing(tiny_models: Path, tmp_path: Path) -> None:
    settings = FitSettings(**SETTINGS)
    found = dry_run(parts_of(tiny_models), settings, tmp_path, Processes(0, 1, CPU))
    assert (found.batch_size, found.accumulation, found.fits) == (4, 1, True)
    assert "too small" not in " ".join(found.sentences())


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"batch_size": 1, "precision": "fp32"}, "fit.precision=bf16"),
        ({"batch_size": 1, "precision": "bf16"}, "features.pooling=time_slots"),
        ({"batch_size": 3, "accumulation": 1}, "fit.batch_size=1 --set fit.accumulation=3"),
    ],
)
def test_each_case_has_a_way_out(settings: dict[str, Any], told: str) -> None:
    with (
        pytest.raises(OsslError) as caught,
        memory_explained(FitSettings(**settings), torch.device("cuda")),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 72.00 MiB.")
    assert "GPU has too little memory" in caught.value.message
    assert told in caught.value.hint


def test_other_errors_pass() -> None:
    assert not is_out_of_memory(RuntimeError("The size of tensor a must match"))
    with pytest.raises(RuntimeError, match="must match"), memory_explained(FitSettings(), CPU):
        raise RuntimeError("The size of tensor a must match the size of tensor b")


@pytest.mark.parametrize(("batch", "accumulation"), [(2, 1), (5, 1), (9, 4), (64, 3)])
def test_half_of_a_batch_has_at_least_as_many_windows_per_step(
    batch: int, accumulation: int
) -> None:
    half = halved(FitSettings(batch_size=batch, accumulation=accumulation))
    assert half.batch_size == batch // 2
    windows = half.batch_size * half.accumulation
    assert 0 <= windows - batch * accumulation < half.batch_size
