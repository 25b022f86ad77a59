"""Read a response body; abort if it stalls, is too slow, or ends early."""

from __future__ import annotations

import time
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from ossl_builder.net.retry import TransferError

BLOCK = 256 << 10


@dataclass(frozen=True)
class Limits:
    """Limits of a download.

    Attributes:
        max_bytes: maximum size of the file.
        timeout_s: abort if nothing is received for this long.
        min_bytes_per_s: minimum average speed over each period of `slow_s` seconds.
        slow_s: length of these periods, in seconds.
    """

    max_bytes: int
    timeout_s: float
    min_bytes_per_s: float
    slow_s: float


@dataclass(frozen=True)
class Heard:
    """Response headers of a file.

    Attributes:
        size_bytes: size of the whole file; None: not stated.
        etag: `ETag` of this version of the file (RFC 9110); empty: none.
        last_modified: `Last-Modified` of this version; empty: none.
        start: offset of the first byte of the body; -1: not stated.
    """

    size_bytes: int | None
    etag: str
    last_modified: str
    start: int


class Watched:
    """A response of the standard library's client; `read` returns bytes as soon as they arrive.

    yt-dlp reads blocks of up to 4 MB. Without this class it would wait hours for a block of a
    very slow server.
    """

    def __init__(self, response: Any, headers: Heard, limits: Limits) -> None:
        self.headers = response.headers
        self._response = response
        # `read1` makes at most one system call; `read` blocks until all bytes have arrived.
        self._read = response.fp.read1
        self._at = headers.start
        self._size = headers.size_bytes
        self._limits = limits
        self._window_began = time.monotonic()
        self._window_bytes = 0

    def read(self, amount: int) -> bytes:
        """Return the bytes that have arrived, at most `amount`; empty at the end of the file.

        Raises:
            TransferError: `stalled`, `dropped`, `slow`.
        """
        try:
            block: bytes = self._read(min(amount, BLOCK))
        except TimeoutError as error:
            raise stalled(self._limits.timeout_s) from error
        except (OSError, HTTPException) as error:
            raise TransferError("dropped", self._early_end()) from error
        self._at += len(block)
        if not block and self._size is not None and self._at < self._size:
            raise TransferError("dropped", self._early_end())
        self._check_speed(len(block))
        return block

    def close(self) -> None:
        """Close the connection."""
        self._response.close()

    def _early_end(self) -> str:
        if not self._size:
            return f"closed the connection after {self._at} bytes"
        return f"closed the connection at {100 * self._at / self._size:.0f} %"

    def _check_speed(self, size: int) -> None:
        self._window_bytes += size
        passed = time.monotonic() - self._window_began
        if passed >= self._limits.slow_s:
            if self._window_bytes < self._limits.min_bytes_per_s * passed:
                rate = 8 * self._window_bytes / passed / 1000
                raise TransferError("slow", f"sent no more than {rate:.0f} kbit/s")
            self._window_began += passed
            self._window_bytes = 0


def stalled(timeout_s: float) -> TransferError:
    """Return the error of a connection that has received nothing for `timeout_s`."""
    return TransferError("stalled", f"sent nothing for {timeout_s:g} s")
