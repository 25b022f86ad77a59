"""Checkpoints are written atomically, and never loaded in part."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from ossl_train.training import checkpoint
from ossl_train.training.checkpoint import TrainerState
from safetensors.torch import save_file
from torch import nn

from ossl_builder.errors import OsslError


def write(folder: Path, step: int, values: int = 8) -> None:
    weights = {"weight": torch.full((values, 4), float(step)), "bias": torch.zeros(values)}
    checkpoint.save_checkpoint(
        folder,
        lambda path: save_file(weights, path),
        TrainerState(step=step),
        {"state": torch.full((values, 4), float(step))},
    )


def test_checkpoint_round_trip(tmp_path: Path) -> None:
    last = tmp_path / "last"
    assert checkpoint.read_trainer_state(last) is None
    write(last, 3)
    write(last, 5)
    assert checkpoint.read_trainer_state(last) == TrainerState(step=5)
    module = nn.Linear(4, 8)
    checkpoint.load_weights(last, module)
    assert bool((module.weight == 5).all())
    assert bool((checkpoint.read_state(last)["state"] == 5).all())
    assert [path.name for path in tmp_path.iterdir()] == ["last"]


def test_a_kill_between_the_two_renames_of_a_swap_loses_nothing(tmp_path: Path) -> None:
    last = tmp_path / "last"
    write(last, 3)
    last.rename(tmp_path / ".last.old")
    write(tmp_path / ".last.new", 5)
    checkpoint.recover(last)
    assert checkpoint.read_trainer_state(last) == TrainerState(step=3)
    (tmp_path / ".last.old").mkdir()
    checkpoint.recover(last)
    assert checkpoint.read_trainer_state(last) == TrainerState(step=3)
    assert [path.name for path in tmp_path.iterdir()] == ["last"]


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Linear(4, 9), "bias is 8 in the file, 9 in the adapter"),
        (nn.Linear(5, 8), "weight is 8x4 in the file, 8x5 in the adapter"),
        (nn.Linear(4, 8, bias=False), "bias is 8 in the file, missing in the adapter"),
        (
            nn.ModuleDict({"adapter": nn.Linear(4, 8)}),
            "adapter.bias is missing in the file, 8 in the adapter",
        ),
    ],
)
def test_weights_of_another_size_or_name_are_refused(
    module: nn.Module, message: str, tmp_path: Path
) -> None:
    write(tmp_path / "last", 1)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(OsslError, match=message) as raised:
        checkpoint.load_weights(tmp_path / "last", module)
    assert raised.value.code == "checkpoint_size"
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_a_damaged_checkpoint_is_reported(tmp_path: Path) -> None:
    last = tmp_path / "last"
    write(last, 1)
    whole = (last / "adapter.safetensors").read_bytes()
    (last / "adapter.safetensors").write_bytes(whole[:-5])
    with pytest.raises(OsslError, match="cannot be read") as raised:
        checkpoint.load_weights(last, nn.Linear(4, 8))
    assert raised.value.code == "checkpoint_damaged"
    (last / "trainer_state.json").write_text('{"stap": 1}')
    with pytest.raises(OsslError, match="cannot be read"):
        checkpoint.read_trainer_state(last)


@pytest.mark.parametrize("small_disk", ["1m"], indirect=True)
def test_a_full_disk_is_reported_and_the_last_good_checkpoint_is_kept(small_disk: Path) -> None:
    last = small_disk / "last"
    write(last, 3)
    for values in (100_000, 40_000):  # no space for the adapter; none for its state
        with pytest.raises(OsslError, match=r"is full.*checkpoint of step 3 remains") as raised:
            write(last, 5, values)
        assert raised.value.code == "disk_full"
        assert checkpoint.read_trainer_state(last) == TrainerState(step=3)
        checkpoint.load_weights(last, nn.Linear(4, 8))
        assert [path.name for path in small_disk.iterdir()] == ["last"]
