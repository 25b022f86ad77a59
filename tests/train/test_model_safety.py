"""Untrusted models and adapters run no code and give clear errors."""

from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from ossl_train.adapter.adapter_file import load_adapter, load_reference
from ossl_train.evaluation import clap
from ossl_train.musicgen import load_backbone
from safetensors.torch import save_file

from ossl_builder.errors import OsslError
from ossl_builder.models.hub import fetch_model
from tests.train.tiny_clap import write_tiny_clap

CODE = "import os\nos.mkdir({!r})\nclass Mine:\n    pass\n"


class Touch:
    """A pickle payload: loading it creates a marker folder."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.marker),)


@pytest.fixture
def musicgen(tiny_models: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_models / "musicgen", tmp_path / "musicgen"))


@pytest.mark.parametrize("name", ["state_dict.bin", "compression_state_dict.bin"])
@pytest.mark.parametrize("key", ["xp.cfg", "best_state", "other"])
def test_a_musicgen_runs_no_code(musicgen: Path, tmp_path: Path, name: str, key: str) -> None:
    package = torch.load(musicgen / name, weights_only=True)
    torch.save({**package, key: Touch(tmp_path / "marker")}, musicgen / name)
    with pytest.raises(OsslError) as caught:
        load_backbone(str(musicgen))
    assert caught.value.code == "model_damaged"
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "a: &a [x, x]\n" + "".join(f"b{n}: &a [*a, *a]\n" for n in range(24))),
        ("", "extra: !!python/object/apply:os.getcwd []\n"),
        ("name: t5", "name: /etc"),
        ("name: t5", "name: ../../elsewhere"),
    ],
)
def test_the_settings_of_a_musicgen_are_plain_values(
    musicgen: Path, before: str, after: str
) -> None:
    path = musicgen / "state_dict.bin"
    package = torch.load(path, weights_only=True)
    text = package["xp.cfg"]
    assert before in text
    torch.save({**package, "xp.cfg": text.replace(before, after) if before else text + after}, path)
    with pytest.raises(OsslError) as caught:
        load_backbone(str(musicgen))
    assert caught.value.code in ("model_damaged", "model_missing")


def test_the_code_of_a_tokenizer_is_not_run_without_a_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_tiny_clap(tmp_path / "clap")
    (folder / "mine.py").write_text(CODE.format(str(tmp_path / "marker")))
    for name in ("tokenizer_config.json", "config.json", "preprocessor_config.json"):
        path = folder / name
        settings = json.loads(path.read_text()) if path.exists() else {}
        settings["auto_map"] = {
            "AutoTokenizer": ["mine.Mine", "mine.Mine"], "AutoModel": "mine.Mine",
            "AutoFeatureExtractor": "mine.Mine", "AutoConfig": "mine.Mine",
        }  # fmt: skip
        if name == "tokenizer_config.json":
            settings["tokenizer_class"] = "Mine"
        path.write_text(json.dumps(settings))
    asked = io.StringIO("y\n" * 20)
    monkeypatch.setattr("sys.stdin", asked)
    found = fetch_model(str(folder))
    clap.load_clap(found)
    try:
        clap._tokenizer(found)
    except OsslError as error:
        assert error.code == "model_invalid"  # noqa: PT017 - either is right
    assert asked.tell() == 0
    assert not (tmp_path / "marker").exists()


def test_weights_in_a_pickle_run_no_code(tmp_path: Path) -> None:
    folder = write_tiny_clap(tmp_path / "clap")
    (folder / "model.safetensors").unlink()
    torch.save({"x": Touch(tmp_path / "marker")}, folder / "pytorch_model.bin")
    with pytest.raises(OsslError) as caught:
        clap.load_clap(fetch_model(str(folder)))
    assert caught.value.code == "model_invalid"
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("content", ["pickle", "list", "text", "damaged"])
def test_a_reference_checkpoint_runs_no_code(tmp_path: Path, content: str) -> None:
    path = tmp_path / "reference.pt"
    values: dict[str, Any] = {"pickle": {"model_state_dict": Touch(tmp_path / "marker")},
                              "list": [1], "text": "x"}  # fmt: skip
    if content == "damaged":
        path.write_bytes(b"PK\x03\x04nothing")
    else:
        torch.save(values[content], path)
    with pytest.raises(OsslError) as caught:
        load_reference(path)
    assert caught.value.code == "adapter_unreadable"
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    "header",
    [
        "{",
        "[]",
        "[" * 100_000,
        json.dumps({"format": 1}),
        json.dumps({"format": 1, "config": {"dim": 10**9, "n_heads": 8, "n_layers": 2}}),
        json.dumps({"format": 1, "config": {"dim": 65_536, "n_heads": 8, "n_layers": 1}}),
        json.dumps({"format": 1, "config": {"dim": 64, "n_heads": 8, "n_layers": 10**9}}),
    ],
)
def test_an_adapter_header_that_does_not_fit_its_weights_is_refused(
    tmp_path: Path, header: str
) -> None:
    path = tmp_path / "adapter.safetensors"
    save_file({"weight": torch.zeros(4)}, path, {"ossl_adapter": header})
    with pytest.raises(OsslError) as caught:
        load_adapter(path)
    assert caught.value.code == "adapter_unreadable"
