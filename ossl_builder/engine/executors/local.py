"""Run one process per item, several at a time, on this machine."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from ossl_builder.engine.executors import Ended, Job, Message, Receive
from ossl_builder.errors import OsslError


def processes(job: Job, item_ids: Sequence[str], n_workers: int, receive: Receive) -> None:
    """Run `job(item_id, send)` for each item, each in a process of its own.

    If `receive` raises, or this process is interrupted, all running processes are ended. A process
    that loses its parent ends itself.

    Args:
        job: must be picklable; each value passed to `send` reaches `receive` as a `Message`.
        n_workers: how many run at a time.
        receive: gets messages as they come, and one `Ended` for each item.
    """
    context = multiprocessing.get_context("spawn")
    waiting = list(reversed(item_ids))
    running: dict[Connection, tuple[str, BaseProcess]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < n_workers:
                item_id = waiting.pop()
                ours, theirs = context.Pipe(duplex=False)
                started = context.Process(target=_run, args=(job, item_id, theirs), daemon=True)
                started.start()
                theirs.close()
                running[ours] = (item_id, started)
            for ready in wait(list(running)):
                assert isinstance(ready, Connection)
                item_id, process = running[ready]
                try:
                    value = ready.recv()
                except (EOFError, ConnectionResetError):
                    value = Ended(item_id, _died(process))
                receive(value)
                if isinstance(value, Ended):
                    process.join()
                    ready.close()
                    del running[ready]
    finally:
        for _, process in running.values():
            process.kill()
        for _, process in running.values():
            process.join()


def _died(process: BaseProcess) -> OsslError:
    process.join()
    return OsslError(
        "worker_died",
        f"The process ended unexpectedly with exit code {process.exitcode}.",
        "Exit code -9 usually means that memory ran out: use fewer --workers. -11: a decoder "
        "crashed on a broken file.",
    )


def _run(job: Job, item_id: str, pipe: Connection) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    error = None
    try:
        job(item_id, lambda value: pipe.send(Message(item_id, value)))
    except OsslError as raised:
        error = raised
    except KeyboardInterrupt:
        os._exit(130)
    pipe.send(Ended(item_id, error))
    pipe.close()


def _end_with_parent() -> None:
    """End this process when its parent is gone: two builds must never write at once."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
