"""A proxy in front of the real server that injects faults and forwards all other requests."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, Literal
from urllib.parse import urlsplit

from tests.loopback import listening

# lost: forwarded, but the connection is closed without a response. stalled: forwarded, without a
# response. late: forwarded only after `delay_s`, without a response. refused: not forwarded, but
# answered with `status`. spoiled: forwarded, answered with `status` instead.
Fault = Literal["lost", "stalled", "late", "refused", "spoiled"]

HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length"}


@dataclass(frozen=True)
class Trouble:
    """A fault for one request.

    Attributes:
        fault: see `Fault`.
        status: of the response, for `refused` and `spoiled`.
        headers: of that response.
        delay_s: for `late`.
    """

    fault: Fault
    status: int = 504
    headers: tuple[tuple[str, str], ...] = ()
    delay_s: float = 0.0


@dataclass
class FaultProxy:
    """The proxy's state.

    Attributes:
        url: its address.
        troubles: faults for the next requests that create tasks, one each, in order.
        sent: arrival times of requests that create tasks, by the monotonic clock.
        gets: faults for the next requests that only read.
    """

    target: str
    url: str = ""
    troubles: list[Trouble] = field(default_factory=list)
    gets: list[Trouble] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)
    late: list[threading.Thread] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def trouble_for(self, method: str, path: str) -> Trouble | None:
        with self.lock:
            if method == "POST" and path.split("?")[0].endswith("/import"):
                self.sent.append(time.monotonic())
                return self.troubles.pop(0) if self.troubles else None
            if method == "GET" and self.gets:
                return self.gets.pop(0)
        return None

    def pass_on(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        host = urlsplit(self.target).netloc
        onward = http.client.HTTPConnection(host, timeout=90)
        try:
            onward.request(method, path, body or None, headers)
            answer = onward.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            onward.close()


@contextlib.contextmanager
def fault_proxy(target: str) -> Iterator[FaultProxy]:
    """Run the proxy on a free port of loopback."""
    state = FaultProxy(target)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {
                name: value for name, value in self.headers.items()
                if name.lower() not in HOP_BY_HOP
            }  # fmt: skip
            with contextlib.suppress(ConnectionError, http.client.HTTPException, OSError):
                self.answer(state.trouble_for(self.command, self.path), headers, body)
            self.close_connection = True

        def answer(self, trouble: Trouble | None, headers: dict[str, str], body: bytes) -> None:
            def onward() -> tuple[int, list[tuple[str, str]], bytes]:
                return state.pass_on(self.command, self.path, headers, body)

            if trouble is None:
                self.give(*onward())
            elif trouble.fault == "refused":
                self.give(trouble.status, list(trouble.headers), b'{"detail": "Not now."}')
            elif trouble.fault == "spoiled":
                onward()
                self.give(trouble.status, list(trouble.headers), b"<html>Gateway</html>")
            elif trouble.fault == "lost":
                onward()
                self.connection.shutdown(socket.SHUT_RDWR)
            elif trouble.fault == "stalled":
                onward()
                state.closing.wait(60)
            else:
                state.late.append(threading.Thread(target=late, args=(onward, trouble.delay_s)))
                state.late[-1].start()
                state.closing.wait(60)

        def give(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_any  # noqa: N815

        def log_message(self, *arguments: Any) -> None:
            """Do not log."""

    def late(onward: Any, delay_s: float) -> None:
        if not state.closing.wait(delay_s):
            onward()

    try:
        with listening(Handler, state.closing) as host:
            state.url = f"http://{host}"
            yield state
    finally:
        for waiting in state.late:
            waiting.join()
