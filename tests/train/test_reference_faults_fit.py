"""Errors of the published training code; each test fails if our code has the same error.

Each test names its error. The published code has these errors: no all-reduce between processes; a
GradScaler in float32, and a gradient that is clipped without being unscaled; a scheduler that steps
per batch but is built for an eighth of the steps; accumulation and the learning rate of the command
line are ignored; the loss has only batch item 0, and also padding; weights are loaded with
`strict=False` under the wrong key; no condition dropout.
"""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from ossl_train.adapter.adapter_file import load_adapter
from ossl_train.data.dataset import Batch, batches, collate
from ossl_train.musicgen.losses import token_losses
from ossl_train.training.checkpoint import load_weights
from ossl_train.training.distributed import Processes, dropout_masks
from ossl_train.training.loop import Parts, train_step
from ossl_train.training.monitor import read_metrics
from ossl_train.training.optimiser import create_optimiser, rate_at, set_rate
from ossl_train.training.settings import FitSettings
from ossl_train.training.train_module import TrainModule

from ossl_builder.errors import OsslError
from tests.train.small_run import (
    SETTINGS,
    losses_of,
    max_difference,
    parts_of,
    run,
    weights_of,
    windows_of,
)

pytestmark = pytest.mark.usefixtures("one_thread")
ALONE = Processes(0, 1, torch.device("cpu"))
LENGTHS = (40, 40, 23, 31)
# AdamW divides by the gradient's size: a high rate would magnify mere rounding.
GENTLE = {"learning_rate": 1e-4 / 16}


def open_gates(parts: Parts) -> Parts:
    """With alpha above 0 every weight of the adapter has a gradient."""
    with torch.no_grad():
        for layer in parts.adapter.layers:
            layer.alpha.fill_(0.5)
    return parts


def watched_of(parts: Parts) -> TrainModule:
    return TrainModule(parts.backbone, parts.adapter, FitSettings(**SETTINGS))


def gradients(parts: Parts) -> dict[str, torch.Tensor]:
    found = {}
    for name, parameter in parts.adapter.named_parameters():
        assert parameter.grad is not None, name
        found[name] = parameter.grad.clone()
        parameter.grad = None
    return found


