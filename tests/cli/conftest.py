"""The command line, run in this process: the same code as `ossl`, without its start-up."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.said import Run, Said

Ossl = Run
__all__ = ["Ossl", "Said"]


@pytest.fixture
def ossl(ossl_here: Run) -> Run:
    """Run `ossl` with arguments."""
    return ossl_here


@pytest.fixture
def corpus(ossl: Run, tmp_path: Path) -> Path:
    """An empty corpus."""
    assert ossl("init", tmp_path / "corpus").code == 0
    return tmp_path / "corpus"
