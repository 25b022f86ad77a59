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
from ossl_train.data.dataset import batch_indices, collate
from ossl_train.musicgen import load_backbone
from ossl_train.training.checkpoint import read_trainer_state
from ossl_train.training.compilation import compile_layers
from ossl_train.training.distributed import join_processes
from ossl_train.training.gradient_checkpointing import checkpoint_layers, needs_checkpointing
from ossl_train.training.loop import Parts
from ossl_train.training.monitor import read_metrics
from ossl_train.training.optimiser import (
    create_optimiser,
    optimiser_state,
    restore_optimiser,
    set_rate,
)
from ossl_train.training.settings import FitSettings
from ossl_train.training.train_module import TrainModule

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
AWKWARD = {
    "batch_size": 3, "accumulation": 2, "video_dropout": 0.3, "text_dropout": 0.3,
    "averaging": 0.9,
}  # fmt: skip


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
    whole, halves = (parts_of(tiny_models, null_tokens=3) for _ in range(2))
    wanted, losses = run(whole, tmp_path / "whole", steps=9, **AWKWARD)
    stopped, _ = run(halves, tmp_path / "halves", stop_at=5, steps=9, **AWKWARD)
    assert (stopped.step, stopped.ended) == (5, "")
    torch.randn(17)  # what happens in between does not matter
    again = parts_of(tiny_models, null_tokens=3)
    found, resumed = run(again, tmp_path / "halves", steps=9, **AWKWARD)
    assert resumed == losses
    assert found == wanted
    assert max_difference(weights_of(again), weights_of(whole)) == 0
    assert comparable_metrics(tmp_path / "halves") == comparable_metrics(tmp_path / "whole")
    # And there is nothing left to do.
    assert run(again, tmp_path / "halves", steps=9, **AWKWARD)[1] == losses


def test_a_killed_run_resumes_exactly(tiny_models: Path, tmp_path: Path) -> None:
    settings = {"steps": 60, "validate_every": 7, "checkpoint_every": 3, **AWKWARD}
    whole = parts_of(tiny_models, null_tokens=3)
    _, losses = run(whole, tmp_path / "whole", **settings)
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
    again = parts_of(tiny_models, null_tokens=3)
    assert run(again, out, **settings)[1] == losses
    assert max_difference(weights_of(again), weights_of(whole)) == 0
    assert comparable_metrics(out) == comparable_metrics(tmp_path / "whole")


def comparable_metrics(out: Path) -> list[dict[str, object]]:
    """The metrics without those that depend on the machine."""
    return [
        {key: value for key, value in line.items() if key != "windows_per_s"}
        for line in read_metrics(out)
    ]


FROZEN = {"learning_rate": 1e-30, "min_steps": 0}  # no step is better than the start


def test_patience_counts_passes_over_the_data_and_validations(
    tiny_models: Path, tmp_path: Path
) -> None:
    # 16 windows in batches of 4: a pass has 4 steps.
    by_passes = {"steps": 40, "validate_every": 2, "patience": 3, **FROZEN}
    state, losses = run(parts_of(tiny_models), tmp_path / "passes", **by_passes)
    assert (state.ended, state.step, state.best_step) == ("patience", 12, 0)
    assert len(losses) == 12
    # A second call does not continue, unless more patience is asked for.
    assert run(parts_of(tiny_models), tmp_path / "passes", **by_passes)[0] == state
    longer, _ = run(parts_of(tiny_models), tmp_path / "passes", **by_passes | {"patience": 4})
    assert (longer.ended, longer.step) == ("patience", 16)
    # Batches of 16: each step is a pass, and three validations are waited for.
    rarely = by_passes | {"batch_size": 16, "validate_every": 5}
    assert run(parts_of(tiny_models), tmp_path / "validations", **rarely)[0].step == 15


def test_patience_does_not_end_a_run_before_the_least_number_of_steps(
    tiny_models: Path, tmp_path: Path
) -> None:
    settings = {"steps": 40, "validate_every": 2, "patience": 1, **FROZEN, "min_steps": 21}
    state, _ = run(parts_of(tiny_models), tmp_path, **settings)
    assert (state.ended, state.step) == ("patience", 22)


def test_the_average_of_the_weights_is_what_is_validated_and_kept(
    tiny_models: Path, tmp_path: Path
) -> None:
    plain, averaged = parts_of(tiny_models), parts_of(tiny_models)
    settings = {"steps": 12, "validate_every": 12, "checkpoint_every": 1}
    _, losses = run(plain, tmp_path / "plain", **settings)
    again = parts_of(tiny_models)
    expected = {name: weight.double() for name, weight in weights_of(again).items()}
    for step in range(1, 13):
        run(again, tmp_path / "steps", stop_at=step, **settings)
        decay = min(0.8, (1 + step) / (10 + step))
        for name, weight in weights_of(again).items():
            expected[name] = decay * expected[name] + (1 - decay) * weight.double()
    state, same_losses = run(averaged, tmp_path / "averaged", averaging=0.8, **settings)
    assert same_losses == losses
    assert max_difference(weights_of(averaged), weights_of(plain)) == 0
    assert state.best_step == 12
    best = load_adapter(tmp_path / "averaged" / "best" / "adapter.safetensors").state_dict()
    assert max_difference(best, expected) < 1e-6
    assert max_difference(best, weights_of(plain)) > 1e-3
    told = [line["validation_loss"] for line in read_metrics(tmp_path / "averaged")
            if "validation_loss" in line]  # fmt: skip
    assert told[-1] == state.best_loss
    assert told[-1] != read_trainer_state(tmp_path / "plain" / "last").best_loss


