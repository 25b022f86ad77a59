"""The costs in train/README.md are computed from model sizes, and are about right."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
import torch
from ossl_train import costs
from ossl_train.adapter.adapter import adapter_for
from ossl_train.costs import SIZES, Size, memory, operations
from ossl_train.recipe import names
from ossl_train.training.distributed import Processes
from ossl_train.training.loop import train_step
from ossl_train.training.optimiser import create_optimiser
from ossl_train.training.settings import FitSettings
from ossl_train.training.train_module import TrainModule

from tests.benchmarks import bench_fit

README = Path(__file__).parents[2] / "train/README.md"


def test_the_readme_has_these_tables_and_names_every_recipe() -> None:
    text = README.read_text(encoding="utf-8")
    for table in costs.tables().split("\n\n"):
        assert table in text, "python -m ossl_train.costs prints the tables of train/README.md"
    assert all(f"`{name}`" in text for name in names())


def test_every_test_that_the_readme_names_exists() -> None:
    text = README.read_text(encoding="utf-8").replace("`faults", "`test_reference_faults")
    named = re.findall(r"`(test_\w+\.py)::(\w+)`", text)
    assert len(named) > 20
    for file, test in named:
        (path,) = Path(__file__).parent.rglob(file)
        assert f"def {test}(" in path.read_text(), f"{file}::{test}"


@pytest.mark.parametrize(
    ("name", "frozen", "trained", "few", "every"),
    [
        ("small", 420e6, 120e6, 3.3e12, 5.8e12),
        ("medium", 1838e6, 510e6, 13.7e12, 22.8e12),
        ("large", 3255e6, 881e6, 23.4e12, 37.4e12),
    ],
)
def test_operations_are_about_those_that_pytorch_counts(
    name: str, frozen: float, trained: float, few: float, every: float
) -> None:
    """By PyTorch's FlopCounterMode, on models of these sizes."""
    size = SIZES[name]
    assert size.frozen == pytest.approx(frozen, rel=0.01)
    assert size.trained == pytest.approx(trained, rel=0.01)
    assert operations(size, 17) == pytest.approx(few, rel=0.06)
    assert operations(size, 3137) == pytest.approx(every, rel=0.06)


@pytest.mark.parametrize(("dim", "n_tokens"), [(128, 17), (256, 1000)])
def test_memory_is_about_that_of_the_tensors_of_a_step(
    one_thread: None, dim: int, n_tokens: int
) -> None:
    cpu, small = torch.device("cpu"), bench_fit.Size(dim, 4, 4, 1, 10.0)
    backbone = bench_fit.random_backbone(small, cpu, torch.float32)
    adapter = adapter_for(
        backbone, video_dim=bench_fit.VIDEO_DIM, alpha_init=0.1, positions="time"
    ).train()
    settings = FitSettings(batch_size=1)
    watched, optimiser = (
        TrainModule(backbone, adapter, settings),
        create_optimiser(adapter, settings),
    )
    weights = {one.data_ptr() for one in (*backbone.parameters(), *adapter.parameters())}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        where = tensor.untyped_storage().data_ptr()
        if where not in weights:
            kept[where] = tensor  # a reference, or the address would be reused
        return tensor

    batch = bench_fit.random_batch(small, n_tokens, 1, cpu)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        train_step(watched, optimiser, itertools.repeat(batch), settings, 0, Processes(0, 1, cpu))
    adapter.detach()
    counted = sum(one.untyped_storage().nbytes() for one in kept.values())
    size = Size("counted", dim, 4)
    expected = memory(size, n_tokens, 1, "fp32", 10.0) - 4 * size.frozen - 16 * size.trained
    assert expected == pytest.approx(counted, rel=0.1)
