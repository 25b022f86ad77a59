"""Demucs models: where they lie, which they are, how they are loaded.

A model is named by `bundled`, by a path that begins with `/`, `./` or `~` (a folder, or a
`.safetensors`, `.th` or `.yaml` file), or by a name on the Hugging Face hub (`htdemucs`,
`htdemucs_ft`, `someuser/somemodel`), which Demucs downloads into the hub's cache.
"""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ossl_builder.engine.files import sha256_remembered
from ossl_builder.errors import OsslError
from ossl_builder.tools import packages

BUNDLED = "bundled"
BUNDLED_FILE = Path(__file__).parent.parent / "separator" / "bundled.safetensors"
WITHOUT_HUB = (
    "Use `--set stems.model=bundled`, or download it where there is a network and give its folder."
)


@dataclass(frozen=True)
class Model:
    """A loaded model, or several whose results are averaged (Demucs calls them a bag).

    Attributes:
        parts: Demucs modules in evaluation mode, on their device.
        weights: for each part the weight of each source in the average.
        sources: names of what it separates.
        rate: sample rate it works at, in Hz.
        channels: channels it works with.
        device: `cpu` or `cuda`.
    """

    parts: tuple[Any, ...]
    weights: tuple[tuple[float, ...], ...]
    sources: tuple[str, ...]
    rate: int
    channels: int
    device: str


def _is_path(name: str) -> bool:
    """Whether `name` means a file or folder rather than a name on the hub."""
    is_file = name.endswith((".safetensors", ".th", ".yaml"))
    return is_file or name.startswith((".", "~")) or Path(name).is_absolute()


def versions() -> dict[str, str]:
    """Versions of what a model's result depends on, as far as it is installed."""
    return packages.versions("av", "demucs", "torch")


def fingerprint(name: str) -> str | None:
    """SHA-256 of a model's files, read without network; None if there is no model to be loaded.

    Of several files it is the hash of their names and hashes.
    """
    try:
        found = _find(name)
        files = _files(found) if found else []
    except OsslError:  # `load` tells why
        return None
    if not files or not all(file.is_file() for file in files):
        return None
    hashes = {file.name: sha256_remembered(file) for file in files}
    if len(hashes) == 1:
        return hashes.popitem()[1]
    return hashlib.sha256(repr(sorted(hashes.items())).encode()).hexdigest()


def load(name: str, device: str) -> Model:
    """Load a model, from the hub if it is not here; the last one is kept for the next call.

    Args:
        name: see the module.
        device: `cpu`, `cuda`, or `auto` for CUDA where there is a GPU.

    Raises:
        OsslError: `stems_not_installed`, `no_gpu`, `model_unavailable`, `model_missing`,
            `model_invalid`.
    """
    try:
        import demucs.pretrained  # noqa: F401
        import torch
    except ImportError as error:
        raise OsslError(
            "stems_not_installed",
            "Separation needs Demucs and PyTorch, which are not installed.",
            "Run `pip install 'ossl-builder[stems]'`.",
        ) from error
    has_gpu = torch.cuda.is_available()
    if device == "cuda" and not has_gpu:
        raise OsslError(
            "no_gpu",
            "stems.device is cuda, and PyTorch finds no GPU.",
            "Use `--set stems.device=auto`.",
        )
    found = _find(name) or _download(name)
    return _load(name, found, fingerprint(name), "cuda" if has_gpu and device != "cpu" else "cpu")


@lru_cache(maxsize=1)
def _load(name: str, found: Path, sha256: str | None, device: str) -> Model:
    """Load what lies at `found`; `sha256` makes a changed file another model."""
    import safetensors

    try:
        model = _read(found)
        parts = tuple(getattr(model, "models", [model]))
        for part in parts:
            part.to(device).eval()
        even = [[1.0] * len(model.sources) for _ in parts]
        return Model(
            parts=parts,
            weights=tuple(tuple(map(float, row)) for row in getattr(model, "weights", even)),
            sources=tuple(model.sources),
            rate=int(model.samplerate),
            channels=int(model.audio_channels),
            device=device,
        )
    except (
        AttributeError, EOFError, ImportError, KeyError, OSError, RuntimeError, TypeError,
        ValueError, pickle.UnpicklingError, safetensors.SafetensorError,
    ) as error:  # fmt: skip
        raise OsslError(
            "model_invalid",
            f"The model {name!r} is none that Demucs can load ({type(error).__name__}: {error}).",
            "Give a model that Demucs saved, or a name it knows.",
        ) from error


