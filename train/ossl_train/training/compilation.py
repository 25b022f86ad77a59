"""torch.compile for the decoder's layers, with the adapter's hooks in them."""

from __future__ import annotations

from ossl_builder.errors import OsslError
from ossl_train.musicgen import Backbone

VARIANTS = 4
"""Compiled forms of one layer at most: with and without gradients, a last and shorter batch."""


def compile_layers(backbone: Backbone, checkpointing: bool) -> None:
    """Compile each layer of the decoder at its first use. Losses do not change.

    Args:
        backbone: the frozen model, with an adapter attached.
        checkpointing: whether the layers are computed again in the backward pass.

    Raises:
        OsslError: `compile_unsupported`, with layers that are computed again, or for audiocraft.
    """
    if checkpointing or backbone.kind != "transformers":
        raise OsslError(
            "compile_unsupported",
            "fit.compile works for the backbone transformers, and not with gradient checkpointing.",
            "Set fit.compile=false; or model.backbone=transformers, "
            "fit.gradient_checkpointing=off and a smaller fit.batch_size.",
        )
    import torch._dynamo

    layers = backbone.layers()
    # Each layer's hook has its own number, so each layer is compiled by itself.
    limit = max(torch._dynamo.config.recompile_limit, VARIANTS * len(layers))
    torch._dynamo.config.recompile_limit = limit
    for layer in layers:
        layer.compile()
