"""Semaphore over all processes of a user, built from file locks (released when a process ends)."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

POLL_EVERY_S = 0.2


@contextlib.contextmanager
def hold_slot(name: str, at_most: int) -> Iterator[None]:
    """Hold one of the `at_most` slots of the semaphore `name`; wait until one is free."""
    import filelock

    folder = Path(tempfile.gettempdir()) / f"ossl-builder-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    locks = [filelock.FileLock(folder / f"{name}-{n}.lock", timeout=0) for n in range(at_most)]
    while not any(_try_acquire(lock) for lock in locks):
        time.sleep(POLL_EVERY_S)
    try:
        yield
    finally:
        for lock in locks:
            lock.release()


def _try_acquire(lock: object) -> bool:
    import filelock

    assert isinstance(lock, filelock.BaseFileLock)
    try:
        lock.acquire()
    except filelock.Timeout:
        return False
    return True
