"""Locate a pretrained model (bundled, in a folder, on the Hugging Face hub) and choose a device."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

from ossl_builder import files
from ossl_builder.engine.settings import HERE, Origin, is_path
from ossl_builder.errors import OsslError

BUNDLED = "bundled"
BUNDLED_FILE = Path(__file__).parent.parent / "separator" / "bundled.safetensors"
NOT_HERE = "not here"
"""Fingerprint of a model that is not on this machine."""
WEIGHTS = (".safetensors", ".bin")
CONFIG = "config.json"
UNREADABLE = (
    AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError, UnpicklingError,
    ValueError,
)  # fmt: skip
"""What transformers raises for files that are damaged, or hold more than plain weights."""


@dataclass(frozen=True)
class ModelFolder:
    """The files of a model on this machine.

    Attributes:
        path: the folder that holds them.
        source: the name that the user gave.
        revision: commit on the hub; None for a local folder.
    """

    path: Path
    source: str
    revision: str | None

    def digest(self) -> str:
        """Return the SHA-256 over names and bytes of configuration, tokenizer and weights."""
        used = [
            path
            for path in sorted(self.path.iterdir())
            if path.suffix in (".jinja", ".json", ".txt", *WEIGHTS) and path.is_file()
        ]
        # Of weights in two formats, transformers loads the first.
        if any(path.suffix == WEIGHTS[0] for path in used):
            used = [path for path in used if path.suffix != WEIGHTS[1]]
        return files.sha256_json([[path.name, files.sha256_file(path)] for path in used])


def n_cores() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def choose_device(wanted: str, setting: str = "--device") -> str:
    """Choose the device that a model runs on.

    Args:
        wanted: `cpu`, `cuda`, `cuda:1` and so on, or `auto`: CUDA if there is a GPU.
        setting: the option or recipe key that the user can change; the error names it.

    Raises:
        OsslError: `no_gpu`, if CUDA is requested and PyTorch finds no GPU.
    """
    import torch

    has_gpu = torch.cuda.is_available()
    if wanted.startswith("cuda") and not has_gpu:
        is_option = setting.startswith("--")
        raise OsslError(
            "no_gpu",
            f"{setting} is {wanted}, and PyTorch finds no GPU.",
            "Use `--device auto`, or run the command on a machine with a GPU."
            if is_option
            else f"Use `--set {setting}=auto`.",
        )
    if wanted != "auto":
        return wanted
    return "cuda" if has_gpu else "cpu"


def local_path(
    name: str, setting: str, origin: Origin = HERE, suffixes: tuple[str, ...] = ()
) -> Path | None:
    """Resolve a model name to a path; None if it is a name on the hub.

    The path need not exist.

    Args:
        name: `bundled`, a path that begins with `/`, `./` or `~`, or a name on the hub.
        setting: the recipe key that holds the name.
        origin: where the recipe comes from; relative paths are below its folder.
        suffixes: a name with one of these endings is a path too.

    Raises:
        OsslError: `path_outside`.
    """
    if name == BUNDLED:
        return BUNDLED_FILE
    if is_path(name) or (suffixes and name.endswith(suffixes)):
        return origin.path(setting, name)
    return None


def cached_files(name: str, names: Sequence[str]) -> list[Path] | None:
    """Return files of a hub model from the hub's cache; None if one is missing. No network."""
    try:
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError
    except ImportError:
        return None
    try:
        paths = [try_to_load_from_cache(name, file) for file in names]
    except HFValidationError:
        return None
    if not all(isinstance(path, str) for path in paths):
        return None
    return [Path(str(path)) for path in paths]


def download_file(name: str, file: str) -> Path:
    """Return one file of a hub model, downloaded into the hub's cache if it is not there.

    Raises:
        OSError, ValueError: it cannot be downloaded (all errors of the hub are one of these).
    """
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(name, file))


def unavailable(model: str, error: Exception, hint: str) -> OsslError:
    """Return the error `model_unavailable`: the model cannot be downloaded.

    Args:
        model: the model's name, as the subject of the message.
        error: exception of the download.
        hint: what the user can do.
    """
    return OsslError(
        "model_unavailable",
        f"{model} is not on this machine, and it cannot be downloaded from the Hugging Face hub "
        f"({type(error).__name__}).",
        hint,
    )