def _read(found: Path) -> Any:
    """The module, or Demucs' BagOfModels, of a file."""
    import yaml
    from demucs.apply import BagOfModels
    from demucs.hf import load_safetensors_model
    from demucs.states import load_model

    if found.suffix == ".safetensors":
        return load_safetensors_model(found)
    if found.suffix == ".th":
        return load_model(found)
    bag = yaml.safe_load(found.read_text())
    parts = [_read(file) for file in _files(found)[1:]]
    return BagOfModels(parts, bag.get("weights"), bag.get("segment"))


def _find(name: str) -> Path | None:
    """The one file that stands for a model; None if it is to be had from the hub.

    Raises:
        OsslError: `model_missing`, `model_invalid`.
    """
    if name != BUNDLED and not _is_path(name):
        return _cached(name)
    path = BUNDLED_FILE if name == BUNDLED else Path(name).expanduser()
    if not path.exists():
        raise OsslError("model_missing", f"There is no model at {path}.", "See stems.model.")
    if path.is_file():
        return path
    for kind in (".yaml", ".safetensors", ".th"):
        files = sorted(path.glob(f"*{kind}"))
        if len(files) == 1:
            return files[0]
        if files:
            break
    raise OsslError(
        "model_invalid",
        f"The folder {path} holds no model, or several.",
        "Give one of its .safetensors, .th or .yaml files as stems.model.",
    )


def _files(found: Path) -> list[Path]:
    """All files of a model: itself, and those that a bag's `.yaml` names."""
    import yaml

    if found.suffix != ".yaml":
        return [found]
    try:
        names = [str(part) for part in yaml.safe_load(found.read_text())["models"]]
    except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise OsslError(
            "model_invalid", f"{found} names no models.", "Give a bag as Demucs writes it."
        ) from error
    parts = []
    for part in names:
        # Demucs' own repositories put a checksum behind the name: 955717e8-8726e21a.th
        kept = sorted(found.parent.glob(f"{part}*.safetensors"))
        kept += sorted(found.parent.glob(f"{part}*.th"))
        parts.append(kept[0] if kept else found.parent / f"{part}.safetensors")
    return [found, *parts]


def _cached(name: str) -> Path | None:
    """The bag's file in the hub's cache, beside its parts; no network."""
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    space, bag = _hub_name(name)
    kept = try_to_load_from_cache(f"{space}/{_repository(bag)}", f"{bag}.yaml")
    if not isinstance(kept, str) or not all(file.is_file() for file in _files(Path(kept))):
        return None
    return Path(kept)


def _download(name: str) -> Path:
    """Let Demucs download a model into the hub's cache."""
    from demucs.hf import get_hf_model

    try:
        get_hf_model("/".join(_hub_name(name)))
    except (OSError, ValueError) as error:  # all of the hub's errors are one of these
        raise OsslError(
            "model_unavailable",
            f"The model {name!r} is not on this machine, and cannot be had from the Hugging Face "
            f"hub ({type(error).__name__}).",
            f"{WITHOUT_HUB} A path begins with `/`, `./` or `~`.",
        ) from error
    found = _cached(name)
    if found is None:
        raise OsslError("model_unavailable", f"{name!r} did not reach the cache.", WITHOUT_HUB)
    return found


def _hub_name(name: str) -> tuple[str, str]:
    """Namespace (Demucs' author's where none is given) and name."""
    space, _, bag = name.removeprefix("hf://").rpartition("/")
    return space or "adefossez", bag


def _repository(bag: str) -> str:
    """The hub's repository of a model, as `demucs.hf.hf_repo_name` has it (which needs torch)."""
    if bag == "htdemucs":
        return "HTDemucs"
    if bag.startswith("htdemucs_"):
        return f"HTDemucs-{bag.removeprefix('htdemucs_')}"
    return f"Demucs-{bag}"