@pytest.mark.parametrize("kind", ["audiocraft", "transformers"])
def test_gradient_checkpointing_gives_the_same_gradients_from_fewer_stored_values(
    tiny_models: Path, kind: str
) -> None:
    """Error: the backward pass runs the hooks again when they no longer know the video."""
    backbone = load_backbone(str(tiny_models / "musicgen"), kind)
    torch.manual_seed(0)
    adapter = adapter_for(
        backbone, video_dim=VIDEO_DIM, positions="time", alpha_init=0.3, null_tokens=3
    )
    module = TrainModule(backbone, adapter, FitSettings(device="cpu"))
    windows = windows_of("train", 2, 4, (300, 211))
    batch = collate([windows.sample(index) for index in range(4)])
    keep = torch.tensor([True, False, True, True])

    def measured() -> tuple[torch.Tensor, dict[str, torch.Tensor], int]:
        stored: dict[int, int] = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            stored[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        adapter.zero_grad()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            losses, _ = module(batch, keep, keep)
        losses.sum().backward()  # after `show`, as in the loop
        grads = {name: weight.grad.clone() for name, weight in adapter.named_parameters()}
        return losses.detach(), grads, sum(stored.values())

    losses, gradients, n_bytes = measured()
    checkpoint_layers(backbone, adapter)
    checkpoint_layers(backbone, adapter)  # twice is once
    again, same, fewer_bytes = measured()
    adapter.detach()
    assert torch.equal(losses, again)
    assert min(float(one.abs().max()) for one in gradients.values()) > 0
    for name, gradient in gradients.items():
        assert torch.allclose(gradient, same[name], rtol=1e-5, atol=1e-6), name
    assert fewer_bytes < n_bytes / 2


def test_gradient_checkpointing_does_not_change_a_run(tiny_models: Path, tmp_path: Path) -> None:
    runs = []
    for how in ("off", "on"):
        parts = parts_of(tiny_models, null_tokens=3)
        settings = {**AWKWARD, "gradient_checkpointing": how}
        with join_processes("cpu") as processes:
            if needs_checkpointing(parts, FitSettings(**settings), processes):
                checkpoint_layers(parts.backbone, parts.adapter)
        runs.append(run(parts, tmp_path / how, **settings))
    assert runs[0][1] == pytest.approx(runs[1][1], abs=1e-6)
    assert runs[0][0].best_loss == pytest.approx(runs[1][0].best_loss, abs=1e-6)


@pytest.mark.slow
def test_compiled_layers_give_the_same_losses(tiny_models: Path, tmp_path: Path) -> None:
    settings = {**AWKWARD, "steps": 4, "validate_every": 2}
    plain, compiled = (parts_of(tiny_models, null_tokens=3) for _ in range(2))
    state, losses = run(plain, tmp_path / "plain", **settings)
    compile_layers(compiled.backbone, checkpointing=False)
    again, same_losses = run(compiled, tmp_path / "compiled", compile=True, **settings)
    from torch._dynamo.utils import counters

    assert counters["stats"]["unique_graphs"] >= 2 * len(compiled.backbone.layers())
    assert not counters["graph_break"]
    assert same_losses == pytest.approx(losses, abs=1e-5)
    assert again.best_loss == pytest.approx(state.best_loss, abs=1e-5)
    assert max_difference(weights_of(compiled), weights_of(plain)) < 1e-4


def test_compilation_is_refused_where_it_would_not_hold(tiny_models: Path) -> None:
    for kind, checkpointing in (("audiocraft", False), ("transformers", True)):
        backbone = load_backbone(str(tiny_models / "musicgen"), kind)
        with pytest.raises(OsslError, match="gradient checkpointing") as caught:
            compile_layers(backbone, checkpointing)
        assert caught.value.code == "compile_unsupported"


def test_adamw_is_that_of_the_paper_also_after_a_resume(tiny_models: Path, tmp_path: Path) -> None:
    """The fused form keeps its count of steps elsewhere; a resume must restore it."""
    settings = FitSettings(learning_rate=1e-3, weight_decay=0.1, alpha_rate=100.0)
    parts = parts_of(tiny_models)
    assert parts.adapter.config.dim == 64  # of 1024: 16 times the rate
    weight, alpha = parts.adapter.layers[0].query.weight, parts.adapter.layers[0].alpha
    expected = {name: value.detach().double() for name, value in
                (("weight", weight), ("alpha", alpha))}  # fmt: skip
    averages = {name: [0.0, 0.0] for name in expected}
    optimiser = create_optimiser(parts.adapter, settings)
    for step in range(1, 7):
        if step == 4:
            state = {name: value.clone() for name, value in
                     optimiser_state(optimiser, parts.adapter).items()}  # fmt: skip
            optimiser = create_optimiser(parts.adapter, settings)
            restore_optimiser(optimiser, parts.adapter, state)
        set_rate(optimiser, settings.learning_rate)
        torch.manual_seed(step)
        for parameter in parts.adapter.parameters():
            parameter.grad = torch.randn_like(parameter)
        gradients = {"weight": weight.grad.double(), "alpha": alpha.grad.double()}
        optimiser.step()
        for name, multiple, decay in (("weight", 16, 0.1), ("alpha", 100, 0.0)):
            rate = 1e-3 * multiple
            first, second = averages[name]
            averages[name] = [0.9 * first + 0.1 * gradients[name],
                              0.999 * second + 0.001 * gradients[name] ** 2]  # fmt: skip
            mean, square = averages[name]
            update = (mean / (1 - 0.9**step)) / ((square / (1 - 0.999**step)).sqrt() + 1e-8)
            expected[name] = expected[name] * (1 - rate * decay) - rate * update
    assert (weight.detach() - expected["weight"]).abs().max() < 1e-5
    assert (alpha.detach() - expected["alpha"]).abs().max() < 1e-5


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
