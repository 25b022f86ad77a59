"""From a recipe and a corpus to what the loop works upon."""

from __future__ import annotations

from typing import Any

import torch

from ossl_builder import __version__
from ossl_builder.errors import OsslError
from ossl_builder.files import sha256_json
from ossl_train.adapter.adapter import adapter_for
from ossl_train.data import store_check
from ossl_train.data.dataset import Dataset, open_dataset
from ossl_train.data.source import Source
from ossl_train.model_paths import shown_name, with_models
from ossl_train.musicgen import load_backbone
from ossl_train.recipe import TrainRecipe
from ossl_train.training.distributed import Processes
from ossl_train.training.loop import Parts
from ossl_train.training.run_folder import shaping


def assemble(
    source: Source, recipe: TrainRecipe, processes: Processes
) -> tuple[Parts, dict[str, Any]]:
    """Open the data, load the frozen model, make the adapter.

    Args:
        source: clips with splits and labels.
        recipe: resolved.
        processes: this one among its like; it loads to its own device.

    Returns:
        what `fit` needs, and what `run_folder.describe` writes down of it.

    Raises:
        OsslError: see `open_dataset`, `load_backbone`, `check_backbone`.
    """
    if processes.rank == 0:
        with_models(recipe, source.root)  # one process writes tiny models, the others wait for it
    processes.gather(None)
    placed = with_models(recipe, source.root)
    train = open_dataset(source, placed, "train")
    validation = _validation(source, placed)
    settings = placed.model
    bf16 = recipe.fit.precision == "bf16"
    backbone = load_backbone(
        settings.source,
        settings.backbone,
        str(processes.device),
        torch.bfloat16 if bf16 else torch.float32,
    )
    store_check.check_backbone(train.made, backbone)
    torch.manual_seed(recipe.fit.seed)
    adapter = adapter_for(
        backbone,
        video_dim=train.sample(0).video.shape[-1],
        alpha_init=settings.alpha_init,
        positions=settings.positions,
        dialogue=settings.dialogue,
        reference_positions=settings.reference_positions,
    )
    adapter.to(processes.device).train()
    splits = {"train": train} | ({"validation": validation} if validation else {})
    data = {
        "tables": dict(source.checksums),
        "windows": {split: len(dataset.windows) for split, dataset in splits.items()},
        "left out": {split: dict(dataset.left_out) for split, dataset in splits.items()},
        "stores": {kind: dict(made) for kind, made in train.made.items()},
        "model": {
            "source": shown_name(settings.source),
            "digest": backbone.digest,
            "codec": backbone.codec_digest,
        },
    }
    metadata = {
        "recipe": recipe.name,
        "settings": sha256_json(shaping(recipe)),
        "backbone": backbone.kind,
        "source": shown_name(settings.source),
        "digest": backbone.digest,
        "encoder": shown_name(placed.features.encoder),
        "pooling": placed.features.pooling,
        "written_by": f"ossl-builder {__version__}",
    }
    return Parts(backbone, adapter, train, validation, metadata), data


def _validation(source: Source, recipe: TrainRecipe) -> Dataset | None:
    try:
        return open_dataset(source, recipe, "validation")
    except OsslError as error:
        if error.code != "split_empty":
            raise
        return None
