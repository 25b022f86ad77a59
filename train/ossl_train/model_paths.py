"""Where models lie and run on this machine, and which they are, without loading them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from ossl_builder import files
from ossl_builder.errors import OsslError
from ossl_train.adapter.tiny_models import MUSICGEN, VIVIT
from ossl_train.recipe import TINY, TrainRecipe

NOT_HERE = "not here"
ALIASES = {size: f"facebook/musicgen-{size}" for size in ("small", "medium", "large")}


def with_models(recipe: TrainRecipe, root: Path, *, write: bool = True) -> TrainRecipe:
    """The recipe with folders in place of `tiny`; the tiny models are written if they are missing.

    Args:
        recipe: any recipe.
        root: the corpus or the export; tiny models stand in its `train/models`.
        write: False: only name the folders.
    """
    if TINY not in (recipe.model.source, recipe.features.encoder):
        return recipe
    folder = root / "train" / "models"
    if write and not (folder / "written").exists():
        from ossl_train.silence_logs import quiet

        with quiet():
            from ossl_train.adapter.tiny_models import write_tiny_models

            write_tiny_models(folder)
        files.write_bytes(folder / "written", b"")
    model, features = recipe.model, recipe.features
    if model.source == TINY:
        model = model.model_copy(update={"source": str(folder / MUSICGEN)})
    if features.encoder == TINY:
        features = features.model_copy(update={"encoder": str(folder / VIVIT)})
    return recipe.model_copy(update={"model": model, "features": features})


def shown_name(source: str) -> str:
    """A model's name without the folders of this machine."""
    return Path(source).name if Path(source).is_dir() else ALIASES.get(source, source)


def fingerprint(source: str, names: Sequence[str], revision: str | None = None) -> str:
    """SHA-256 over the names and bytes of some of a model's files, found without a network.

    Args:
        source: a local folder, a name on the hub, or one of `ALIASES`.
        names: patterns; the first that any file matches decides which files count.
        revision: on the hub.

    Returns:
        `NOT_HERE` where no file is found.
    """
    folder = Path(source).expanduser()
    if not folder.is_dir():
        cached = _cached(ALIASES.get(source, source), revision)
        if cached is None:
            return NOT_HERE
        folder = cached
    for name in names:
        found = sorted(path for path in folder.glob(name) if path.is_file())
        if found:
            return files.sha256_json(
                [[path.relative_to(folder).as_posix(), _sha256(path)] for path in found]
            )
    return NOT_HERE


def checked_device(device: str) -> str:
    """`cpu` or `cuda`, as is asked for (or `auto`) and to be had.

    Raises:
        OsslError: `no_gpu`, `train_not_installed`.
    """
    try:
        import torch
        import transformers  # noqa: F401
    except ImportError as error:
        raise OsslError(
            "train_not_installed",
            "Training needs PyTorch and transformers, which are not installed.",
            "Run `pip install 'ossl-builder[train]'`.",
        ) from error
    if device == "cuda" and not torch.cuda.is_available():
        raise OsslError(
            "no_gpu",
            "The device is cuda, and PyTorch finds no GPU.",
            "Use `--device auto`, or run it where there is a GPU.",
        )
    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"


def _cached(name: str, revision: str | None) -> Path | None:
    """A model's snapshot in the hub's cache."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError
    except ImportError:
        return None
    try:
        return Path(snapshot_download(name, revision=revision, local_files_only=True))
    except (OSError, ValueError, HFValidationError):
        return None


def _sha256(path: Path) -> str:
    # The hub's cache names large files by their SHA-256.
    name = path.resolve().name
    if len(name) == hashlib.sha256().digest_size * 2 and path.is_symlink():
        return name
    return files.sha256_remembered(path)
