"""Costs of a command: seconds, processor time, and peak memory.

The kernel counts the memory of the parent at the start as memory of the child. So a small separate
process starts the command and reports its costs.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Cost(NamedTuple):
    """Wall-clock seconds, seconds of processor time, and peak memory in MB."""

    seconds: float
    processor_s: float
    peak_mb: float


def cost_of(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Cost:
    """Run a command to its end; it must succeed."""
    done = subprocess.run(
        [sys.executable, __file__, *command],
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    return Cost(*json.loads(done.stdout))


def ossl_cost(
    *arguments: object, corpus: object, environment: Mapping[str, str] | None = None
) -> Cost:
    """Costs of an `ossl` command on a corpus."""
    ossl = [sys.executable, "-m", "ossl_builder.cli.main", "-C", str(corpus)]
    return cost_of([*ossl, *map(str, arguments)], environment)


if __name__ == "__main__":
    began = time.monotonic()
    code = subprocess.run(
        sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
    ).returncode
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    if code == 0:
        figures = [time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]
        sys.stdout.write(json.dumps(figures))
    sys.exit(code)
