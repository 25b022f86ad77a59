"""Run each item in its own process, several at the same time, on this machine."""

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
    """Run `job(item_id, send)` for each item, each in its own process.

    If `receive` raises, or this process is interrupted, all running processes are killed. A
    process exits when its parent process ends.

    Args:
        job: must be picklable; each value passed to `send` reaches `receive` as a `Message`.
        item_ids: the items.
        n_workers: number of processes that run at the same time.
        receive: receives each `Message`, and one `Ended` for each item.
    """
    context = multiprocessing.get_context("spawn")
    waiting = list(reversed(item_ids))
    running: dict[Connection, tuple[str, BaseProcess]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < n_workers:
                item_id = waiting.pop()
                receiver, sender = context.Pipe(duplex=False)
                worker = context.Process(target=_run, args=(job, item_id, sender), daemon=True)
                worker.start()
                sender.close()
                running[receiver] = (item_id, worker)
            for ready in wait(list(running)):
                assert isinstance(ready, Connection)
                item_id, process = running[ready]
                try:
                    value = ready.recv()
                except (EOFError, ConnectionResetError):
                    value = Ended(item_id, _death_error(process))
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


def _death_error(process: BaseProcess) -> OsslError:
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
    """Exit this process when its parent ends, so that two builds never write at the same time."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