def test_two_processes_train_one_adapter_the_one_that_a_single_process_trains(
    tiny_models: Path, tmp_path: Path
) -> None:
    """Error: N GPUs train N adapters and overwrite one file."""
    settings = {"batch_size": 4, "accumulation": 2, "video_dropout": 0.3, "steps": 6, **GENTLE}
    one = parts_of(tiny_models, null_tokens=3)
    begun = weights_of(one)
    run(one, tmp_path / "one", **settings)
    out = tmp_path / "two"
    settings |= {"batch_size": 2}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "tests.train.small_run", "--models", str(tiny_models), "--out", str(out)]
    command += ["--set", *(f"{key}={value}" for key, value in settings.items())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert losses_of(out) == pytest.approx(losses_of(tmp_path / "one"), abs=1e-6)
    two = load_adapter(out / "last" / "adapter.safetensors")
    assert max_difference(two.state_dict(), weights_of(one)) < 1e-6
    assert max_difference(begun, weights_of(one)) > 1e-4
    first, second = ((out / f"adapter-{rank}.txt").read_text() for rank in range(2))
    assert first == second
    for this, other in zip(read_metrics(out), read_metrics(tmp_path / "one"), strict=True):
        if "film" in this:
            assert this["film"] == pytest.approx(other["film"], abs=1e-6)
    # A single process cannot resume it: its windows would have another order.
    with pytest.raises(OsslError, match="started with 2 processes") as raised:
        run(parts_of(tiny_models), out, **settings)
    assert raised.value.code == "processes_differ"


def test_four_batches_of_one_are_one_batch_of_four(tiny_models: Path, tmp_path: Path) -> None:
    """Error: accumulation is ignored. A mean of means would also weigh tokens unevenly."""
    single, several = (parts_of(tiny_models, windows_of("train", 2, 8, LENGTHS)) for _ in range(2))
    begun = weights_of(single)
    _, losses = run(single, tmp_path / "1", batch_size=4, accumulation=1, **GENTLE)
    _, cut_up = run(several, tmp_path / "4", batch_size=1, accumulation=4, **GENTLE)
    assert cut_up == pytest.approx(losses, abs=1e-6)
    assert max_difference(weights_of(single), weights_of(several)) < 1e-6
    assert max_difference(weights_of(single), begun) > 1e-4


def test_the_gradient_is_that_of_the_mean_over_tokens_and_clipped_to_the_length_asked_for(
    tiny_models: Path,
) -> None:
    """Error: a scaled gradient is clipped before it is unscaled, so that updates shrink."""
    parts = open_gates(parts_of(tiny_models, windows_of("train", 1, 4, LENGTHS)))
    # By hand: the mean over all tokens of the four windows, each alone and unpadded.
    total, n_tokens = torch.zeros(()), 0
    for batch in batches(parts.train, 1, 0, 0):
        with parts.adapter.show(batch.video, batch.video_times):
            logits, predicted = parts.backbone.logits(batch.codes, batch.text)
        total = total + token_losses(logits, batch.codes, predicted).sum()
        n_tokens += int(predicted.sum())
    (total / n_tokens).backward()
    wanted = torch.cat([one.flatten() for one in gradients(parts).values()])
    for clip_norm in (0.0, 0.01):
        settings = FitSettings(**SETTINGS | {"batch_size": 2, "accumulation": 2})
        settings = settings.model_copy(update={"clip_norm": clip_norm})
        optimiser = create_optimiser(parts.adapter, settings)
        used: list[torch.Tensor] = []
        optimiser.register_step_pre_hook(
            lambda *_: used.append(torch.cat([one.flatten() for one in gradients(parts).values()]))  # noqa: B023
        )
        loss, norm, _ = train_step(
            watched_of(parts), optimiser, batches(parts.train, 2, 0, 0), settings, 0, ALONE
        )
        assert loss == pytest.approx(float(total.detach()) / n_tokens, abs=1e-5)
        assert norm == pytest.approx(float(wanted.norm()), rel=1e-4)
        shrunk = wanted * (clip_norm / wanted.norm() if clip_norm else 1.0)
        assert torch.allclose(used[0], shrunk, atol=1e-6, rtol=1e-3)


def test_the_rate_follows_the_steps_of_the_optimiser(tiny_models: Path, tmp_path: Path) -> None:
    """Error: the scheduler steps per batch but is built for an eighth, so the rate oscillates."""
    parts = parts_of(tiny_models)
    settings = {"accumulation": 4, "batch_size": 2, "steps": 12, "learning_rate": 2e-3}
    run(parts, tmp_path, **settings)
    rates = [line["rate"] for line in read_metrics(tmp_path) if "rate" in line]
    chosen = FitSettings(**SETTINGS | settings)
    assert rates == [rate_at(step, chosen) for step in range(12)]
    assert rates[:3] == [1e-3, 2e-3, 2e-3]
    assert all(before > after for before, after in itertools.pairwise(rates[2:]))
    # The optimiser has made as many steps, and each group had the recorded rate.
    from safetensors.torch import load_file

    state = load_file(tmp_path / "last" / "state.safetensors")
    assert {float(value) for name, value in state.items() if name.endswith("/step")} == {12.0}
    optimiser = create_optimiser(parts.adapter, chosen)
    set_rate(optimiser, 1e-3)
    alphas = [group for group in optimiser.param_groups if group["multiple"] == 160]
    assert [group["lr"] for group in alphas] == [0.16]
    assert [one.shape for one in alphas[0]["params"]] == [(1,)] * len(parts.adapter.layers)


def test_the_optimiser_holds_the_adapter_and_nothing_else(tiny_models: Path) -> None:
    parts = parts_of(tiny_models)
    optimiser = create_optimiser(parts.adapter, FitSettings())
    held = [id(one) for group in optimiser.param_groups for one in group["params"]]
    assert sorted(held) == sorted(map(id, parts.adapter.parameters()))
    assert not any(one.requires_grad for one in parts.backbone.parameters())
    assert set(map(id, watched_of(parts).parameters())) == set(held)
    for group in optimiser.param_groups:
        assert all((one.ndim > 1) == (group["weight_decay"] > 0) for one in group["params"])


def test_every_window_of_a_batch_enters_the_loss(tiny_models: Path) -> None:
    """Error: only batch item 0 enters the loss."""
    parts = open_gates(parts_of(tiny_models, windows_of("train", 1, 4, LENGTHS)))
    watched = watched_of(parts)
    samples = parts.train.samples  # type: ignore[attr-defined]
    together, tokens = watched(collate(samples), None, None)
    alone = [watched(collate([sample]), None, None) for sample in samples]
    # Nor does it matter what a window is batched with: neither codes nor prompt nor video.
    assert torch.allclose(together, torch.cat([loss for loss, _ in alone]), rtol=1e-5)
    assert tokens.tolist() == [int(count) for _, count in alone]
    together.sum().backward()
    whole = gradients(parts)
    for sample in samples:
        others = [one for one in samples if one is not sample]
        watched(collate(others), None, None)[0].sum().backward()
        assert max_difference(gradients(parts), whole) > 1e-3


def test_padding_is_not_learned_from(tiny_models: Path) -> None:
    """Error: the silence that short clips are padded with is in the loss."""
    parts = open_gates(parts_of(tiny_models, windows_of("train", 1, 4, LENGTHS)))
    batch = next(batches(parts.train, 4, 0, 0))
    assert not batch.valid.all()

    def of(batch: Batch) -> tuple[list[float], dict[str, torch.Tensor]]:
        losses, _ = watched_of(parts)(batch, None, None)
        losses.sum().backward()
        return losses.tolist(), gradients(parts)

    losses, wanted = of(batch)
    noise = torch.randint_like(batch.codes, 0, parts.backbone.shape.cardinality)
    spoilt = torch.where(batch.valid[:, None], batch.codes, noise)
    assert not torch.equal(spoilt, batch.codes)
    again, found = of(dataclasses.replace(batch, codes=spoilt))
    assert again == losses
    assert max_difference(found, wanted) == 0


def test_weights_under_another_key_are_refused(tiny_models: Path, tmp_path: Path) -> None:
    """Error: `strict=False` with the wrong key gives plain MusicGen, without a message."""
    from safetensors.torch import load_file, save_file

    run(parts_of(tiny_models), tmp_path)
    path = tmp_path / "last" / "adapter.safetensors"
    fitted = parts_of(tiny_models)
    load_weights(tmp_path / "last", fitted.adapter)
    batch: Any = next(batches(fitted.train, 4, 0, 0))
    base, _ = watched_of(parts_of(tiny_models))(batch, None, None)
    assert not torch.allclose(watched_of(fitted)(batch, None, None)[0], base)
    save_file({f"model.{name}": value for name, value in load_file(path).items()}, path)
    with pytest.raises(OsslError, match="does not fit the adapter") as raised:
        load_weights(tmp_path / "last", parts_of(tiny_models).adapter)
    assert raised.value.code == "checkpoint_size"


def test_conditions_are_dropped_as_often_as_asked_and_never_unasked(tiny_models: Path) -> None:
    """Error: there is no condition dropout."""
    assert dropout_masks(FitSettings(video_dropout=0), 0, 0, 4, ALONE) == (None, None)
    settings = FitSettings(video_dropout=0.25, text_dropout=0.5, batch_size=500)
    drawn = [
        dropout_masks(settings, step, turn, 500, ALONE) for step in range(4) for turn in range(2)
    ]
    video, text = (torch.stack([one[split] for one in drawn]).float() for split in range(2))  # type: ignore[misc]
    assert float(video.mean()) == pytest.approx(0.75, abs=0.03)
    assert float(text.mean()) == pytest.approx(0.5, abs=0.03)
    assert len({tuple(one.tolist()) for one in video}) == 8
    parts = open_gates(parts_of(tiny_models))
    batch = next(batches(parts.train, 4, 0, 0))
    watched = watched_of(parts)
    all_kept, _ = watched(batch, None, None)
    keep = torch.tensor([True, False, True, True])
    for losses in (watched(batch, keep, None)[0], watched(batch, None, keep)[0]):
        assert ((losses != all_kept) == ~keep).all()
    # Without video the window has the base model's loss, to the bit.
    with parts.adapter.show(batch.video, batch.video_times, strength=0.0):
        logits, _ = parts.backbone.logits(batch.codes, batch.text)
    with parts.adapter.show(batch.video, batch.video_times, keep=keep):
        blind, _ = parts.backbone.logits(batch.codes, batch.text)
    assert torch.equal(blind[1], logits[1])
