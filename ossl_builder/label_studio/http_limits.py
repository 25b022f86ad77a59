"""uvicorn's HTTP/1.1 with a limit on connections and a timeout for incomplete requests.

A browser sends its request at once. A client that opens connections and sends nothing, or half a
header, must not block annotators.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_TIMEOUT_S = 5.0
MAX_CONNECTIONS = 256


class LimitedProtocol(H11Protocol):
    """One connection.

    Attributes:
        max_open: largest number of open connections. One more closes the connection that has
            waited longest for a request; if none waits, the new one.
        waiting: connections without a complete request, the longest waiting first.
    """

    max_open = MAX_CONNECTIONS
    waiting: dict[LimitedProtocol, None] = {}  # noqa: RUF012 - shared by all connections
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection; close an idle one if there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.max_open:
            logger.warning(
                "More than %d connections at a time; idle ones are closed.", self.max_open
            )
            next(iter(self.waiting), self)._close()
        if not transport.is_closing():
            self._await_request()

    def data_received(self, data: bytes) -> None:
        """Receive a part of a request."""
        super().data_received(data)
        if self.conn.their_state is h11.DONE:
            self._stop_waiting()
        elif not self.transport.is_closing():
            self._await_request()

    def on_response_complete(self) -> None:
        """Wait for the next request; browsers reuse connections."""
        super().on_response_complete()
        if self.conn.their_state is not h11.DONE and not self.transport.is_closing():
            self.waiting[self] = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _await_request(self) -> None:
        self.waiting.setdefault(self)
        if self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_TIMEOUT_S, self._close)

    def _stop_waiting(self) -> None:
        self.waiting.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _close(self) -> None:
        self._stop_waiting()
        # Removed now: the event loop calls `connection_lost` later, after new connections.
        self.connections.discard(self)
        self.transport.abort()


class DeduplicatingFilter(logging.Filter):
    """Log each message once, and only the first line of the event loop's messages."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[Any] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log a record."""
        if record.name == "asyncio":
            record.msg, record.args = record.getMessage().partition("\n")[0], ()
            record.exc_info = None
        key = (record.name, record.msg)
        is_new = key not in self._seen
        self._seen.add(key)
        return is_new


logger = logging.getLogger("uvicorn.error")
