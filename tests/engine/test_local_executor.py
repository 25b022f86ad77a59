"""One process per item: messages, errors, crashes, and the end of the parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ossl_builder.engine.executors import Ended, Message, Send
from ossl_builder.engine.executors.local import processes
from ossl_builder.errors import OsslError


def work(item_id: str, send: Send) -> None:
    send(f"began {item_id}")
    if item_id == "error":
        raise OsslError("disk_full", "The disk is full.", "Make room.")
    if item_id == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    send(f"ended {item_id}")


@pytest.mark.parametrize("workers", [1, 3])
def test_each_item_ends_exactly_once(workers: int) -> None:
    messages: list[Message | Ended] = []
    processes(work, ["a", "crash", "error", "b"], workers, messages.append)
    ends = {end.item_id: end.error for end in messages if isinstance(end, Ended)}
    assert len(ends) == sum(isinstance(end, Ended) for end in messages) == 4
    assert ends["a"] is None
    assert ends["b"] is None
    assert ends["error"] is not None
    assert (ends["error"].code, ends["error"].hint) == ("disk_full", "Make room.")
    assert ends["crash"] is not None
    assert ends["crash"].code == "worker_died"
    assert "-11" in ends["crash"].message
    values = [message.value for message in messages if isinstance(message, Message)]
    assert sorted(values) == sorted(
        ["began a", "ended a", "began b", "ended b", "began error", "began crash"]
    )


def slow(item_id: str, send: Send) -> None:
    send(os.getpid())
    time.sleep(60)


def test_an_error_in_the_consumer_stops_the_processes() -> None:
    pids = []

    def stop(message: Message | Ended) -> None:
        assert isinstance(message, Message)
        pids.append(message.value)
        raise OsslError("enough", "Stop.")

    with pytest.raises(OsslError, match="Stop"):
        processes(slow, ["a"], 1, stop)
    assert not Path(f"/proc/{pids[0]}").exists()


PARENT = """
from ossl_builder.engine.executors.local import processes
from tests.engine.test_local_executor import slow
if __name__ == "__main__":
    processes(slow, ["a"], 1, lambda message: print(message.value, flush=True))
"""


def test_a_process_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": root},
    ) as parent:  # fmt: skip
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
        for _ in range(100):
            if not Path(f"/proc/{child}").exists():
                break
            time.sleep(0.05)
        assert not Path(f"/proc/{child}").exists()
