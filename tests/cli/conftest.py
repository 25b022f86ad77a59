"""Fixtures that run `ossl` in this process: the same code, without the start-up time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command_result import CommandResult, RunCommand

Ossl = RunCommand
__all__ = ["CommandResult", "Ossl"]


@pytest.fixture
def ossl(ossl_here: RunCommand) -> RunCommand:
    """Run `ossl` with arguments."""
    return ossl_here


@pytest.fixture
def corpus(ossl: RunCommand, tmp_path: Path) -> Path:
    """An empty corpus."""
    assert ossl("init", tmp_path / "corpus").code == 0
    return tmp_path / "corpus"
