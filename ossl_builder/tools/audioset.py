"""AudioSet's 527 classes, and which of them are music.

`audioset_classes.csv` beside this file holds index, name and whether it is music: Music with all
below it in AudioSet's ontology (Song too), and Singing with all below it, as far as they are among
the 527. That makes 157, as many as OSSL v2 counted; as it did not print its list, the two may still
differ. The ontology is Google's, CC BY-SA 4.0; so is that file.
"""

from __future__ import annotations

import csv
from functools import lru_cache
from pathlib import Path

CLASSES = 527
FILE = Path(__file__).with_name("audioset_classes.csv")


@lru_cache(maxsize=1)
def names() -> tuple[str, ...]:
    """Names of the classes, by index."""
    return tuple(row["name"] for row in _rows())


@lru_cache(maxsize=1)
def is_music() -> tuple[bool, ...]:
    """Whether a class is music, by index."""
    return tuple(row["is_music"] == "1" for row in _rows())


def _rows() -> list[dict[str, str]]:
    with FILE.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))
