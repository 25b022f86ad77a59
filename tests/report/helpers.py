"""Helpers of the report tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

PHONE = (360, 780)
DESKTOP = (1440, 1000)

# Opens a page in a window of some size.
Opened = Callable[..., AbstractContextManager[Any]]


def copied(corpus: Path, to: Path) -> Path:
    """Copy a corpus with hard links; files in it are replaced, never written into."""
    return Path(shutil.copytree(corpus, to, copy_function=os.link))
