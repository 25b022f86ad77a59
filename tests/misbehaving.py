"""A real HTTP server on loopback with configurable faults; it records its requests.

It simulates a plain site, and an item of the Internet Archive: metadata document, download host,
and nodes. Every path has a list of answers: the n-th request gets the n-th one, the last repeats.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from tests.loopback import listening

MODIFIED = "Wed, 01 Jan 2020 00:00:00 GMT"


@dataclass(frozen=True)
class Answer:
    """How a request is answered; without arguments: correctly.

    Attributes:
        status: if it is not 200 or 206, the body is empty.
        headers: additional ones.
        content: sent instead of the file.
        has_ranges: whether a Range header is obeyed.
        says_range: whether Content-Range is sent with a part of the file.
        has_marks: whether ETag and Last-Modified are sent.
        has_length: whether Content-Length is sent; else the body comes in chunks.
        stop_at: part of the whole file, 0 to 1, at which the connection is closed.
        stall_at: part of the whole file at which sending stops without closing the connection.
        bytes_per_s: speed.
        content_type: of the body.
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    content: bytes | None = None
    has_ranges: bool = True
    says_range: bool = True
    has_marks: bool = True
    has_length: bool = True
    stop_at: float = 1.0
    stall_at: float = 1.0
    bytes_per_s: float | None = None
    content_type: str = "video/mp4"


@dataclass
class Asked:
    """A request, and what was sent for it.

    Attributes:
        start: first byte of the requested range; None: no range was requested.
        at: time of the request in seconds.
        n_sent: bytes of the body that were passed to the operating system.
    """

    path: str
    start: int | None
    agent: str
    at: float
    status: int = 0
    n_sent: int = 0


@dataclass
class Misbehaving:
    """The server's state; change it while it runs.

    Attributes:
        host: name and port.
        asked: requests, in the order in which they came.
        most_at_once: largest number of film bodies that were sent at the same time.
    """

    host: str = ""
    asked: list[Asked] = field(default_factory=list)
    most_at_once: int = 0
    _files: dict[str, tuple[bytes, list[Answer]]] = field(default_factory=dict)
    _turns: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _sending: int = 0
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def address(self) -> str:
        return f"http://{self.host}"

    def put(self, path: str, content: bytes, *answers: Answer) -> str:
        """Serve a file; return its address."""
        self._files[path] = (content, list(answers) or [Answer()])
        self._turns[path] = 0
        return self.address + quote(path, errors="replace")

    def put_item(
        self,
        identifier: str,
        name: str,
        content: bytes,
        *,
        answers: tuple[Answer, ...] = (),
        nodes: tuple[tuple[Answer, ...], ...] = (),
        metadata_answers: tuple[Answer, ...] = (),
        stated: dict[str, Any] | None = None,
        more_files: tuple[dict[str, Any], ...] = (),
        about: dict[str, Any] | None = None,
    ) -> None:
        """Serve an item of the Archive with one film.

        Args:
            answers: of the download host.
            nodes: answers of each node.
            metadata_answers: for the metadata document.
            stated: values in the document that differ from those of the file.
            about: descriptive metadata.
        """
        film = self.stated(name, content) | (stated or {})
        document = {
            "server": self.host, "dir": f"/node0/items/{identifier}",
            "alternate_locations": {
                "workable": [
                    {"server": self.host, "dir": f"/node{number}/items/{identifier}"}
                    for number in range(1, len(nodes))
                ]
            },
            "files": [*more_files, film],
            "metadata": {"identifier": identifier, "mediatype": "movies"} | (about or {}),
        }  # fmt: skip
        if not nodes:
            del document["server"], document["alternate_locations"]
        body = json.dumps(document).encode()
        as_json = metadata_answers or (Answer(content_type="application/json"),)
        self.put(f"/metadata/{identifier}", body, *as_json)
        self.put(f"/download/{identifier}/{name}", content, *answers)
        for number, of_node in enumerate(nodes):
            self.put(f"/node{number}/items/{identifier}/{name}", content, *of_node)

    @staticmethod
    def stated(name: str, content: bytes) -> dict[str, Any]:
        """Entry of an original file in the document of an item."""
        return {
            "name": name, "source": "original", "format": "MPEG4", "size": str(len(content)),
            "sha1": hashlib.sha1(content).hexdigest(), "md5": hashlib.md5(content).hexdigest(),
        }  # fmt: skip

    def of(self, path_end: str) -> list[Asked]:
        """Requests for paths with this ending."""
        return [asked for asked in self.asked if asked.path.endswith(path_end)]

    def next_answer(self, path: str) -> tuple[bytes, Answer]:
        with self._lock:
            content, answers = self._files.get(path, (b"", [Answer(404)]))
            turn = self._turns.get(path, 0)
            self._turns[path] = turn + 1
        answer = answers[min(turn, len(answers) - 1)]
        return content if answer.content is None else answer.content, answer

    @contextlib.contextmanager
    def sending(self) -> Iterator[None]:
        with self._lock:
            self._sending += 1
            self.most_at_once = max(self.most_at_once, self._sending)
        try:
            yield
        finally:
            with self._lock:
                self._sending -= 1


