"""Streamed separation equals that of Demucs for all models, block sizes and batch sizes."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
import yaml
from demucs.apply import BagOfModels, apply_model
from demucs.demucs import Demucs
from demucs.hdemucs import HDemucs
from demucs.hf import hf_repo_name
from demucs.htdemucs import HTDemucs
from safetensors.torch import save_file

from ossl_builder.errors import OsslError
from ossl_builder.models import demucs, demucs_model

RATE = 8_000
SOURCES = ["drums", "bass", "vocals"]


def tiny_ht(sources=SOURCES):
    return HTDemucs(
        sources, samplerate=RATE, segment=1, channels=8, nfft=512, depth=3, t_layers=1, t_heads=2
    )


def tiny_hybrid():
    return HDemucs(SOURCES, samplerate=RATE, segment=1.3, channels=8, nfft=1024, depth=5)


def tiny_waves():
    return Demucs(SOURCES, samplerate=RATE, segment=1.1, channels=8, depth=4, lstm_layers=1)


def save(model, path):
    """Save a model file in the format of the Demucs hub."""
    args, kwargs = model._init_args_kwargs
    kind = type(model)
    about = {
        "klass": f"{kind.__module__}.{kind.__qualname__}",
        "args": json.dumps(args),
        "kwargs": json.dumps(kwargs),
    }
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, path, about)
    return path


@pytest.fixture(autouse=True)
def one_thread():
    """Use one thread: on a busy machine, several threads mostly wait."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def mix(seconds):
    return torch.randn(2, int(seconds * RATE)) * 0.1


def separated(model, audio, stems, blocks=1_000, **how):
    pieces = (audio[:, at : at + blocks].numpy() for at in range(0, audio.shape[1], blocks))
    member = demucs.Member(model, tuple(map(tuple, stems)), (1.0,) * len(stems))
    return np.concatenate(list(demucs.separate([member], pieces, **how)), axis=-1)


def each():
    return [[source] for source in SOURCES]


@pytest.mark.parametrize("make", [tiny_ht, tiny_hybrid, tiny_waves])
@pytest.mark.parametrize("seconds", [7.37, 6.0, 1.0, 0.4])
@pytest.mark.parametrize("overlap", [0.25, 0.6])
def test_equals_apply_model(tmp_path, make, seconds, overlap):
    model = demucs_model.load(str(save(make(), tmp_path / "m.safetensors")), "cpu")
    audio = mix(seconds)
    with torch.no_grad():
        wanted = apply_model(model.parts[0], audio[None], shifts=0, overlap=overlap)[0].numpy()
    got = separated(model, audio, each(), overlap=overlap)
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).max() < 1e-6
    assert np.abs(wanted).max() > 1e-3


def test_batches_blocks_and_threads_do_not_change_the_result(tmp_path):
    model = demucs_model.load(str(save(tiny_ht(), tmp_path / "m.safetensors")), "cpu")
    audio = mix(9.1)
    before = threading.active_count()
    first = separated(model, audio, each(), batch_size=1)
    for batch_size, blocks in ((1, 333), (2, 5_000), (4, 100_000), (None, 1_000)):
        assert np.array_equal(separated(model, audio, each(), blocks, batch_size=batch_size), first)
    torch.set_num_threads(2)
    assert np.array_equal(separated(model, audio, each()), first)
    assert torch.get_num_threads() == 2
    assert threading.active_count() == before


def test_a_true_batch_agrees_too(tmp_path):
    """Stacked windows, as on a GPU, computed on the CPU."""
    model = demucs_model.load(str(save(tiny_ht(), tmp_path / "m.safetensors")), "cpu")
    audio = mix(2).numpy()
    windows = np.stack((audio[:, :RATE], audio[:, RATE:]))
    with demucs._single_threaded(1) as pool:
        runner = demucs._Runner(model.parts[0], torch.eye(3), "cpu", pool)
        alone = np.stack(list(runner(list(windows))))
        assert np.abs(runner._forward(windows) - alone).max() < 1e-6


def test_bag_is_weighted_as_demucs_does(tmp_path):
    parts, weights = [tiny_ht(), tiny_hybrid()], [[1.0, 0.5, 0.0], [0.0, 2.0, 1.0]]
    for name, part in zip("ab", parts, strict=True):
        save(part, tmp_path / f"{name}.safetensors")
    bag = {"models": ["a", "b"], "weights": weights}
    (tmp_path / "bag.yaml").write_text(yaml.safe_dump(bag))
    audio = mix(5.3)
    with torch.no_grad():
        wanted = apply_model(BagOfModels(parts, weights), audio[None], shifts=0)[0].numpy()
    model = demucs_model.load(str(tmp_path), "cpu")
    assert np.abs(separated(model, audio, each()) - wanted).max() < 1e-6
    summed = separated(model, audio, [["drums", "bass"], ["vocals"]])
    assert np.abs(summed[0] - wanted[:2].sum(0)).max() < 1e-6


