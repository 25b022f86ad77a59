"""Adapter files: our own safetensors, and checkpoints of the published v1 code."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from ossl_builder import parse
from ossl_builder.errors import OsslError
from ossl_builder.files import replacing
from ossl_train.adapter.adapter import AdapterConfig, VideoAdapter

HEADER, FORMAT = "ossl_adapter", 1
"""The only metadata field (safetensors does not preserve the order of several), and its version."""
READABLE = 0o644


def save_adapter(path: Path, adapter: VideoAdapter, metadata: Mapping[str, str]) -> None:
    """Write an adapter's weights, its configuration, and `metadata` (texts by name)."""
    from safetensors.torch import save_file

    header = {
        "format": FORMAT,
        "config": asdict(adapter.config),
        "metadata": dict(metadata),
    }
    weights = {name: weight.detach().contiguous() for name, weight in adapter.state_dict().items()}
    with replacing(path) as temporary:
        save_file(weights, temporary, {HEADER: json.dumps(header, sort_keys=True)})
        # safetensors creates files that only their owner can read.
        temporary.chmod(READABLE)


def load_adapter(path: Path, device: str = "cpu") -> VideoAdapter:
    """Read an adapter with all of its weights.

    Raises:
        OsslError: `adapter_unreadable`: not an adapter file, damaged, or missing or extra weights.
    """
    import torch
    from safetensors.torch import load_file

    header = _header(path)
    try:
        config = AdapterConfig(**header["config"])
        weights = load_file(path, device=device)
        # A foreign configuration must not create a model larger than its weights.
        if not config.n_layers <= len(weights):
            raise ValueError("it has fewer weights than layers")
        with torch.device("meta"):
            empty = VideoAdapter(config).state_dict()
        wanted = sum(weight.numel() for weight in empty.values())
        if wanted > 2 * sum(weight.numel() for weight in weights.values()):
            raise ValueError("its configuration is larger than its weights")
        adapter = VideoAdapter(config)
    except (ArithmeticError, KeyError, RuntimeError, TypeError, OSError, ValueError) as error:
        raise unreadable(path, f"is damaged ({parse.cut(str(error))})") from error
    differing = set(weights) ^ set(adapter.state_dict())
    if differing:
        raise unreadable(path, f"has missing or extra weights ({', '.join(sorted(differing)[:5])})")
    try:
        adapter.load_state_dict(weights)
    except RuntimeError as error:
        raise unreadable(path, "has weights of other sizes than its configuration") from error
    adapter.to(device)
    return adapter


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata given to `save_adapter`; raises `OsslError` adapter_unreadable."""
    return dict(_header(path)["metadata"])


def unreadable(path: Path, problem: str) -> OsslError:
    """Return the error for a file that is not an adapter of this program."""
    return OsslError(
        "adapter_unreadable",
        f"{path} {problem}.",
        "Give the adapter.safetensors of a checkpoint that `ossl train fit` wrote.",
    )


def _header(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise unreadable(path, "is not a file")
    try:
        with safe_open(path, "pt") as stream:
            text = (stream.metadata() or {}).get(HEADER)
    except (SafetensorError, OSError) as error:
        raise unreadable(path, "is not a safetensors file, or is incomplete") from error
    if text is None:
        raise unreadable(path, "is not a video adapter")
    try:
        header: dict[str, Any] = parse.json_value(text)
    except ValueError as error:
        raise unreadable(path, f"is damaged ({error})") from error
    if not isinstance(header, dict):
        raise unreadable(path, "is not a video adapter")
    if header.get("format") != FORMAT:
        raise unreadable(
            path, f"has format {header.get('format')}, and this program reads {FORMAT}"
        )
    return header


HEAD_WIDTH = 64
LAYER = re.compile(r"layers\.(\d+)\.(.*)$")


def load_reference(path: Path, device: str = "cpu", n_heads: int | None = None) -> VideoAdapter:
    """Read a checkpoint of the published v1 code, and imitate its position error.

    Args:
        path: the ``.pt`` file.
        device: device of the adapter.
        n_heads: heads of the language model, which cannot be derived from the weights; None: one
            head per 64 of its width, as in every published MusicGen.

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
        raise unreadable(path, "is not a file")
    try:
        package = torch.load(path, map_location="cpu", weights_only=True)
        state = dict(package.get("model_state_dict", package))
    except (AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError, ValueError,
            UnpicklingError) as error:  # fmt: skip
        raise unreadable(path, "has no plain weights, or is damaged") from error
    weights = {
        name: weight.float()
        for name, weight in state.items()
        if isinstance(weight, Tensor) and isinstance(name, str) and "video" in name
    }
    if not weights:
        raise _unknown(path, "has no weight with `video` in its name: it is plain MusicGen")
    return weights


def _by_layer(path: Path, weights: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    parts: dict[int, dict[str, Tensor]] = {}
    for name, weight in weights.items():
        match = LAYER.search(name)
        if match is None:
            raise _unknown(path, f"has {name}, which is not in a layer")
        parts.setdefault(int(match[1]), {})[match[2]] = weight
    if sorted(parts) != list(range(len(parts))):
        raise _unknown(path, f"has missing layers: it has {sorted(parts)}")
    return dict(sorted(parts.items()))


def _layer(path: Path, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of one layer by the names of `VideoAttention`."""
    renamed: dict[str, Tensor] = {}
    for name, weight in weights.items():
        end = name.rsplit(".", 1)[-1]
        if end.startswith("in_proj_"):
            kind = end.removeprefix("in_proj_")
            for ours, rows in zip(("query", "key", "value"), weight.chunk(3), strict=True):
                renamed[f"{ours}.{kind}"] = rows
        elif ".out_proj." in f".{name}":
            renamed[f"out.{end}"] = weight
        elif weight.numel() == 1:
            renamed["alpha"] = weight.reshape(1)
        elif end in ("weight", "bias"):
            renamed[f"project.{end}"] = weight
        else:
            raise _unknown(path, f"has {name}, which is not part of an adapter")
    needed = {"query.weight", "key.weight", "value.weight", "out.weight", "project.weight"}
    missing = (needed | {"project.bias", "alpha"}) - set(renamed)
    if missing:
        raise _unknown(path, f"has no {', '.join(sorted(missing))}")
    return renamed


def _unknown(path: Path, problem: str) -> OsslError:
    return OsslError(
        "reference_unknown",
        f"{path} {problem}.",
        "Give a checkpoint that the published v1 training script wrote.",
    )
