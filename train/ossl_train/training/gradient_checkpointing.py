"""Gradient checkpointing: compute a decoder layer again in the backward pass, to store less."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from ossl_train.adapter.adapter import VideoAdapter
from ossl_train.data.dataset import collate
from ossl_train.musicgen import Backbone
from ossl_train.training.distributed import Processes
from ossl_train.training.loop import Parts
from ossl_train.training.memory import is_out_of_memory
from ossl_train.training.settings import FitSettings
from ossl_train.training.train_module import TrainModule


def checkpoint_layers(backbone: Backbone, adapter: VideoAdapter) -> None:
    """Make each layer of the decoder store its input alone. Losses and gradients do not change.

    The adapter works by hooks inside the layers, so the second forward needs its videos again,
    although the backward pass runs after `VideoAdapter.show`.
    """
    for layer in backbone.layers():
        if not isinstance(layer.forward, partial):
            layer.forward = partial(_recomputed, layer.forward, adapter)


def needs_checkpointing(parts: Parts, settings: FitSettings, processes: Processes) -> bool:
    """Return whether the layers are to be computed again: as set, or as a trial on a GPU shows.

    The trial is the forward and backward pass of a batch of the longest windows. Without a GPU the
    system ends a process whose memory is full, so there is nothing to try.

    Raises:
        OsslError: see `Dataset.sample`.
    """
    if settings.gradient_checkpointing != "auto" or processes.device.type != "cuda":
        return settings.gradient_checkpointing == "on"
    longest = sorted(
        range(len(parts.train)), key=lambda index: -parts.train.windows[index].duration_s
    )
    batch = collate([parts.train.sample(index) for index in longest[: settings.batch_size]])
    module = TrainModule(parts.backbone, parts.adapter, settings)
    try:
        losses, _ = module(batch.to(processes.device), None, None)
        losses.sum().backward()
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        full = True
    else:
        # The optimiser's two averages of each weight are still to come.
        averages = 2 * sum(weight.numel() * 4 for weight in parts.adapter.parameters())
        reserved = torch.cuda.memory_reserved(processes.device)
        used = torch.cuda.max_memory_allocated(processes.device)
        free = torch.cuda.mem_get_info(processes.device)[0]
        full = used + averages > reserved + free
    parts.adapter.zero_grad(set_to_none=True)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(processes.device)
    return full


def _recomputed(forward: Callable[..., Any], adapter: VideoAdapter, *args: Any, **kw: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **kw)
    return checkpoint(
        forward,
        *args,
        use_reentrant=False,
        # A frozen model has no dropout: nothing is drawn in a forward pass.
        preserve_rng_state=False,
        context_fn=lambda: (contextlib.nullcontext(), adapter.shown_again()),
        **kw,
    )
