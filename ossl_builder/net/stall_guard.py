"""The body of an answer, watched while it comes: that it comes at all, fast enough, and whole."""

from __future__ import annotations

import time
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from ossl_builder.net.retry import TransferError

BLOCK = 256 << 10


@dataclass(frozen=True)
class Limits:
    """What a download may not do.

    Attributes:
        max_bytes: become larger than this.
        timeout_s: bring nothing for so long.
        min_bytes_per_s: be slower than this, on average over each `slow_s` seconds.
    """

    max_bytes: int
    timeout_s: float
    min_bytes_per_s: float
    slow_s: float


@dataclass(frozen=True)
class Heard:
    """What a server says before it sends a file.

    Attributes:
        size_bytes: of the whole file; None: not said.
        etag: mark of this version of the file (RFC 9110); empty: none.
        last_modified: date of this version; empty: none.
        start: number of the first byte that it will send; -1: it does not say.
    """

    size_bytes: int | None
    etag: str
    last_modified: str
    start: int


class Watched:
    """An answer of the standard library's client; its body is taken as it comes.

    yt-dlp reads it in blocks of up to 4 MB, and would wait for hours for one that trickles.
    """

    def __init__(self, response: Any, heard: Heard, limits: Limits) -> None:
        self.headers = response.headers
        self._response = response
        # At most one call of the system; `read` waits until all it was asked for is there.
        self._read = response.fp.read1
        self._at = heard.start
        self._size = heard.size_bytes
        self._limits = limits
        self._window_began = time.monotonic()
        self._window_bytes = 0

    def read(self, amount: int) -> bytes:
        """What has come, at most `amount` bytes; empty at the file's end."""
        try:
            block: bytes = self._read(min(amount, BLOCK))
        except TimeoutError as error:
            raise stalled(self._limits.timeout_s) from error
        except (OSError, HTTPException) as error:
            raise TransferError("dropped", self._broken_off()) from error
        self._at += len(block)
        if not block and self._size is not None and self._at < self._size:
            raise TransferError("dropped", self._broken_off())
        self._watch(len(block))
        return block

    def close(self) -> None:
        """Close the connection."""
        self._response.close()

    def _broken_off(self) -> str:
        if not self._size:
            return f"closed the connection after {self._at} bytes"
        return f"closed the connection at {100 * self._at / self._size:.0f} %"

    def _watch(self, size: int) -> None:
        self._window_bytes += size
        passed = time.monotonic() - self._window_began
        if passed >= self._limits.slow_s:
            if self._window_bytes < self._limits.min_bytes_per_s * passed:
                rate = 8 * self._window_bytes / passed / 1000
                raise TransferError("slow", f"sent no more than {rate:.0f} kbit/s")
            self._window_began += passed
            self._window_bytes = 0


def stalled(timeout_s: float) -> TransferError:
    """The setback of a connection that has brought nothing for so long."""
    return TransferError("stalled", f"sent nothing for {timeout_s:g} s")
