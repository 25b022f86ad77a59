"""Corpora that several end-to-end tests look at, built once by the real command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.corpora import Ossl, add_film


@pytest.fixture(scope="session")
def ossl() -> Ossl:
    """Run `ossl` as a user would; assert its exit code."""

    def run(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "ossl_builder.cli.main", *map(str, arguments)],
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    return run


@pytest.fixture(scope="session")
def demo_corpus(ossl: Ossl, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus of the three demo films. Look, do not touch: tests share it."""
    folder = tmp_path_factory.mktemp("demo") / "corpus"
    ossl("demo", "--out", folder)
    return folder


@pytest.fixture(scope="session")
def dev_corpus(ossl: Ossl, shared_media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of the shared film with exact truth, by the bundled separator. Do not touch."""
    folder = tmp_path_factory.mktemp("dev") / "corpus"
    ossl("init", folder)
    add_film(ossl, folder, shared_media / "mixfilm" / "dev.mp4", "dev")
    ossl("-C", folder, "build", "--set", "stems.model=bundled")
    return folder
