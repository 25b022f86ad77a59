"""The models of a generation: a frozen MusicGen, the adapter that was fitted on it, an encoder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from ossl_builder.errors import OsslError
from ossl_train.backbones import Backbone, load_backbone
from ossl_train.data import vivit
from ossl_train.model.adapter import VideoAdapter
from ossl_train.model.adapter_file import load_adapter, read_metadata
from ossl_train.model.reference_file import load_reference
from ossl_train.places import checked_device, shown_name
from ossl_train.recipe import TrainRecipe

OURS = ".safetensors"


@dataclass(frozen=True)
class Models:
    """What draws music.

    Attributes:
        backbone: the frozen model.
        adapter: attached to it; None: the base model alone.
        encoder: of pictures; None: no picture is looked at.
        notes: sentences that a person should read.
    """

    backbone: Backbone
    adapter: VideoAdapter | None
    encoder: vivit.Encoder | None
    notes: tuple[str, ...]


def load_models(recipe: TrainRecipe, adapter: Path | None, device: str, precision: str) -> Models:
    """Load what a recipe names, and see that the adapter belongs to it.

    Args:
        recipe: with folders in place of `tiny`.
        adapter: the adapter's file, or weights that the paper's authors published; None: none.
        device: `auto`, `cpu` or `cuda`.
        precision: `fp32` or `bf16`, of the language model.

    Raises:
        OsslError: `no_gpu`; `adapter_other_model`, `adapter_other_features`, `adapter_size`,
            `adapter_unreadable`; and those of `load_backbone` and `load_encoder`.
    """
    place = checked_device(device)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    backbone = load_backbone(recipe.model.source, recipe.model.backbone, place, dtype)
    if adapter is None:
        return Models(backbone, None, None, ())
    notes: list[str] = []
    if adapter.suffix == OURS:
        loaded = load_adapter(adapter, place)
        _check(adapter, backbone, recipe)
    else:
        loaded = load_reference(adapter, n_heads=backbone.shape.n_heads).to(place)
        notes.append(f"{adapter.name} holds published weights: nothing says what they belong to.")
    loaded.attach(backbone).eval()
    if not any(bool(layer.alpha.any()) for layer in loaded.layers):
        notes.append("All gates of the adapter are 0: what it gives is plain MusicGen.")
    encoder = vivit.load_encoder(recipe.features.encoder, recipe.features.revision, place)
    if encoder.width != loaded.config.video_dim:
        raise _other_features(adapter, f"tokens {loaded.config.video_dim} wide", recipe)
    return Models(backbone, loaded, encoder, tuple(notes))


def _check(path: Path, backbone: Backbone, recipe: TrainRecipe) -> None:
    """See that model and features are those that the adapter was fitted on, by its metadata."""
    said = read_metadata(path)
    if said.get("digest", backbone.digest) != backbone.digest:
        raise OsslError(
            "adapter_other_model",
            f"{path} was fitted on another model ({said.get('source', 'unnamed')}) than "
            f"{shown_name(recipe.model.source)}.",
            "Name the recipe it was fitted with by --recipe, or the model by --set model.source=…",
        )
    here = {"encoder": shown_name(recipe.features.encoder), "pooling": recipe.features.pooling}
    for key, value in here.items():
        if said.get(key, value) != value:
            raise _other_features(path, f"{key} {said[key]}", recipe)


def _other_features(path: Path, what: str, recipe: TrainRecipe) -> OsslError:
    features = recipe.features
    return OsslError(
        "adapter_other_features",
        f"{path} was fitted on other features ({what}) than {shown_name(features.encoder)} "
        f"with pooling {features.pooling}.",
        "Name the recipe it was fitted with by --recipe.",
    )
