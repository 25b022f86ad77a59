"""The command line, run in this process: the same code as `ossl`, without its start-up."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ossl_builder.cli.main import main


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Ossl = Callable[..., Said]


@pytest.fixture
def ossl(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ossl:
    """Run `ossl` with arguments."""

    def run(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["ossl", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return run


@pytest.fixture
def corpus(ossl: Ossl, tmp_path: Path) -> Path:
    """An empty corpus."""
    assert ossl("init", tmp_path / "corpus").code == 0
    return tmp_path / "corpus"
