"""The models of a generation: the frozen MusicGen, the adapter fitted on it, the video encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ossl_builder.errors import OsslError
from ossl_train.adapter.adapter import VideoAdapter
from ossl_train.adapter.adapter_file import load_adapter, load_reference, read_metadata
from ossl_train.data.video_encoder import VideoEncoder, load_encoder
from ossl_train.musicgen import Backbone, load_backbone
from ossl_train.pretrained import checked_device, shown_name
from ossl_train.recipe import TrainRecipe, load_train_recipe
from ossl_train.training.checkpoint import ADAPTER
from ossl_train.training.run_folder import BEST, RECIPE


@dataclass(frozen=True)
class ChosenAdapter:
    """The adapter and the recipe of a generation.

    Attributes:
        recipe: recipe of the run; the named recipe if the adapter is not in a run's folder.
        adapter: the adapter file; None: the base model alone.
        folder: the folder of the run, for generated files.
    """

    recipe: TrainRecipe
    adapter: Path | None
    folder: Path


def choose_adapter(
    root: Path,
    recipe_name: str,
    overrides: Sequence[str],
    checkpoint: Path | None,
    alpha: float,
) -> ChosenAdapter:
    """Find an adapter file and its recipe.

    Args:
        root: the corpus or the export.
        recipe_name: value of `--recipe`.
        overrides: values of `--set`.
        checkpoint: a run's folder, one of its checkpoints, or an adapter file; None: the
            best checkpoint of the recipe's run.
        alpha: factor on the adapter's gates; with 0 no adapter is needed, and none is read.

    Raises:
        OsslError: `no_checkpoint`, and those of `load_train_recipe`.
    """
    recipe = load_train_recipe(recipe_name, overrides)
    run = root / "train" / recipe.name
    adapter = _adapter_in(checkpoint or run)
    if adapter is None and (alpha > 0 or checkpoint is not None):
        raise OsslError(
            "no_checkpoint",
            f"There is no adapter in {checkpoint or run}.",
            f"Run `ossl train fit --recipe {recipe_name}`, or name an adapter with --checkpoint. "
            "--alpha 0 uses the base model without an adapter.",
        )
    if adapter is not None:
        beside = [folder / RECIPE for folder in (adapter.parent, adapter.parent.parent)]
        recipe_file = next((path for path in beside if path.is_file()), None)
        if recipe_file is not None:
            recipe = load_train_recipe(str(recipe_file), overrides)
            run = recipe_file.parent
    return ChosenAdapter(recipe, adapter if alpha > 0 else None, run)


def _adapter_in(path: Path) -> Path | None:
    if path.is_file():
        return path
    candidates = (path / ADAPTER, path / BEST / ADAPTER)
    return next((candidate for candidate in candidates if candidate.is_file()), None)


ADAPTER_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Models:
    """The loaded models of a generation.

    Attributes:
        backbone: the frozen model.
        adapter: the adapter, attached to the backbone; None: the base model alone.
        encoder: the video encoder; None: the video is not used.
        notes: sentences for the user.
    """

    backbone: Backbone
    adapter: VideoAdapter | None
    encoder: VideoEncoder | None
    notes: tuple[str, ...]


def load_models(recipe: TrainRecipe, adapter: Path | None, device: str, precision: str) -> Models:
    """Load the models of a recipe, and check that the adapter belongs to them.

    Args:
        recipe: the recipe, with folders in place of the name `tiny`.
        adapter: an adapter file, or weights published by the paper's authors; None: no adapter.
        device: `auto`, `cpu` or `cuda`.
        precision: `fp32` or `bf16`, of the language model.

    Raises:
        OsslError: `no_gpu`; `adapter_other_model`, `adapter_other_features`, `adapter_size`,
            `adapter_unreadable`; and those of `load_backbone` and `load_encoder`.
    """
    chosen_device = checked_device(device)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    backbone = load_backbone(recipe.model.source, recipe.model.backbone, chosen_device, dtype)
    if adapter is None:
        return Models(backbone, None, None, ())
    notes: list[str] = []
    if adapter.suffix == ADAPTER_SUFFIX:
        loaded = load_adapter(adapter, chosen_device)
        _check(adapter, backbone, recipe)
    else:
        loaded = load_reference(adapter, n_heads=backbone.shape.n_heads).to(chosen_device)
        notes.append(f"{adapter.name} has published weights: their model cannot be checked.")
    loaded.attach(backbone).eval()
    if not any(bool(layer.alpha.any()) for layer in loaded.layers):
        notes.append("All gates of the adapter are 0: the result is plain MusicGen.")
    encoder = load_encoder(
        recipe.features.encoder, recipe.features.revision, recipe.features.frames, chosen_device
    )
    if encoder.shape.width != loaded.config.video_dim:
        raise _other_features(adapter, f"tokens {loaded.config.video_dim} wide", recipe)
    return Models(backbone, loaded, encoder, tuple(notes))


def _check(path: Path, backbone: Backbone, recipe: TrainRecipe) -> None:
    """Check the adapter's metadata: it was trained with this model and these features."""
    metadata = read_metadata(path)
    if metadata.get("digest", backbone.digest) != backbone.digest:
        raise OsslError(
            "adapter_other_model",
            f"{path} was trained with another model ({metadata.get('source', 'unnamed')}) than "
            f"{shown_name(recipe.model.source)}.",
            "Give the recipe it was trained with by --recipe, or the model by --set model.source=…",
        )
    wanted = {"encoder": shown_name(recipe.features.encoder), "pooling": recipe.features.pooling}
    for key, value in wanted.items():
        if metadata.get(key, value) != value:
            raise _other_features(path, f"{key} {metadata[key]}", recipe)


def _other_features(path: Path, trained_on: str, recipe: TrainRecipe) -> OsslError:
    features = recipe.features
    return OsslError(
        "adapter_other_features",
        f"{path} was trained on other features ({trained_on}) than {shown_name(features.encoder)} "
        f"with pooling {features.pooling}.",
        "Give the recipe it was trained with by --recipe.",
    )
