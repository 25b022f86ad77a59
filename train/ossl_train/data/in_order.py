"""Run iterators in threads and yield their items in order, with few items in memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


def in_order(make: Sequence[Callable[[], Iterator[T]]], workers: int, most: int) -> Iterator[T]:
    """Yield the items of all iterators: those of the first, then those of the second, and so on.

    The next iterators already run while the items of an earlier one are yielded.

    Args:
        make: each returns a new iterator.
        workers: iterators that run at a time.
        most: items that may wait: this many of the current iterator, and this many of all others
            together.

    Raises:
        The error of an iterator, after the items before it.
    """
    state: _State[T] = _State(len(make), most)
    with ThreadPoolExecutor(workers) as pool:
        try:
            runs = [pool.submit(state.fill, *numbered) for numbered in enumerate(make)]
            for run in runs:
                run.add_done_callback(state.notify)
            for number, run in enumerate(runs):
                yield from state.items_of(number, run)
        finally:
            state.stop()
            pool.shutdown(cancel_futures=True)


class _State(Generic[T]):
    """The items that wait, by iterator."""

    def __init__(self, n_iterators: int, most: int) -> None:
        self._changed = threading.Condition()
        self._waiting: list[deque[T]] = [deque() for _ in range(n_iterators)]
        self._most = most
        self._current = 0
        self._has_stopped = False

    def fill(self, number: int, make_one: Callable[[], Iterator[T]]) -> None:
        """Run an iterator to its end, and store its items while there is room."""
        for item in make_one():
            with self._changed:
                self._changed.wait_for(lambda: self._has_stopped or self._has_room(number))
                if self._has_stopped:
                    return
                self._waiting[number].append(item)
                self._changed.notify_all()

    def notify(self, run: Future[None]) -> None:
        """Wake the threads that wait, because an iterator has ended."""
        with self._changed:
            self._changed.notify_all()

    def _has_room(self, number: int) -> bool:
        current = len(self._waiting[self._current])
        if number == self._current:
            return current < self._most
        return sum(map(len, self._waiting)) - current < self._most

    def items_of(self, number: int, run: Future[None]) -> Iterator[T]:
        """Yield the items of one iterator; raise its error after them."""
        with self._changed:
            self._current = number
            self._changed.notify_all()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting[number] or run.done())
                if not self._waiting[number]:
                    break
                item = self._waiting[number].popleft()
                self._changed.notify_all()
            yield item
        run.result()

    def stop(self) -> None:
        """End all iterators at their next item."""
        with self._changed:
            self._has_stopped = True
            self._changed.notify_all()
