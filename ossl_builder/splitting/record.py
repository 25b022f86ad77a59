"""The record of films that were assigned: they stay where they are, even if they go and return."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ossl_builder.engine import files, parse
from ossl_builder.errors import OsslError
from ossl_builder.tables.splits import SIDES

VERSION = 1


@dataclass(frozen=True)
class Assigned:
    """Where a film was put, and why, in one sentence."""

    side: str
    why: str


@dataclass(frozen=True)
class Record:
    """All films ever assigned, and the ratios and the seed of the last time."""

    films: Mapping[str, Assigned] = field(default_factory=dict)
    ratios: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0


def record_path(root: Path) -> Path:
    """Where a corpus keeps it."""
    return root / "records" / "splits.json"


def load_record(root: Path) -> Record:
    """What was assigned so far.

    Raises:
        OsslError: `splits_record_damaged`.
    """
    path = record_path(root)
    try:
        found: dict[str, Any] = parse.json_value(path.read_bytes())
        if found["version"] != VERSION:
            raise ValueError(f"version {found['version']}")
        films = {name: Assigned(**entry) for name, entry in found["films"].items()}
        if any(assigned.side not in SIDES for assigned in films.values()):
            raise ValueError("no such side")
        return Record(films, found["ratios"], found["seed"])
    except FileNotFoundError:
        return Record()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OsslError(
            "splits_record_damaged",
            f"{path} cannot be read ({error}).",
            "Restore it from a backup; if you delete it, all films are divided anew.",
        ) from error


def save_record(root: Path, record: Record) -> None:
    """Write it whole; the caller holds the corpus' lock."""
    value = {
        "version": VERSION,
        "seed": record.seed,
        "ratios": dict(record.ratios),
        "films": {name: vars(assigned) for name, assigned in record.films.items()},
    }
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
    files.write_bytes(record_path(root), text.encode() + b"\n")
