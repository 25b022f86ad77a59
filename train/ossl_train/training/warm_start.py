"""Start a run with the weights of another adapter."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from ossl_builder.errors import OsslError
from ossl_train.adapter.adapter import VideoAdapter
from ossl_train.adapter.adapter_file import load_adapter, read_metadata
from ossl_train.musicgen import Backbone


def start_from(adapter: VideoAdapter, path: Path, backbone: Backbone) -> None:
    """Copy the weights of an adapter file into a new adapter of the same configuration.

    Tokens for "no video" and the FiLM of curves are new where the file has none.

    Raises:
        OsslError: `adapter_unreadable`; `adapter_other_model`, for another base model;
            `init_differs`, with the settings that differ.
    """
    before = load_adapter(path)
    digest = read_metadata(path).get("digest")
    if digest not in (None, backbone.digest):
        raise OsslError(
            "adapter_other_model",
            f"{path} was trained on another model than {backbone.source}.",
            "Set model.source to the model of that adapter.",
        )
    wanted, found = asdict(adapter.config), asdict(before.config)
    differing = [
        name
        for name in wanted
        if name not in ("alpha_init", "null_tokens", "dialogue", "events")
        and wanted[name] != found[name]
    ]
    weights, stored = adapter.state_dict(), before.state_dict()
    differing += [
        name
        for name, weight in stored.items()
        if name not in weights or weights[name].shape != weight.shape
    ]
    if differing:
        raise OsslError(
            "init_differs",
            f"{path} does not fit the adapter of this recipe: {', '.join(differing[:4])}.",
            "Set section `model` of the recipe as in the run of that adapter.",
        )
    adapter.load_state_dict(weights | stored)
