"""The pretrained models of a recipe: their names, the tiny ones, and loading them quietly."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ossl_builder import files
from ossl_builder.errors import OsslError
from ossl_builder.models.hub import choose_device

if TYPE_CHECKING:
    from ossl_train.recipe import TrainRecipe

TINY = "tiny"
"""Name of the tiny random models, which are written where they are needed."""
ALIASES = {size: f"facebook/musicgen-{size}" for size in ("small", "medium", "large")}
LOGGERS = ("xformers", "transformers", "audiocraft", "torch.distributed.elastic")


def with_models(recipe: TrainRecipe, root: Path, *, write: bool = True) -> TrainRecipe:
    """Replace the name `tiny` in a recipe by folders, and write the tiny models if missing.

    Args:
        recipe: any recipe.
        root: the corpus or the export; tiny models are in its `train/models`.
        write: False: only name the folders.
    """
    if TINY not in (recipe.model.source, recipe.features.encoder):
        return recipe
    from ossl_train.adapter.tiny_models import MUSICGEN, VIVIT, write_tiny_models

    folder = root / "train" / "models"
    if write and not (folder / "written").exists():
        write_tiny_models(folder)
        files.write_bytes(folder / "written", b"")
    model, features = recipe.model, recipe.features
    if model.source == TINY:
        model = model.model_copy(update={"source": str(folder / MUSICGEN)})
    if features.encoder == TINY:
        features = features.model_copy(update={"encoder": str(folder / VIVIT)})
    return recipe.model_copy(update={"model": model, "features": features})


def full_name(source: str) -> str:
    """Return the hub name of a MusicGen size (`small`); any other name as it is."""
    return ALIASES.get(source, source)


def shown_name(source: str) -> str:
    """Return the name of a model without the folders of this machine."""
    return Path(source).name if Path(source).is_dir() else full_name(source)


def without_folders(recipe: TrainRecipe) -> TrainRecipe:
    """Replace the folders of this machine in a recipe by names."""
    model = recipe.model.model_copy(update={"source": shown_name(recipe.model.source)})
    features = recipe.features.model_copy(update={"encoder": shown_name(recipe.features.encoder)})
    return recipe.model_copy(update={"model": model, "features": features})


def checked_device(device: str) -> str:
    """Choose the device, after a check that the training extra is installed.

    Args:
        device: `auto`, `cpu` or `cuda`.

    Raises:
        OsslError: `no_gpu`, `not_installed`.
    """
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise OsslError(
            "not_installed",
            "Training needs PyTorch and transformers, which are not installed.",
            "Run `pip install 'ossl-builder[train]'`.",
        ) from error
    return choose_device(device)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hide progress bars, deprecations and hints of the model packages; errors still show."""
    from transformers.utils import logging as transformers_logging

    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    had_bars = transformers_logging.is_progress_bar_enabled()
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    transformers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        if had_bars:
            transformers_logging.enable_progress_bar()