@contextlib.contextmanager
def misbehaving() -> Iterator[Misbehaving]:
    """Run the server on a free port of loopback."""
    state = Misbehaving()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            content, answer = state.next_answer(path)
            asked = Asked(path, _start(self.headers), self.headers["User-Agent"], time.monotonic())
            state.asked.append(asked)
            with contextlib.suppress(ConnectionError):
                _send(self, state, content, answer, asked)
            self.close_connection = True

        def do_HEAD(self) -> None:
            content, answer = state.next_answer(unquote(urlsplit(self.path).path))
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            """Do not log."""

    with listening(Handler, state.closing) as state.host:
        yield state


def _start(headers: Any) -> int | None:
    asked = headers.get("Range")
    return int(asked.removeprefix("bytes=").partition("-")[0]) if asked else None


def _send(
    handler: BaseHTTPRequestHandler,
    state: Misbehaving,
    content: bytes,
    answer: Answer,
    asked: Asked,
) -> None:
    is_ranged = asked.start is not None and answer.has_ranges and answer.status == 200
    start = (asked.start or 0) if is_ranged else 0
    asked.status = 206 if is_ranged else answer.status
    if is_ranged and start >= len(content):
        asked.status = 416
    body = content[start:] if asked.status in (200, 206) else b""
    handler.send_response(asked.status)
    handler.send_header("Content-Type", answer.content_type)
    handler.send_header("Connection", "close")
    for name, value in answer.headers:
        handler.send_header(name, value)
    if answer.has_ranges:
        handler.send_header("Accept-Ranges", "bytes")
    if answer.has_marks and body:
        handler.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()[:12]}"')
        handler.send_header("Last-Modified", MODIFIED)
    if asked.status == 206 and answer.says_range:
        whole = len(content)
        handler.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
    if answer.has_length:
        handler.send_header("Content-Length", str(len(body)))
    else:
        handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    stall = round(answer.stall_at * len(content)) - start
    stop = max(0, min(len(body), round(answer.stop_at * len(content)) - start, stall))
    with state.sending() if asked.path.endswith((".mp4", ".mpg")) else contextlib.nullcontext():
        _send_body(handler, state, body[:stop], answer, asked)
        if answer.stall_at < 1:
            state.closing.wait(30)
    if not answer.has_length and stop == len(body):
        handler.wfile.write(b"0\r\n\r\n")


def _send_body(
    handler: BaseHTTPRequestHandler, state: Misbehaving, body: bytes, answer: Answer, asked: Asked
) -> None:
    step = 16 << 10 if answer.bytes_per_s is None else max(1, round(answer.bytes_per_s / 20))
    for at in range(0, len(body), step):
        block = body[at : at + step]
        framed = block if answer.has_length else b"%x\r\n%b\r\n" % (len(block), block)
        handler.wfile.write(framed)
        asked.n_sent += len(block)
        if answer.bytes_per_s is not None and state.closing.wait(len(block) / answer.bytes_per_s):
            return