@pytest.mark.parametrize(
    ("sources", "wanted"),
    [
        (
            ("drums", "bass", "other", "vocals"),
            {"music": ("drums", "bass", "other"), "dialogue": ("vocals",)},
        ),
        (
            ("Music", "speech", "sfx"),
            {"music": ("Music",), "dialogue": ("speech",), "effects": ("sfx",)},
        ),
    ],
)
def test_roles_follow_from_names(sources, wanted):
    assert demucs.roles(sources, {}) == wanted


def test_roles_can_be_named():
    assert demucs.roles(("music", "speech", "crowd"), {"crowd": "effects"})["effects"] == ("crowd",)
    assert demucs.roles(("other", "vocals"), {"other": "dialogue", "vocals": "music"}) == {
        "music": ("vocals",),
        "dialogue": ("other",),
    }


@pytest.mark.parametrize(
    ("sources", "named", "code", "told"),
    [
        (("music", "speech", "crowd"), {}, "role_unknown", "'crowd'"),
        (("music", "speech"), {"choir": "music"}, "source_unknown", "'choir'"),
        (("music", "sfx"), {}, "role_missing", "dialogue"),
    ],
)
def test_wrong_roles_are_reported(sources, named, code, told):
    with pytest.raises(OsslError) as caught:
        demucs.roles(sources, named)
    assert caught.value.code == code
    assert told in caught.value.message


def test_fingerprint_depends_on_the_files(tmp_path):
    path = save(tiny_ht(), tmp_path / "m.safetensors")
    first = demucs_model.fingerprint(str(path))
    assert first is not None
    assert len(first) == 64
    assert demucs_model.fingerprint(str(tmp_path)) == first
    path.write_bytes(path.read_bytes() + b"\0")
    assert demucs_model.fingerprint(str(path)) != first


def test_a_changed_file_is_loaded_again(tmp_path):
    path = tmp_path / "m.safetensors"
    save(tiny_ht(), path)
    before = demucs_model.load(str(path), "cpu")
    assert demucs_model.load(str(path), "cpu") is before
    save(tiny_ht(["music", "speech"]), path)
    assert demucs_model.load(str(path), "cpu").sources == ("music", "speech")


def test_invalid_models_are_reported(tmp_path):
    (tmp_path / "m.safetensors").write_bytes(b"nothing")
    (tmp_path / "m.th").write_bytes(b"nothing")
    (tmp_path / "m.yaml").write_text("just: this")
    for name in ("m.safetensors", "m.th", "m.yaml"):
        with pytest.raises(OsslError) as caught:
            demucs_model.load(str(tmp_path / name), "cpu")
        assert caught.value.code == "model_invalid"
    assert demucs_model.fingerprint(str(tmp_path / "m.yaml")) is None
    with pytest.raises(OsslError) as caught:
        demucs_model.load(str(tmp_path / "gone.safetensors"), "cpu")
    assert caught.value.code == "model_missing"


def test_model_of_the_hub_without_network(tmp_path):
    """In a separate process: the hub's client reads its environment only once."""
    code = (
        "from ossl_builder.models import demucs_model as models\n"
        "from ossl_builder.errors import OsslError\n"
        "assert models.fingerprint('htdemucs') is None\n"
        "try: models.load('htdemucs', 'cpu')\n"
        "except OsslError as error: print(error.code, error)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PATH": "/usr/bin"},
    )  # fmt: skip
    assert told.stdout.startswith("model_unavailable")
    assert "--set stems.model=bundled" in told.stdout


@pytest.mark.parametrize("name", ["htdemucs", "htdemucs_ft", "mdx_extra_q", "hdemucs_mmi"])
def test_repositories_are_named_as_demucs_names_them(name):
    assert demucs_model._repository(name) == hf_repo_name(name)


def test_model_of_the_hubs_cache_is_found(tmp_path, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    kept = tmp_path / "models--adefossez--HTDemucs"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text("abc")
    folder = kept / "snapshots" / "abc"
    folder.mkdir(parents=True)
    (folder / "htdemucs.yaml").write_text("models: ['955717e8']")
    assert demucs_model.fingerprint("htdemucs") is None  # its download is incomplete
    save(tiny_ht(), folder / "955717e8.safetensors")
    assert demucs_model.fingerprint("htdemucs") is not None
    assert demucs_model.load("htdemucs", "cpu").sources == tuple(SOURCES)
