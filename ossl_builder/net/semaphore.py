"""Only so many at a time, over all processes of a user: by locks that end with their process."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

LOOK_EVERY_S = 0.2


@contextlib.contextmanager
def turn(name: str, at_most: int) -> Iterator[None]:
    """Wait until fewer than `at_most` processes of this user hold a turn of this name."""
    import filelock

    folder = Path(tempfile.gettempdir()) / f"ossl-builder-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    locks = [filelock.FileLock(folder / f"{name}-{n}.lock", timeout=0) for n in range(at_most)]
    while not any(_taken(lock) for lock in locks):
        time.sleep(LOOK_EVERY_S)
    try:
        yield
    finally:
        for lock in locks:
            lock.release()


def _taken(lock: object) -> bool:
    import filelock

    assert isinstance(lock, filelock.BaseFileLock)
    try:
        lock.acquire()
    except filelock.Timeout:
        return False
    return True
