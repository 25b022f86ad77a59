"""Items of iterators in threads: in order, few at a time, errors in their place."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from ossl_train.data.in_order import in_order


def counting(start: int, n: int, delay_s: float = 0.0) -> Callable[[], Iterator[int]]:
    def items() -> Iterator[int]:
        for number in range(start, start + n):
            time.sleep(delay_s)
            yield number

    return items


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("most", [1, 4])
def test_items_come_in_the_order_of_their_iterators(workers: int, most: int) -> None:
    make = [counting(10 * at, 10, 0.001 * (5 - at)) for at in range(5)] + [counting(0, 0)]
    assert list(in_order(make, workers, most)) == list(range(50))


def test_later_iterators_run_meanwhile_and_few_items_wait() -> None:
    made, together = [0, 0, 0], threading.Barrier(3, timeout=5)

    def items(at: int) -> Iterator[int]:
        together.wait()  # passes only if three run at a time
        for _ in range(100):
            made[at] += 1
            yield at

    found = in_order([lambda at=at: items(at) for at in range(3)], 3, 5)
    assert next(found) == 0
    time.sleep(0.3)
    # What waits, the one that was taken, and one in the hands of each thread.
    assert sum(made) <= 5 + 5 + 1 + 3
    assert min(made) >= 1
    assert list(found) == [0] * 99 + [1] * 100 + [2] * 100


def test_an_error_comes_after_the_items_before_it_and_ends_the_rest() -> None:
    started, ended = threading.Event(), threading.Event()

    def fails() -> Iterator[int]:
        yield 1
        assert started.wait(5)
        raise KeyError("damaged")

    def endless() -> Iterator[int]:
        try:
            while True:
                started.set()
                yield 2
        finally:
            ended.set()

    found = in_order([fails, endless], 2, 3)
    assert next(found) == 1
    with pytest.raises(KeyError, match="damaged"):
        next(found)
    assert ended.wait(5)


def test_threads_end_if_the_caller_stops_reading() -> None:
    before = threading.active_count()
    found = in_order([counting(0, 1000) for _ in range(4)], 3, 2)
    next(found)
    found.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
