"""`ossl train fit` on the demo corpus with the tiny models."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ossl_train.training.monitor import read_metrics

from ossl_builder.errors import OsslError
from tests.e2e.corpora import Ossl
from tests.train.labelled_corpus import SPLIT_OF, assign_splits, copied, put_labels, store_all
from tests.train.small_run import losses_of

pytestmark = pytest.mark.usefixtures("one_thread")
FEW = ("--set", "fit.steps=6", "--set", "fit.validate_every=3", "--set", "fit.batch_size=2")
Fit = Callable[..., dict[str, Any]]


@pytest.fixture
def fit(corpus: Path, capfd: pytest.CaptureFixture[str]) -> Fit:
    """Run `ossl train fit --recipe tiny_cpu --json` in this process; return its output."""

    def run(*arguments: object) -> dict[str, Any]:
        from ossl_train.cli import app

        capfd.readouterr()
        words = ["fit", "--recipe", "tiny_cpu", "--json", *FEW, *map(str, arguments)]
        app(args=words, obj=corpus, standalone_mode=False)
        found: dict[str, Any] = json.loads(capfd.readouterr().out)
        return found

    return run


def test_fit_stop_and_resume(fit: Fit, corpus: Path, tmp_path: Path) -> None:
    whole = fit("--out", tmp_path / "whole")
    assert (whole["step"], whole["ended"], whole["begun_at"]) == (6, "steps", 0)
    out = corpus / "train" / "tiny_cpu"
    assert fit("--max-steps", 4)["step"] == 4
    again = fit()
    assert (again["step"], again["begun_at"], again["out"]) == (6, 4, str(out))
    assert losses_of(out) == losses_of(tmp_path / "whole")
    assert again["best_loss"] == whole["best_loss"]
    assert [line["step"] for line in read_metrics(out) if "film" in line] == [0, 3, 6]
    assert {path.name for path in out.iterdir()} == {
        ".lock", "best", "data.json", "last", "metrics.jsonl", "recipe.yaml", "tensorboard",
    }  # fmt: skip
    facts = json.loads((out / "data.json").read_bytes())
    assert set(facts["tables"]) == {"clips", "splits", "labels"}
    assert facts["windows"]["train"] > 0


def test_another_run_is_not_resumed(fit: Fit, corpus: Path) -> None:
    fit("--max-steps", 2)
    with pytest.raises(OsslError, match=r"fit.clip_norm was 1.0, is 0.5") as raised:
        fit("--set", "fit.clip_norm=0.5")
    assert raised.value.code == "run_differs"
    with pytest.raises(OsslError, match=r"fit.seed was 0, is 3"):
        fit("--seed", 3)
    # A setting that does not affect the result may differ.
    assert fit("--set", "fit.checkpoint_every=1", "--max-steps", 3)["begun_at"] == 2
    put_labels(corpus, mood="happy again")
    with pytest.raises(OsslError, match=r"text .* older than its label"):
        fit()
    put_labels(corpus)
    assign_splits(corpus, SPLIT_OF | {"demo-steamboat": None})
    with pytest.raises(OsslError, match="tables splits was") as raised:
        fit()
    assert raised.value.code == "run_differs"
    (corpus / "train" / "tiny_cpu" / "recipe.yaml").write_text("name: tiny\nfrom: elsewhere\n")
    with pytest.raises(OsslError, match="damaged, or of another version"):
        fit()
    assert fit("--restart", "--seed", 3, "--max-steps", 1)["begun_at"] == 0
    assert len(losses_of(corpus / "train" / "tiny_cpu")) == 1


def test_a_dry_run_prints_an_estimate_and_writes_nothing(fit: Fit, corpus: Path) -> None:
    found = fit("--dry-run")
    assert not (corpus / "train" / "tiny_cpu").exists()
    assert fit("--dry-run", "--data", corpus)["train_windows"] == found["train_windows"]
    assert found["train_windows"] > 0
    assert found["validation_windows"] > 0
    assert found["passes"] == pytest.approx(6 * 2 / found["train_windows"])
    assert 0 < found["step_s"] < found["total_s"]
    fit()
    checkpoints = corpus / "train" / "tiny_cpu"
    size = {
        name: sum(path.stat().st_size for path in (checkpoints / name).iterdir())
        for name in ("last", "best")
    }
    assert found["disk_bytes"] == pytest.approx(size["best"] + 2 * size["last"], rel=0.05)


def test_bad_input_gives_clear_errors(ossl: Ossl, corpus: Path, tmp_path: Path) -> None:
    errors = ossl("-C", corpus, "train", "fit", "--recipe", "paper_medium", code=1).stderr
    assert "needs a GPU" in errors
    assert "--device cpu" in errors
    errors = ossl("-C", tmp_path / "corpus2", "train", "fit", "--recipe", "tiny_cpu", code=1).stderr
    assert "no folder manifests" in errors


def test_two_runs_do_not_share_a_folder(fit: Fit, corpus: Path) -> None:
    import filelock

    out = corpus / "train" / "tiny_cpu"
    out.mkdir(parents=True)
    with (
        filelock.FileLock(out / ".lock"),
        pytest.raises(OsslError, match="Another process") as raised,
    ):
        fit()
    assert raised.value.code == "run_in_use"
    assert [path.name for path in out.iterdir()] == [".lock"]


def test_an_export_gives_the_loss_sequence_of_its_corpus(
    fit: Fit, corpus: Path, ossl: Ossl, tmp_path: Path
) -> None:
    export = tmp_path / "export"
    ossl("-C", corpus, "export", "parquet", "--out", export, "--copy")
    copied(corpus / "train/models", export / "train/models")
    # Both with the same number of threads, because it changes the order of sums in the encoders.
    shutil.rmtree(corpus / "train/data")
    for root in (corpus, export):
        store_all(root)
    fit("--out", tmp_path / "here")
    fit("--data", export, "--out", tmp_path / "there")
    assert losses_of(tmp_path / "here") == losses_of(tmp_path / "there")
    assert len(losses_of(tmp_path / "there")) == 6
