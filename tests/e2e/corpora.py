"""Helper functions for end-to-end tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import pytest

from ossl_builder.engine import records

Ossl = Callable[..., subprocess.CompletedProcess[str]]


def run_ossl(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `ossl` outside of pytest; raise if exit code 0 is expected and it fails."""
    return subprocess.run(
        [sys.executable, "-m", "ossl_builder.cli.main", *map(str, arguments)],
        capture_output=True, text=True, check=code == 0,
    )  # fmt: skip


def add_film(ossl: Ossl, corpus: Path, film: Path, film_id: str) -> None:
    """Record a film made or licensed for tests."""
    ossl(
        "-C", corpus, "films", "add", film, "--id", film_id, "--title", film_id, "--year", 2020,
        "--basis", "licensed", "--evidence", "for tests",
    )  # fmt: skip


def built_once(factory: pytest.TempPathFactory, name: str, build: Callable[[Path], object]) -> Path:
    """A corpus that one of the test processes builds, and the others wait for. Read only."""
    folder = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # that of the process has this folder for all
    shared = folder / "shared" / name
    shared.mkdir(parents=True, exist_ok=True)
    # Pages show the name of the corpus' folder, so it is the same for all.
    corpus, done = shared / "corpus", shared / "done"
    with filelock.FileLock(shared / "lock"):
        if not done.exists():
            shutil.rmtree(corpus, ignore_errors=True)
            build(corpus)
            done.touch()
    return corpus


MEDIA = (".flac", ".jpg", ".mp4", ".npy", ".safetensors", ".webm")


def linked(corpus: Path, copy: Path) -> Path:
    """Copy a shared corpus; media, which no test changes in place, are hard links."""

    def copy_file(source: str, target: str) -> None:
        (os.link if source.endswith(MEDIA) else shutil.copy2)(source, target)

    shutil.copytree(corpus, copy, copy_function=copy_file)
    return copy


def rows(corpus: Path, table: str) -> list[dict[str, Any]]:
    """The rows of a corpus' table."""
    import pyarrow.parquet as pq

    found: list[dict[str, Any]] = pq.read_table(corpus / f"manifests/{table}.parquet").to_pylist()
    return found


def rejects(corpus: Path, stage: str, film: str) -> list[dict[str, Any]]:
    """The candidates that a stage left out of a film, with their reasons."""
    path = records.body_path(corpus, stage, film)
    found: list[dict[str, Any]] = json.loads(path.read_bytes())["rejects"]
    return found


def status(ossl: Ossl, corpus: Path) -> dict[str, Any]:
    """`ossl status --json`."""
    found: dict[str, Any] = json.loads(ossl("-C", corpus, "status", "--json").stdout)
    return found
