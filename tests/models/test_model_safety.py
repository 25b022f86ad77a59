"""Loading an untrusted model runs no code: only classes, arguments and weights are read."""

from __future__ import annotations

import json
import os
import pickle
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from demucs.htdemucs import HTDemucs
from safetensors.torch import save_file

from ossl_builder.config import load_recipe
from ossl_builder.errors import OsslError
from ossl_builder.models import demucs_model
from ossl_builder.stages.stems import STEMS_STAGE
from tests.models.test_demucs import save, tiny_hybrid


class Touch:
    """A pickle payload: loading it creates a marker folder."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.marker),)


def refused(name: Path | str) -> OsslError:
    with pytest.raises(OsslError) as caught:
        demucs_model.load(str(name), "cpu")
    return caught.value


def with_metadata(path: Path, **metadata: Any) -> Path:
    entries = {"klass": "demucs.hdemucs.HDemucs", "args": "[]", "kwargs": "{}", **metadata}
    save_file({"weight": torch.zeros(1)}, path, entries)
    return path


def package(model: Any, **changed: Any) -> dict[str, Any]:
    arguments, named = model._init_args_kwargs
    return {
        "klass": type(model), "args": arguments, "kwargs": named, "state": model.state_dict(),
        **changed,
    }  # fmt: skip


@pytest.mark.parametrize(
    "klass",
    ["os.mkdir", "os.system", "posix.mkdir", "demucs.states.load_model", "builtins.eval"],
)
def test_a_safetensors_file_cannot_name_another_function(tmp_path: Path, klass: str) -> None:
    marker = tmp_path / "marker"
    args = json.dumps([f"mkdir {marker}" if klass == "os.system" else str(marker)])
    path = with_metadata(tmp_path / "m.safetensors", klass=klass, args=args)
    error = refused(path)
    assert error.code == "model_invalid"
    assert klass in error.message
    assert "--trust-model" in error.hint
    assert not marker.exists()


def test_a_th_file_runs_no_code(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    whole = package(tiny_hybrid())
    for place in ("klass", "args", "kwargs", "state", "training_args"):
        path = tmp_path / f"{place}.th"
        torch.save({**whole, place: Touch(marker)}, path)
        assert refused(path).code == "model_invalid"
    (tmp_path / "plain.th").write_bytes(pickle.dumps(Touch(marker)))
    assert refused(tmp_path / "plain.th").code == "model_invalid"
    assert not marker.exists()


def test_a_th_file_of_demucs_is_loaded(tmp_path: Path) -> None:
    model = HTDemucs(
        ["music", "speech"], samplerate=8_000, segment=Fraction(39, 5), channels=8, nfft=512,
        depth=3, t_layers=1, t_heads=2,
    )  # fmt: skip
    torch.save(package(model, training_args={"seed": 1}), tmp_path / "m.th")
    loaded = demucs_model.load(str(tmp_path / "m.th"), "cpu")
    assert loaded.sources == ("music", "speech")
    assert loaded.parts[0].segment == Fraction(39, 5)
    there = loaded.parts[0].state_dict()
    assert all(torch.equal(weight, there[name]) for name, weight in model.state_dict().items())


def test_a_pickled_fraction_cannot_compute_forever(tmp_path: Path) -> None:
    class Endless:
        def __reduce__(self) -> Any:
            return Fraction, ("1e99999999",)

    torch.save(package(tiny_hybrid(), kwargs={"segment": Endless()}), tmp_path / "m.th")
    assert refused(tmp_path / "m.th").code == "model_invalid"


@pytest.mark.parametrize(
    "kwargs",
    [
        {"sources": ["a"], "channels": 10**9},
        {"sources": ["a"], "depth": 10**6},
        {"sources": ["a"], "channels": 100_000},
        {"sources": {"a": [1]}},
        {"sources": ["a"] * 10**5},
        {"sources": ["a" * 10**6]},
        {"sources": ["a"], "segment": {"_type": "fraction", "numerator": 1, "denominator": 0}},
    ],
)
def test_arguments_are_plain_and_fit_the_weights(tmp_path: Path, kwargs: dict[str, Any]) -> None:
    path = with_metadata(tmp_path / "m.safetensors", kwargs=json.dumps(kwargs))
    error = refused(path)
    assert error.code == "model_invalid"
    assert len(error.message) < 500


def test_positional_arguments_are_limited_too(tmp_path: Path) -> None:
    """`Demucs(sources, audio_channels, channels, growth, depth)`: layers that do not grow."""
    args = json.dumps([["a"], 2, 1, 1.0, 900_000])
    path = with_metadata(tmp_path / "m.safetensors", klass="demucs.demucs.Demucs", args=args)
    error = refused(path)
    assert error.code == "model_invalid"
    assert "depth is 900000" in error.message


def test_nested_arguments_are_refused(tmp_path: Path) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    assert refused(with_metadata(tmp_path / "m.safetensors", args=deep)).code == "model_invalid"


def test_a_packed_state_imports_no_module(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    (tmp_path / "evil_states.py").write_text(f"import os\nos.mkdir({str(marker)!r})\n")
    structure = json.dumps({"_dict": [["x", {"_class": "evil_states.Anything"}]]})
    path = with_metadata(tmp_path / "m.safetensors", structure=structure)
    sys.path.insert(0, str(tmp_path))
    try:
        assert refused(path).code == "model_invalid"
    finally:
        sys.path.remove(str(tmp_path))
    assert not marker.exists()


@pytest.mark.parametrize(
    "bag",
    [
        "models: ['../secret']",
        "models: ['{folder}/secret']",
        "models: ['../*']",
        "models: [''*'']",
        "models: &m [*m]",
        "models: !!python/object/apply:os.mkdir ['{folder}/marker']",
        "models: x\nmodels: y",
        "[" * 5000,
    ],
)
def test_members_of_a_bag_must_be_in_its_folder(tmp_path: Path, bag: str) -> None:
    save(tiny_hybrid(), tmp_path / "secret.safetensors")
    folder = tmp_path / "bag"
    folder.mkdir()
    (folder / "bag.yaml").write_text(bag.replace("{folder}", str(tmp_path)))
    assert refused(folder / "bag.yaml").code == "model_invalid"
    assert demucs_model.fingerprint(str(folder / "bag.yaml")) is None
    assert not (tmp_path / "marker").exists()


def test_members_of_a_bag_run_no_code(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    torch.save(Touch(marker), tmp_path / "a-12345678.th")
    (tmp_path / "bag.yaml").write_text("models: [a]")
    assert refused(tmp_path / "bag.yaml").code == "model_invalid"
    assert not marker.exists()


@pytest.mark.parametrize("name", ["someuser/htdemucs", "hf://x/htdemucs", "adefossez/other", "x"])
def test_hub_models_unknown_to_demucs_are_refused(name: str) -> None:
    error = refused(name)
    assert error.code == "model_untrusted"
    assert "--trust-model" in error.hint
    assert demucs_model.fingerprint(name) is None


def test_a_trusted_model_uses_the_loader_of_demucs(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    torch.save(package(tiny_hybrid(), training_args=Touch(marker)), tmp_path / "m.th")
    recipe = tmp_path / "ossl.yaml"
    recipe.write_text("stems: {model: ./m.th, device: cpu}\n")
    with pytest.raises(OsslError):
        STEMS_STAGE.prepare(load_recipe(recipe).stems)
    assert not marker.exists()
    trusting = load_recipe(recipe, trusts_models=True)
    STEMS_STAGE.prepare(pickle.loads(pickle.dumps(trusting)).stems)
    assert marker.exists()
    # A later run without trust does not reuse the trusted model.
    with pytest.raises(OsslError):
        STEMS_STAGE.prepare(load_recipe(recipe).stems)


@pytest.mark.parametrize("key", ["trust_model", "trusts_models", "origin", "_origin"])
def test_a_recipe_cannot_ask_for_trust(tmp_path: Path, key: str) -> None:
    path = tmp_path / "ossl.yaml"
    path.write_text(f"stems:\n  {key}: true\n")
    with pytest.raises(OsslError) as caught:
        load_recipe(path)
    assert caught.value.code == "recipe_invalid"


def test_relative_paths_are_relative_to_the_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus, elsewhere = tmp_path / "corpus", tmp_path / "elsewhere"
    corpus.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    save(tiny_hybrid(), corpus / "m.safetensors")
    save(tiny_hybrid(), tmp_path / "out.safetensors")
    recipe = corpus / "ossl.yaml"
    recipe.write_text("stems: {model: m.safetensors, device: cpu}\n")
    settings = load_recipe(recipe).stems
    STEMS_STAGE.prepare(settings)
    assert STEMS_STAGE.tools(settings)["model"] == demucs_model.fingerprint(
        str(corpus / "m.safetensors")
    )
    (corpus / "link.safetensors").symlink_to(tmp_path / "out.safetensors")
    for name in ("../out.safetensors", "./link.safetensors"):
        recipe.write_text(f"stems: {{model: {name}, device: cpu}}\n")
        with pytest.raises(OsslError) as caught:
            STEMS_STAGE.prepare(load_recipe(recipe).stems)
        assert caught.value.code == "path_outside"
