"""`ossl label serve` as a running process, and a client that sends what it is told to."""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Server:
    process: subprocess.Popen[str]
    base: str
    said: list[str]

    def ask(self, target: str, method: str = "GET", **headers: str) -> Answer:
        """Send a target as it is: no client here tidies `..` away."""
        at = urlsplit(self.base)
        assert at.hostname
        connection = http.client.HTTPConnection(at.hostname, at.port, timeout=10)
        try:
            connection.putrequest(method, target)
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders()
            got = connection.getresponse()
            named = {name.lower(): value for name, value in got.getheaders()}
            return Answer(got.status, named, got.read())
        finally:
            connection.close()


@contextmanager
def serving(corpus: Path, *options: object, n_files: int = 0) -> Iterator[Server]:
    """Run it; with `n_files` it may have so many files open, connections included."""
    limits = ["prlimit", f"--nofile={n_files}:{n_files}"] if n_files else []
    process = subprocess.Popen(
        [*limits, sys.executable, "-m", "ossl_builder.cli.main", "-C", str(corpus), "label",
         "serve", "--port", "0", *map(str, options)],
        stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stderr is not None
    said: list[str] = []
    try:
        for line in process.stderr:
            said.append(line)
            if line.startswith(("Next", "ossl:")):
                break
        found = re.search(r" at (https?://\S+) ", said[0])
        assert found, said
        yield Server(process, found[1], said)
    finally:
        process.kill()
        process.communicate()
