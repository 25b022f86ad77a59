"""Adapters as files: safetensors with weights, configuration and metadata; nothing of MusicGen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ossl_builder.engine import parse
from ossl_builder.engine.files import replacing
from ossl_builder.errors import OsslError
from ossl_train.model.adapter import AdapterConfig, VideoAdapter

HEADER, FORMAT = "ossl_adapter", 1
"""The one metadata field (safetensors does not keep the order of several), and its version."""
READABLE = 0o644


def save_adapter(path: Path, adapter: VideoAdapter, metadata: Mapping[str, str]) -> None:
    """Write an adapter's weights, its configuration, and `metadata` (text by text)."""
    from safetensors.torch import save_file

    header = {
        "format": FORMAT,
        "config": asdict(adapter.config),
        "metadata": dict(metadata),
    }
    weights = {name: weight.detach().contiguous() for name, weight in adapter.state_dict().items()}
    with replacing(path) as temporary:
        save_file(weights, temporary, {HEADER: json.dumps(header, sort_keys=True)})
        # safetensors makes files that only their owner can read.
        temporary.chmod(READABLE)


def load_adapter(path: Path, device: str = "cpu") -> VideoAdapter:
    """Read an adapter, every weight of it.

    Raises:
        OsslError: adapter_unreadable, if the file is none, is damaged, or lacks or adds a weight.
    """
    import torch
    from safetensors.torch import load_file

    header = _header(path)
    try:
        config = AdapterConfig(**header["config"])
        weights = load_file(path, device=device)
        # A configuration of others must not make a model larger than its own weights.
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
        raise unreadable(
            path, f"does not hold just its weights ({', '.join(sorted(differing)[:5])})"
        )
    try:
        adapter.load_state_dict(weights)
    except RuntimeError as error:
        raise unreadable(path, "holds weights of other sizes than its configuration") from error
    adapter.to(device)
    return adapter


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata given to `save_adapter`; raises `OsslError` adapter_unreadable."""
    return dict(_header(path)["metadata"])


def unreadable(path: Path, what: str) -> OsslError:
    """The error for a file that is no adapter of ours."""
    return OsslError(
        "adapter_unreadable",
        f"{path} {what}.",
        "Name the adapter.safetensors of a checkpoint that `ossl train fit` wrote.",
    )


def _header(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise unreadable(path, "is no file")
    try:
        with safe_open(path, "pt") as stream:
            text = (stream.metadata() or {}).get(HEADER)
    except (SafetensorError, OSError) as error:
        raise unreadable(path, "is no safetensors file, or is cut short") from error
    if text is None:
        raise unreadable(path, "is no video adapter")
    try:
        header: dict[str, Any] = parse.json_value(text)
    except ValueError as error:
        raise unreadable(path, f"is damaged ({error})") from error
    if not isinstance(header, dict):
        raise unreadable(path, "is no video adapter")
    if header.get("format") != FORMAT:
        raise unreadable(path, f"has format {header.get('format')}, and {FORMAT} is known here")
    return header
