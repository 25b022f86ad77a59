"""Ids for what others have named: their own names where these can be ids here."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import TypeVar

Key = TypeVar("Key")

# A film's id names its folder, a clip's its files; white space would break lists of files.
FILM = re.compile(r"[^A-Za-z0-9-]+")
CLIP = re.compile(r"[^A-Za-z0-9._-]+")
LONGEST = {FILM: 64, CLIP: 128}
MARK = 8


def valid_ids(names: Mapping[Key, str], forbidden: re.Pattern[str]) -> dict[Key, str]:
    """An id for each thing, no two alike.

    A name that can be an id stays what it is. In others what is forbidden becomes hyphens; where
    that gives an id that is taken, or that is too long, a mark of eight digits follows it.
    """
    found: dict[Key, str] = {}
    taken: set[str] = set()
    plain = {key: forbidden.sub("-", name).strip("-._") for key, name in names.items()}
    for key in sorted(names, key=lambda key: (plain[key] != names[key], names[key], str(key))):
        wanted = plain[key]
        if not wanted or wanted in taken or len(wanted) > LONGEST[forbidden]:
            mark = hashlib.sha256(str(key).encode()).hexdigest()[:MARK]
            wanted = f"{wanted[: LONGEST[forbidden] - MARK - 1] or 'film'}-{mark}"
        taken.add(wanted)
        found[key] = wanted
    return found
