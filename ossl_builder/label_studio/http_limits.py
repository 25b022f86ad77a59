"""uvicorn's HTTP/1.1 with limits: on connections, and on the time that a request may take to come.

A browser sends its request at once. Whoever opens connections and sends nothing, or half a header,
must not keep labellers from their clips.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_S = 5.0
MOST_CONNECTIONS = 256


class LimitedProtocol(H11Protocol):
    """One connection.

    Attributes:
        most: connections held at a time. With one more, the longest that waits for a request is
            closed; where none waits, the new one is.
        waiting: those that wait for a whole request, the longest first.
    """

    most = MOST_CONNECTIONS
    waiting: dict[LimitedProtocol, None] = {}  # noqa: RUF012 - of all connections together
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection; make room for it."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            logger.warning("More than %d connections at a time; the idle are closed.", self.most)
            next(iter(self.waiting), self)._close()
        if not transport.is_closing():
            self._await_request()

    def data_received(self, data: bytes) -> None:
        """Take a part of a request."""
        super().data_received(data)
        if self.conn.their_state is h11.DONE:
            self._stop_waiting()
        elif not self.transport.is_closing():
            self._await_request()

    def on_response_complete(self) -> None:
        """Wait for the next request; a browser may keep its connection for a while."""
        super().on_response_complete()
        if self.conn.their_state is not h11.DONE and not self.transport.is_closing():
            self.waiting[self] = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _await_request(self) -> None:
        self.waiting.setdefault(self)
        if self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_S, self._close)

    def _stop_waiting(self) -> None:
        self.waiting.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _close(self) -> None:
        self._stop_waiting()
        # Taken out here: the loop tells us of it only later, and others may come before.
        self.connections.discard(self)
        self.transport.abort()


class Once(logging.Filter):
    """Lets each message through one time, and only its first line for the event loop's own."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[Any] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to print a record."""
        if record.name == "asyncio":
            record.msg, record.args = record.getMessage().partition("\n")[0], ()
            record.exc_info = None
        key = (record.name, record.msg)
        is_new = key not in self._seen
        self._seen.add(key)
        return is_new


logger = logging.getLogger("uvicorn.error")
