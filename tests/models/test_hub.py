"""One place locates models and chooses devices."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ossl_builder.engine.settings import Origin
from ossl_builder.errors import OsslError
from ossl_builder.models import hub


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, and no network."""
    cache = tmp_path / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    return cache


def write_model(folder: Path, weights: bytes = b"weights") -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(weights)
    return folder


def write_cached(cache: Path, name: str) -> Path:
    """Write a model in the layout of the hub's cache."""
    repository = cache / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("a" * 40)
    return write_model(repository / "snapshots" / ("a" * 40))


@pytest.mark.parametrize(("has_gpu", "auto"), [(True, "cuda"), (False, "cpu")])
def test_auto_selects_the_gpu_if_there_is_one(
    has_gpu: bool, auto: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    assert hub.choose_device("auto") == auto
    assert hub.choose_device("cpu") == "cpu"
    if has_gpu:
        assert hub.choose_device("cuda:1") == "cuda:1"


@pytest.mark.parametrize(
    ("setting", "hint"), [("--device", "--device auto"), ("stems.device", "stems.device=auto")]
)
def test_without_a_gpu_cuda_is_refused_with_what_to_change(
    setting: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(OsslError) as caught:
        hub.choose_device("cuda", setting)
    assert caught.value.code == "no_gpu"
    assert setting in caught.value.message
    assert hint in caught.value.hint


def test_a_name_is_bundled_a_path_or_a_name_on_the_hub(tmp_path: Path) -> None:
    origin = Origin(tmp_path)
    assert hub.local_path("bundled", "stems.model") == hub.BUNDLED_FILE
    assert hub.BUNDLED_FILE.is_file()
    assert hub.local_path("./models/a", "stems.model", origin) == tmp_path / "models/a"
    assert hub.local_path("a.th", "stems.model", origin, (".th",)) == tmp_path / "a.th"
    assert hub.local_path("a.th", "stems.model", origin) is None
    assert hub.local_path("owner/name", "stems.model", origin) is None
    with pytest.raises(OsslError) as caught:
        hub.local_path("../a", "stems.model", origin)
    assert caught.value.code == "path_outside"


def test_a_folder_is_a_model_if_it_has_weights_and_a_configuration(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    for found in (hub.find_model(str(folder)), hub.fetch_model(str(folder))):
        assert found == hub.ModelFolder(folder, str(folder), None)
    (folder / "config.json").unlink()
    for locate in (hub.find_model, hub.fetch_model):
        with pytest.raises(OsslError) as caught:
            locate(str(folder))
        assert caught.value.code == "model_missing"


def test_the_hubs_cache_is_used_without_a_network(offline: Path) -> None:
    assert hub.find_model("owner/name") is None
    assert hub.cached_files("owner/name", ["config.json"]) is None
    with pytest.raises(OsslError) as caught:
        hub.fetch_model("owner/name")
    assert caught.value.code == "model_unavailable"
    assert "owner/name" in caught.value.message
    folder = write_cached(offline, "owner/name")
    for found in (hub.find_model("owner/name"), hub.fetch_model("owner/name")):
        assert found is not None
        assert (found.path.resolve(), found.revision) == (folder.resolve(), "a" * 40)
    files = hub.cached_files("owner/name", ["config.json", "model.safetensors"])
    assert files is not None
    assert [path.name for path in files] == ["config.json", "model.safetensors"]
    assert hub.cached_files("owner/name", ["config.json", "missing.bin"]) is None
    assert hub.cached_files("no name at all", ["config.json"]) is None


def test_fingerprint_and_digest_depend_on_the_files_alone(tmp_path: Path, offline: Path) -> None:
    one, same = write_model(tmp_path / "one"), write_model(tmp_path / "same")
    other = write_model(tmp_path / "other", b"other weights")
    patterns = ("*.bin", "*.safetensors")
    marks = [hub.fingerprint(str(path), patterns) for path in (one, same, other)]
    assert marks[0] == marks[1] != marks[2]
    assert hub.fingerprint(str(one), ("*.bin",)) == hub.NOT_HERE
    assert hub.fingerprint("owner/name", patterns) == hub.NOT_HERE
    write_cached(offline, "owner/name")
    assert hub.fingerprint("owner/name", patterns) == marks[0]
    digests = [hub.fetch_model(str(path)).digest() for path in (one, same, other)]
    assert digests[0] == digests[1] != digests[2]
