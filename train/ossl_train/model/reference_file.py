"""Checkpoints of the published v1 code, read as adapters.

That code saves the whole language model under ``model_state_dict``; the adapter is what has "video"
in its name. Parts are told apart by their shapes and the ends of their names, and anything that is
not understood is refused: a checkpoint read under the wrong key is plain MusicGen, which nobody
hears.
"""

from __future__ import annotations

import re
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor

from ossl_builder.errors import OsslError
from ossl_train.model.adapter import AdapterConfig, VideoAdapter
from ossl_train.model.adapter_file import unreadable

HEAD_WIDTH = 64
LAYER = re.compile(r"layers\.(\d+)\.(.*)$")


def load_reference(path: Path, device: str = "cpu", n_heads: int | None = None) -> VideoAdapter:
    """Read a checkpoint of the published v1 code, with its position fault imitated.

    Args:
        path: the ``.pt`` file.
        device: where to put the adapter.
        n_heads: of the language model that it was fitted on, which weights do not tell; by default
            one for each 64 of its width, as in every published MusicGen.

    Raises:
        OsslError: adapter_unreadable, reference_unknown.
    """
    parts = _by_layer(path, _weights(path))
    renamed: dict[str, Tensor] = {}
    for index, weights in parts.items():
        for name, weight in _layer(path, weights).items():
            renamed[f"layers.{index}.{name}"] = weight
    dim, video_dim = renamed["layers.0.project.weight"].shape
    config = AdapterConfig(
        dim=dim,
        n_heads=n_heads or dim // HEAD_WIDTH,
        n_layers=len(parts),
        video_dim=video_dim,
        bias="layers.0.out.bias" in renamed,
        reference_positions=True,
    )
    adapter = VideoAdapter(config)
    adapter.load_state_dict(renamed)
    adapter.to(device)
    return adapter


def _weights(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise unreadable(path, "is no file")
    try:
        package = torch.load(path, map_location="cpu", weights_only=True)
        state = dict(package.get("model_state_dict", package))
    except (AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError, ValueError,
            UnpicklingError) as error:  # fmt: skip
        raise unreadable(path, "holds no plain weights, or is damaged") from error
    found = {
        name: weight.float()
        for name, weight in state.items()
        if isinstance(weight, Tensor) and isinstance(name, str) and "video" in name
    }
    if not found:
        raise _unknown(path, "has no weight with `video` in its name, so it is plain MusicGen")
    return found


def _by_layer(path: Path, weights: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    parts: dict[int, dict[str, Tensor]] = {}
    for name, weight in weights.items():
        match = LAYER.search(name)
        if match is None:
            raise _unknown(path, f"has {name}, which belongs to no layer")
        parts.setdefault(int(match[1]), {})[match[2]] = weight
    if sorted(parts) != list(range(len(parts))):
        raise _unknown(path, f"lacks layers: it has {sorted(parts)}")
    return dict(sorted(parts.items()))


def _layer(path: Path, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """One layer's weights by our names."""
    found: dict[str, Tensor] = {}
    for name, weight in weights.items():
        end = name.rsplit(".", 1)[-1]
        if end.startswith("in_proj_"):
            kind = end.removeprefix("in_proj_")
            for ours, rows in zip(("query", "key", "value"), weight.chunk(3), strict=True):
                found[f"{ours}.{kind}"] = rows
        elif ".out_proj." in f".{name}":
            found[f"out.{end}"] = weight
        elif weight.numel() == 1:
            found["alpha"] = weight.reshape(1)
        elif end in ("weight", "bias"):
            found[f"project.{end}"] = weight
        else:
            raise _unknown(path, f"has {name}, which is no part of an adapter")
    needed = {"query.weight", "key.weight", "value.weight", "out.weight", "project.weight"}
    missing = (needed | {"project.bias", "alpha"}) - set(found)
    if missing:
        raise _unknown(path, f"lacks {', '.join(sorted(missing))}")
    return found


def _unknown(path: Path, what: str) -> OsslError:
    return OsslError(
        "reference_unknown",
        f"{path} {what}.",
        "Name a checkpoint that the published v1 training script wrote.",
    )
