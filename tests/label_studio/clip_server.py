"""Run `ossl label serve` as a process, with a client that sends requests unchanged."""

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
    lines: list[str]

    def ask(self, target: str, method: str = "GET", **headers: str) -> Answer:
        """Send the request target unchanged: the client does not normalise `..`."""
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
    """Run the server; `n_files` limits its open files, connections included."""
    limits = ["prlimit", f"--nofile={n_files}:{n_files}"] if n_files else []
    process = subprocess.Popen(
        [*limits, sys.executable, "-m", "ossl_builder.cli.main", "-C", str(corpus), "label",
         "serve", "--port", "0", *map(str, options)],
        stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stderr is not None
    lines: list[str] = []
    try:
        for line in process.stderr:
            lines.append(line)
            if line.startswith(("Next", "ossl:")):
                break
        found = re.search(r" at (https?://\S+) ", lines[0])
        assert found, lines
        yield Server(process, found[1], lines)
    finally:
        process.kill()
        process.communicate()
