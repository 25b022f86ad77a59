"""Helpers of the report tests."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from tests.e2e.corpora import linked

PHONE = (360, 780)
DESKTOP = (1440, 1000)

# Opens a page in a window of some size.
Opened = Callable[..., AbstractContextManager[Any]]


def copied(corpus: Path, to: Path) -> Path:
    """Copy a corpus with hard links; files in it are replaced, never written into."""
    return linked(corpus, to)
