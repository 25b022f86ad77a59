"""The folder that is published: each file whole or as it was, equal input giving equal bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ossl_builder import files
from ossl_builder.errors import OsslError
from ossl_builder.exports.shards import CHECKSUMS, write_checksums
from ossl_train.model_card.card import card
from ossl_train.model_card.facts import Described
from ossl_train.training.checkpoint import ADAPTER
from ossl_train.training.run_folder import DATA, RECIPE

CONFIG, CARD = "config.json", "README.md"
EVALUATION, LISTENING = "evaluation.json", "listening.json"


def contents(found: Described, title: str) -> dict[str, bytes]:
    """All files but the checksums, by name."""
    recipe = yaml.safe_dump(
        found.recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True
    )
    config = {
        "config": dict(found.config),
        "metadata": dict(found.metadata),
        "n_parameters": found.n_parameters,
    }
    made = {
        ADAPTER: found.adapter.read_bytes(),
        CONFIG: _json(config),
        RECIPE: recipe.encode(),
        DATA: _json(found.data),
        CARD: card(found, title).encode(),
    }
    for name, report in ((EVALUATION, found.evaluation), (LISTENING, found.listening)):
        if report is not None:
            made[name] = _json(report)
    return made


def write(out: Path, made: Mapping[str, bytes]) -> None:
    """Write the folder, or bring it up to date.

    Raises:
        OsslError: `folder_not_empty`, for a folder that holds something else.
    """
    check_free(out)
    for name, data in made.items():
        files.write_bytes(out / name, data)
    for name in (EVALUATION, LISTENING):
        if name not in made:  # of an earlier export
            (out / name).unlink(missing_ok=True)
    write_checksums(out, sorted(made))


def check_free(out: Path) -> None:
    """See that nothing but an earlier export stands there.

    Raises:
        OsslError: `folder_not_empty`.
    """
    ours = {ADAPTER, CONFIG, RECIPE, DATA, CARD, EVALUATION, LISTENING, CHECKSUMS}
    others = sorted(path.name for path in out.iterdir() if path.name not in ours and
                    not path.name.startswith(".")) if out.is_dir() else []  # fmt: skip
    if others or (out.exists() and not out.is_dir()):
        raise OsslError(
            "folder_not_empty",
            f"{out} holds something else: {', '.join(others[:3]) or 'it is a file'}.",
            "Name a new folder with --out.",
        )


def _json(value: Any) -> bytes:
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
    return text.encode() + b"\n"
