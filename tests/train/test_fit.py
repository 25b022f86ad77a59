"""The training loop: it learns, stops, resumes exactly, and reports errors."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from ossl_train.adapter.adapter import adapter_for
from ossl_train.adapter.adapter_file import load_adapter
from ossl_train.data.dataset import batch_indices
from ossl_train.training.checkpoint import read_trainer_state
from ossl_train.training.distributed import join_processes
from ossl_train.training.loop import Parts
from ossl_train.training.monitor import read_metrics

from ossl_builder.errors import OsslError
from tests.train.small_run import (
    VIDEO_DIM,
    losses_of,
    max_difference,
    parts_of,
    run,
    weights_of,
    windows_of,
)

pytestmark = pytest.mark.usefixtures("one_thread")
# Everything that draws or counts: dropouts, several batches per step, windows of many lengths.
AWKWARD = {"batch_size": 3, "accumulation": 2, "video_dropout": 0.3, "text_dropout": 0.3}


def test_it_learns_from_the_video_and_keeps_the_best_adapter(
    tiny_models: Path, tmp_path: Path
) -> None:
    parts = parts_of(tiny_models)
    frozen = [one.clone() for one in parts.backbone.parameters()]
    begun = weights_of(parts)
    state, losses = run(parts, tmp_path, steps=40, validate_every=10)
    told = [line for line in read_metrics(tmp_path) if "validation_loss" in line]
    assert [line["step"] for line in told] == [0, 10, 20, 30, 40]
    # The validation loss falls clearly: the video shows the moods of the validation split.
    assert told[-1]["validation_loss"] < told[0]["validation_loss"] - 1
    assert set(told[0]["film"]) == {"validation-0", "validation-1"}
    assert told[0]["validation_loss"] == pytest.approx(sum(told[0]["film"].values()) / 2)
    assert state.best_loss == min(line["validation_loss"] for line in told)
    assert state.ended == "steps"
    assert len(losses) == 40
    # Nothing but the adapter has changed, and all of the adapter has.
    assert all(map(torch.equal, frozen, parts.backbone.parameters()))
    assert not any(torch.equal(value, begun[name]) for name, value in weights_of(parts).items())
    best = load_adapter(tmp_path / "best" / "adapter.safetensors")
    if state.best_step == 40:
        assert max_difference(best.state_dict(), weights_of(parts)) == 0
    assert list((tmp_path / "tensorboard").iterdir())
    assert {path.name for path in (tmp_path / "best").iterdir()} == {
        "adapter.safetensors",
        "trainer_state.json",
    }


def test_a_resumed_run_repeats_the_loss_sequence(tiny_models: Path, tmp_path: Path) -> None:
    whole, halves = parts_of(tiny_models), parts_of(tiny_models)
    wanted, losses = run(whole, tmp_path / "whole", steps=9, **AWKWARD)
    stopped, _ = run(halves, tmp_path / "halves", stop_at=5, steps=9, **AWKWARD)
    assert (stopped.step, stopped.ended) == (5, "")
    torch.randn(17)  # what happens in between does not matter
    again = parts_of(tiny_models)
    found, resumed = run(again, tmp_path / "halves", steps=9, **AWKWARD)
    assert resumed == losses
    assert found == wanted
    assert max_difference(weights_of(again), weights_of(whole)) == 0
    assert comparable_metrics(tmp_path / "halves") == comparable_metrics(tmp_path / "whole")
    # And there is nothing left to do.
    assert run(again, tmp_path / "halves", steps=9, **AWKWARD)[1] == losses


def test_a_killed_run_resumes_exactly(tiny_models: Path, tmp_path: Path) -> None:
    settings = {"steps": 60, "validate_every": 7, "checkpoint_every": 3, **AWKWARD}
    _, losses = run(parts_of(tiny_models), tmp_path / "whole", **settings)
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "tests.train.small_run", "--models", tiny_models, "--out", out]
    command += ["--set", *(f"{key}={value}" for key, value in settings.items())]
    with subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL) as child:
        while child.poll() is None and len(read_metrics(out)) < 12:
            time.sleep(0.02)
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    found = read_trainer_state(out / "last") or read_trainer_state(out / ".last.old")
    assert found is not None
    assert 0 < found.step < 60
    assert run(parts_of(tiny_models), out, **settings)[1] == losses
    assert comparable_metrics(out) == comparable_metrics(tmp_path / "whole")


def comparable_metrics(out: Path) -> list[dict[str, object]]:
    """The metrics without those that depend on the machine."""
    return [
        {key: value for key, value in line.items() if key != "windows_per_s"}
        for line in read_metrics(out)
    ]


def test_it_stops_when_the_validation_loss_stops_falling(tiny_models: Path, tmp_path: Path) -> None:
    state, losses = run(
        parts_of(tiny_models), tmp_path, learning_rate=1e-30, steps=40, validate_every=2, patience=3
    )
    assert (state.ended, state.step, state.best_step) == ("patience", 6, 0)
    assert len(losses) == 6
    # A second call does not continue.
    assert run(parts_of(tiny_models), tmp_path, learning_rate=1e-30, patience=3)[0] == state


def test_without_a_validation_split_the_last_adapter_is_the_best(
    tiny_models: Path, tmp_path: Path
) -> None:
    made = parts_of(tiny_models)
    parts = Parts(made.backbone, made.adapter, made.train, None, {})
    state, _ = run(parts, tmp_path)
    assert (state.best_step, state.best_loss) == (8, None)
    best = load_adapter(tmp_path / "best" / "adapter.safetensors")
    assert max_difference(best.state_dict(), weights_of(parts)) == 0


def test_bf16_follows_fp32(tiny_models: Path, tmp_path: Path) -> None:
    _, exact = run(parts_of(tiny_models), tmp_path / "fp32", steps=12)
    parts = parts_of(tiny_models)
    _, rounded = run(parts, tmp_path / "bf16", steps=12, precision="bf16")
    assert rounded != exact
    assert rounded == pytest.approx(exact, abs=0.1)
    assert all(one.dtype == torch.float32 for one in parts.adapter.parameters())


def test_a_loss_that_is_not_finite_stops_with_step_and_clip(
    tiny_models: Path, tmp_path: Path
) -> None:
    parts = parts_of(tiny_models, train=windows_of("train", 2, 8))
    run(parts, tmp_path, stop_at=2)
    before = (tmp_path / "last" / "adapter.safetensors").read_bytes()
    spoilt = windows_of("train", 2, 8)
    last = batch_indices(16, 4, 0, 0, 0, 1, True)[2][-1]  # of the third step
    spoilt.samples[last].video[:] = float("nan")
    clip = f"{spoilt.windows[last].film_id}/{spoilt.windows[last].clip_id}"
    with pytest.raises(OsslError, match=rf"step 3 .* clips: {clip}\.") as raised:
        run(parts_of(tiny_models, train=spoilt), tmp_path)
    assert raised.value.code == "loss_not_finite"
    state = read_trainer_state(tmp_path / "last")
    assert state is not None
    assert state.step == 2
    assert (tmp_path / "last" / "adapter.safetensors").read_bytes() == before


def test_an_adapter_of_another_size_is_refused(tiny_models: Path, tmp_path: Path) -> None:
    run(parts_of(tiny_models), tmp_path, stop_at=1)
    made = parts_of(tiny_models)
    made.adapter.detach()
    other = adapter_for(made.backbone, video_dim=VIDEO_DIM + 8, positions="time")
    parts = Parts(made.backbone, other, made.train, made.validation, {})
    with pytest.raises(OsslError, match="is 64x24 in the file, 64x32 in the adapter") as raised:
        run(parts, tmp_path)
    assert raised.value.code == "checkpoint_size"


def test_fewer_windows_than_processes_is_reported(tiny_models: Path, tmp_path: Path) -> None:
    parts = parts_of(tiny_models, train=windows_of("train", 1, 0))
    with pytest.raises(OsslError, match="has 0 windows") as raised:
        run(parts, tmp_path)
    assert raised.value.code == "too_few_windows"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_recipe_that_needs_a_gpu_is_reported() -> None:
    with pytest.raises(OsslError, match="needs a GPU") as raised, join_processes("cuda"):
        pass
    assert raised.value.code == "no_gpu"


@pytest.mark.parametrize("small_disk", ["2500k"], indirect=True)
def test_a_disk_that_fills_up_at_a_checkpoint_loses_nothing(
    tiny_models: Path, small_disk: Path, tmp_path: Path
) -> None:
    _, losses = run(parts_of(tiny_models), tmp_path / "whole")
    out = small_disk / "run"
    run(parts_of(tiny_models), out, stop_at=2)
    rest = os.statvfs(small_disk)
    (small_disk / "other").write_bytes(b"x" * (rest.f_bavail * rest.f_frsize - 250_000))
    with pytest.raises(OsslError, match=r"is full.*checkpoint of step 2 remains") as raised:
        run(parts_of(tiny_models), out)
    assert raised.value.code == "disk_full"
    state = read_trainer_state(out / "last")
    assert state is not None
    assert state.step == 2
    (small_disk / "other").unlink()
    assert run(parts_of(tiny_models), out)[1] == losses == losses_of(out)
