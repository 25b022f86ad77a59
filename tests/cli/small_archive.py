"""A small Internet Archive on loopback with metadata, files and search; it records requests."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass
class SmallArchive:
    """State of the server; tests may change it while it runs.

    Attributes:
        items: identifier to metadata document.
        pages: path to (status, content type, body) of a plain site.
        hits: results of a search.
        asked: requested paths, in order.
        is_down: whether every response is 500.
    """

    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    pages: dict[str, tuple[int, str, bytes]] = field(default_factory=dict)
    hits: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    is_down: bool = False
    address: str = ""

    def answer(self, path: str) -> tuple[int, str, bytes]:
        self.asked.append(path)
        parts = urlsplit(path)
        if self.is_down:
            return 500, "text/plain", b"down"
        if parts.path.startswith("/metadata/"):
            item = self.items.get(unquote(parts.path.removeprefix("/metadata/")), {})
            return 200, "application/json", json.dumps(item).encode()
        if parts.path == "/advancedsearch.php":
            rows = int(parse_qs(parts.query)["rows"][0])
            found = {"response": {"docs": self.hits[:rows]}}
            return 200, "application/json", json.dumps(found).encode()
        return self.pages.get(parts.path, (404, "text/html", b"not found"))


def item(identifier: str, **files: Any) -> dict[str, Any]:
    """Make a metadata document; `files` maps a file's stem to (size in bytes, SHA-1)."""
    return {
        "metadata": {"identifier": identifier},
        "files": [
            {
                "name": f"{stem}.mp4", "format": "MPEG4", "source": "original",
                "size": str(size), "sha1": sha1, "length": "3600.0",
            }
            for stem, (size, sha1) in files.items()
        ],
    }  # fmt: skip


@contextmanager
def serving() -> Iterator[SmallArchive]:
    """Run the server on a free port of loopback."""
    site = SmallArchive()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = site.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    site.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
