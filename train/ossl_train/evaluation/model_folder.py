"""Where a published model lies, and exactly which one it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

from ossl_builder import files
from ossl_builder.errors import OsslError

WEIGHTS = (".safetensors", ".bin")
UNREADABLE = (
    AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError, UnpicklingError,
    ValueError,
)  # fmt: skip
"""What transformers raises for files that are damaged, or hold more than plain weights."""


@dataclass(frozen=True)
class ModelFolder:
    """A model's files on this machine.

    Attributes:
        path: their folder.
        source: as it was named.
        revision: commit on the hub; None for a local folder.
    """

    path: Path
    source: str
    revision: str | None

    def digest(self) -> str:
        """SHA-256 over the names and bytes of its configuration, tokenizer and weights."""
        kept = [
            path
            for path in sorted(self.path.iterdir())
            if path.suffix in (".json", ".txt", *WEIGHTS) and path.is_file()
        ]
        # Of weights in two formats the first is the one that is loaded.
        if any(path.suffix == WEIGHTS[0] for path in kept):
            kept = [path for path in kept if path.suffix != WEIGHTS[1]]
        return files.sha256_json([[path.name, files.sha256_file(path)] for path in kept])


def model_folder(source: str, revision: str | None = None) -> ModelFolder:
    """Find a model: a local folder, the hub's cache, or the hub.

    Args:
        source: a folder that holds `config.json`, or a name on the Hugging Face hub.
        revision: branch, tag or commit on the hub; None: its main branch.

    Raises:
        OsslError: `model_missing`, `model_unavailable`.
    """
    local = _local(source)
    if local is not None:
        return local
    found = _from_hub(source, revision)
    return ModelFolder(found, source, found.name)


def found_here(source: str, revision: str | None = None) -> ModelFolder | None:
    """The same without a network; None if the model would have to be downloaded.

    Raises:
        OsslError: `model_missing`.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    local = _local(source)
    if local is not None:
        return local
    try:
        found = Path(snapshot_download(source, revision=revision, local_files_only=True))
    except (OSError, ValueError, HFValidationError):
        return None
    return ModelFolder(found, source, found.name) if _is_complete(found) else None


def _local(source: str) -> ModelFolder | None:
    path = Path(source).expanduser()
    if not path.is_dir() and not source.startswith((".", "~", "/")):
        return None
    if not _is_complete(path):
        raise OsslError(
            "model_missing",
            f"{path} is no folder of a model: it has no config.json, or no weights.",
            "Name a folder written by save_pretrained, or a model on the Hugging Face hub.",
        )
    return ModelFolder(path, source, None)


def _is_complete(path: Path) -> bool:
    has_weights = path.is_dir() and any(file.suffix in WEIGHTS for file in path.iterdir())
    return has_weights and (path / "config.json").is_file()


def _from_hub(source: str, revision: str | None) -> Path:
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        found = _snapshot(source, revision, WEIGHTS[0])
        if not any(found.glob(f"*{WEIGHTS[0]}")):
            found = _snapshot(source, revision, WEIGHTS[1])
    except (OSError, ValueError, HfHubHTTPError, HFValidationError) as error:
        raise OsslError(
            "model_unavailable",
            f"The model {source!r} is not on this machine, and cannot be had from the Hugging "
            f"Face hub ({type(error).__name__}).",
            "Download it where there is a network and give its folder.",
        ) from error
    if not _is_complete(found):
        raise OsslError(
            "model_unavailable",
            f"{source!r} on this machine is not complete.",
            "Run the command once where there is a network, or give a local folder.",
        )
    return found


def _snapshot(source: str, revision: str | None, weights: str) -> Path:
    from huggingface_hub import snapshot_download

    wanted = ["*.json", "*.txt", f"*{weights}"]
    return Path(snapshot_download(source, revision=revision, allow_patterns=wanted))