def find_model(source: str, revision: str | None = None) -> ModelFolder | None:
    """Return a model that is on this machine; None if it must be downloaded. No network.

    Args:
        source: a folder that holds `config.json` and weights, or a name on the hub.
        revision: branch, tag or commit on the hub; None: its main branch.

    Raises:
        OsslError: `model_missing`, if `source` is a folder without a model.
    """
    path = Path(source).expanduser()
    if path.is_dir() or source.startswith((".", "~", "/")):
        if not _is_complete(path):
            raise OsslError(
                "model_missing",
                f"The folder {path} holds no model: config.json or the weights are missing.",
                "Give a folder written by save_pretrained, or the name of a model on the Hugging "
                "Face hub.",
            )
        return ModelFolder(path, source, None)
    snapshot = _cached_snapshot(source, revision)
    if snapshot is None or not _is_complete(snapshot):
        return None
    return ModelFolder(snapshot, source, snapshot.name)


def fetch_model(source: str, revision: str | None = None) -> ModelFolder:
    """Return a model; download it into the hub's cache if it is not on this machine.

    Args:
        source: a folder that holds `config.json` and weights, or a name on the hub.
        revision: branch, tag or commit on the hub; None: its main branch.

    Raises:
        OsslError: `model_missing`, `model_unavailable`.
    """
    path = Path(source).expanduser()
    if path.is_dir() or source.startswith((".", "~", "/")):
        local = find_model(source)
        assert local is not None
        return local
    try:
        snapshot = _snapshot(source, revision, WEIGHTS[0])
        if not any(snapshot.glob(f"*{WEIGHTS[0]}")):
            snapshot = _snapshot(source, revision, WEIGHTS[1])
    except (OSError, ValueError) as error:  # all errors of the hub are one of these
        raise unavailable(
            f"The model {source!r}",
            error,
            "Download it on a machine with a network and give its folder.",
        ) from error
    if not _is_complete(snapshot):
        raise OsslError(
            "model_unavailable",
            f"The files of {source!r} on this machine are not complete.",
            "Run the command once with a network, or give a local folder.",
        )
    return ModelFolder(snapshot, source, snapshot.name)


def fingerprint(source: str, patterns: Sequence[str], revision: str | None = None) -> str:
    """Return the SHA-256 over names and bytes of some files of a model. No network.

    Args:
        source: a folder, or a name on the hub.
        patterns: glob patterns; the first one that matches any file decides which files count.
        revision: branch, tag or commit on the hub.

    Returns:
        `NOT_HERE` if no file is found.
    """
    folder: Path | None = Path(source).expanduser()
    if folder is not None and not folder.is_dir():
        folder = _cached_snapshot(source, revision)
    if folder is None:
        return NOT_HERE
    for pattern in patterns:
        matches = sorted(path for path in folder.glob(pattern) if path.is_file())
        if matches:
            return files.sha256_json(
                [[path.relative_to(folder).as_posix(), _sha256(path)] for path in matches]
            )
    return NOT_HERE


def _cached_snapshot(source: str, revision: str | None) -> Path | None:
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        return None
    try:
        return Path(snapshot_download(source, revision=revision, local_files_only=True))
    except (OSError, ValueError):  # all errors of the hub are one of these
        return None


def _snapshot(source: str, revision: str | None, weights: str) -> Path:
    from huggingface_hub import snapshot_download

    patterns = ["*.json", "*.txt", "*.jinja", f"*{weights}"]
    return Path(snapshot_download(source, revision=revision, allow_patterns=patterns))


def _is_complete(folder: Path) -> bool:
    has_weights = folder.is_dir() and any(file.suffix in WEIGHTS for file in folder.iterdir())
    return has_weights and (folder / CONFIG).is_file()


def _sha256(path: Path) -> str:
    # The hub's cache names large files by their SHA-256.
    name = path.resolve().name
    if path.is_symlink() and len(name) == hashlib.sha256().digest_size * 2:
        return name
    return files.sha256_remembered(path)
