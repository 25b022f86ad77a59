"""`ossl export model`: the export can be loaded, has a model card, and contains no local paths."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from ossl_train.adapter.adapter_file import load_adapter
from ossl_train.listening_test.results import compute_results
from ossl_train.musicgen import load_backbone
from typer.testing import CliRunner

from ossl_builder import files
from ossl_builder.cli.main import app
from ossl_builder.errors import OsslError
from tests.train.labelled_corpus import assign_splits, clips_of, copied
from tests.train.simulated_raters import TAXONOMY
from tests.train.test_listening_statistics import key_of, rated

QUICK = ("--set", "fit.steps=2", "--set", "fit.warmup_steps=0", "--set", "fit.validate_every=2")
EVALUATION = {
    "figures": [
        {"name": "fad", "of": "generated", "value": 0.51234, "low": 0.4, "high": 0.6, "n": 12,
         "unit": "clips", "better": "lower"},
        {"name": "kl", "of": "generated", "value": None, "low": None, "high": None, "n": 0,
         "unit": "clips", "better": "lower"},
    ],
    "warnings": ["12 clips are few"],
}  # fmt: skip


@pytest.fixture(scope="module")
def root(train_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo corpus with a run of two steps."""
    folder = copied(train_corpus, tmp_path_factory.mktemp("publish") / "corpus")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    command(folder, "train", "fit", "--recipe", "tiny_cpu", *QUICK, "--set", "model.alpha_init=0.5")
    torch.set_num_threads(threads)
    return folder


def command(root: Path, *arguments: object) -> Any:
    found = CliRunner().invoke(app, [str(one) for one in ("-C", root, *arguments)])
    if isinstance(found.exception, OsslError):
        raise found.exception
    assert found.exit_code == 0, found.output
    return found


def export(root: Path, *arguments: object) -> Any:
    given = ("export", "model", root / "train/tiny_cpu", *arguments, "--json")
    return json.loads(command(root, *given).stdout)


def logits(adapter_file: Path, source: str) -> torch.Tensor:
    backbone = load_backbone(source)
    adapter = load_adapter(adapter_file).attach(backbone).eval()
    torch.manual_seed(0)
    codes = torch.randint(0, backbone.shape.cardinality, (1, backbone.shape.n_codebooks, 20))
    video, times = torch.randn(1, 5, adapter.config.video_dim), torch.arange(5.0)[None]
    text = backbone.encode_text(["a sad piano"])
    seen = torch.ones(1, 5, dtype=torch.bool)
    with torch.no_grad(), adapter.show(video, times, seen):
        found, _ = backbone.logits(codes, text)
    adapter.detach()
    return found


def test_an_exported_adapter_is_that_of_the_checkpoint(root: Path, tmp_path: Path) -> None:
    report = tmp_path / "evaluation.json"
    report.write_text(json.dumps(EVALUATION))
    out = tmp_path / "adapter"
    planned = export(root, "--out", out, "--evaluation", report, "--dry-run")
    assert (planned["written"], out.exists()) == (False, False)
    heard = tmp_path / "results.json"
    key = key_of(12)
    rated_by = rated(key, 3, {"adapter": 1.5}, seed=1)
    heard.write_text(json.dumps(compute_results(key, rated_by, TAXONOMY, resamples=100).plain()))
    reports = ("--evaluation", report, "--listening", heard)
    done = export(root, "--out", out, *reports)
    names = {path.name: path.read_bytes() for path in out.iterdir()}
    assert set(names) == {*done["files"], "checksums.sha256"}
    for line in names["checksums.sha256"].decode().splitlines():
        digest, name = line.split("  ")
        assert files.sha256_file(out / name) == digest

    tiny = str(root / "train/models/musicgen")
    own = logits(root / "train/tiny_cpu/best/adapter.safetensors", tiny)
    assert torch.equal(logits(out / "adapter.safetensors", tiny), own)
    made = ("train", "generate", "--clip", first_clip(root), "--checkpoint", out, "--no-mux",
            "--window", 2, "--overlap", 1, "--set", f"model.source={tiny}", "--set",
            f"features.encoder={root / 'train/models/vivit'}", "--out", tmp_path / "music",
            "--dry-run", "--json")  # fmt: skip
    (piece,) = json.loads(command(root, *made).stdout)
    assert piece["action"] == "run"

    text = names["README.md"].decode()
    head = yaml.safe_load(text.split("---\n")[1])
    assert head["license"] == "cc-by-nc-4.0"
    assert "base_model" not in head  # the toy model is not on a hub
    assert "| fad | generated | 0.5123 | 0.4 to 0.6 | 12 clips | lower |" in text
    assert "| kl | generated | not defined |" in text
    assert "12 clips are few" in text
    data = json.loads(names["data.json"])
    for table in ("clips", "labels", "splits"):
        digest = files.sha256_file(root / f"manifests/{table}.parquet")
        assert data["tables"][table] == digest
        assert f"| {table} | {digest} |" in text
    assert "| demo-sintel | train |" in text
    assert "| demo-caminandes | validation |" in text
    assert "demo-steamboat" not in text  # the test split was not fitted on
    assert "non-commercial" in text
    config = json.loads(names["config.json"])
    assert f"{config['n_parameters']:,} parameters" in text
    # No local paths, and a second export gives the same bytes.
    for name, content in names.items():
        assert str(root).encode() not in content, name
        assert b"/tmp/" not in content, name
    assert re.search(r"\| video_fit \| adapter \| \d\.\d+ \| \d\S* to \d\S* \| 12 \| 3 \|", text)
    assert "3 raters are few" in text
    export(root, "--out", out, *reports)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == names
    export(root, "--out", tmp_path / "again", *reports)
    assert all((tmp_path / "again" / name).read_bytes() == names[name] for name in names)
    export(root, "--out", tmp_path / "again")
    assert not (tmp_path / "again/evaluation.json").exists()


def first_clip(root: Path) -> str:
    return clips_of(root)[0].clip_id


def refused(root: Path, checkpoint: Path, *arguments: object) -> str:
    with pytest.raises(OsslError) as error:
        command(root, "export", "model", checkpoint, *arguments)
    assert error.value.hint
    return error.value.code


def test_exports_that_are_not_possible_are_reported(root: Path, tmp_path: Path) -> None:
    run = root / "train/tiny_cpu"
    out = ("--out", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    assert refused(root, tmp_path / "empty", *out) == "no_checkpoint"
    shutil.copy(run / "best/adapter.safetensors", tmp_path / "empty")
    assert refused(root, tmp_path / "empty", *out) == "run_missing"
    (tmp_path / "bad.json").write_text("{}")
    assert refused(root, run, *out, "--evaluation", tmp_path / "bad.json") == "report_invalid"
    assert refused(root, run, "--out", root) == "folder_not_empty"
    other = copied(root, tmp_path / "other")
    assign_splits(other, {"demo-sintel": "train"})
    assert refused(other, other / "train/tiny_cpu", *out) == "export_other_data"
    # Without the tables, the card says so.
    bare = command(tmp_path, "export", "model", run, *out)
    assert "table of the films" in bare.output
    assert "table of the films" in (tmp_path / "out/README.md").read_text()
