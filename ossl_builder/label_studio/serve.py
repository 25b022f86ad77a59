"""The HTTP server of `ossl label serve`: the MP4 files of the clips table, by signed URLs."""

from __future__ import annotations

import errno
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from ossl_builder.engine import tables_io
from ossl_builder.errors import OsslError
from ossl_builder.files import existing, leads_inside
from ossl_builder.label_studio import url_key
from ossl_builder.tables import CLIPS

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

# Otherwise Ctrl-C would wait until running downloads are complete.
SHUTDOWN_S = 1
RESERVED_FILES = 64  # open files of the process itself
PACKAGES = ("starlette", "uvicorn", "itsdangerous")
HEADERS = {
    # Signed URLs expire: a browser must not cache clips much longer.
    "Cache-Control": "private, max-age=3600",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class Refusal:
    """A response without a file.

    Attributes:
        status: HTTP status: 403 for an invalid URL, 404 for a missing clip, 503 for a broken table.
        why: the reason, in a sentence.
    """

    status: int
    why: str


# Maps the named parts of a URL's path, and its query, to a file.
FindFile = Callable[[Mapping[str, str], Mapping[str, str]], Path | Refusal]


def listen(host: str, port: int) -> socket.socket:
    """Open a listening socket.

    Args:
        host: a host name or IP address of this machine.
        port: the port; 0: any free port.

    Raises:
        OsslError: `not_installed`, `port_in_use`, `port_forbidden`, `host_unknown`.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise OsslError(
            "not_installed",
            f"`ossl label serve` needs packages that are not installed: {', '.join(missing)}.",
            "Run: pip install 'ossl-builder[label]'",
        )
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise _host_error(host) from error
    try:
        # Without it the port of a stopped server would stay blocked for a minute.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise OsslError(
                "port_in_use",
                f"Another program uses the port {port} of {host}.",
                "Stop it, or choose another port with --port and renew the clip URLs "
                "with `ossl label relink`.",
            ) from error
        if error.errno == errno.EACCES:
            raise OsslError(
                "port_forbidden", f"This user may not open the port {port}.", "Choose --port 8081."
            ) from error
        raise _host_error(host) from error
    return listener


def _host_error(host: str) -> OsslError:
    return OsslError(
        "host_unknown",
        f"{host!r} is not an address of this machine.",
        "Use --host 127.0.0.1 for this machine only, or --host 0.0.0.0 for all networks.",
    )


def serve(listener: socket.socket, route: str, find: FindFile) -> None:
    """Answer requests until Ctrl-C.

    Args:
        listener: from `listen`; closed at the end.
        route: a URL path with names in braces.
        find: finds the file of a request; called from several threads.

    Raises:
        KeyboardInterrupt: Ctrl-C, after all responses are complete or aborted.
    """
    import logging

    import uvicorn

    from ossl_builder.label_studio.http_limits import DeduplicatingFilter, LimitedProtocol

    LimitedProtocol.max_open = min(LimitedProtocol.max_open, _max_connections())
    log_filter = DeduplicatingFilter()
    for name in ("asyncio", "uvicorn.error"):
        logging.getLogger(name).addFilter(log_filter)
    config = uvicorn.Config(
        _app(route, find),
        http=LimitedProtocol,
        lifespan="off",
        access_log=False,
        server_header=False,
        log_config=None,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )
    with listener:
        uvicorn.Server(config).run(sockets=[listener])


def _max_connections() -> int:
    """Return the number of connections that fit the limit of open files: each needs two."""
    try:
        import resource
    except ImportError:  # Windows
        return sys.maxsize
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(8, (limit - RESERVED_FILES) // 2) if limit >= 0 else sys.maxsize


def _app(route: str, find: FindFile) -> Starlette:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.cors import CORSMiddleware
    from starlette.responses import FileResponse, PlainTextResponse
    from starlette.routing import Route

    # Not a coroutine: Starlette then runs it in a thread, and slow disks block nobody.
    def answer(request: Request) -> Response:
        result = find(request.path_params, request.query_params)
        if isinstance(result, Refusal):
            return PlainTextResponse(f"{result.why}\n", status_code=result.status)
        return FileResponse(result, headers=HEADERS, stat_result=result.stat())

    return Starlette(
        routes=[Route(route, answer, methods=["GET"])],
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=["*"],
                allow_methods=["GET", "HEAD"],
                allow_headers=["Range", "If-Range"],
                # Pages of a Label Studio on another machine may request clips from this one.
                allow_private_network=True,
                expose_headers=["Accept-Ranges", "Content-Length", "Content-Range"],
            )
        ],
    )


ROUTE = "/clips/{film_id}/{clip_id}.mp4"
FILMS = "films"
NOT_FOUND = Refusal(404, "There is no such clip.")


class ServedClips:
    """Finds the clips of a corpus; the clips table is read again when a build changes it.

    Raises:
        OsslError: from the constructor: `table_missing`, `table_version`, `address_key_damaged`.
    """

    def __init__(self, corpus: Path) -> None:
        self._corpus = corpus
        self._key = url_key.load_key(corpus)
        self._lock = Lock()
        self._table_version: tuple[int, int] | None = None
        self._paths: dict[tuple[str, str], str] = {}
        self._refresh()

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self._paths)

    def find(self, names: Mapping[str, str], query: Mapping[str, str]) -> Path | Refusal:
        """Return the file of a signed URL; see `FindFile`.

        The signature is checked first: without one, nobody learns which clips exist.
        """
        film_id, clip_id = names["film_id"], names["clip_id"]
        expires, signature = query.get("expires", ""), query.get("signature", "")
        reason = url_key.refusal_reason(
            self._key, film_id, clip_id, expires, signature, time.time()
        )
        if reason is not None:
            return Refusal(403, reason)
        with self._lock:
            try:
                self._refresh()
            except OsslError as error:
                return Refusal(503, error.message)
            name = self._paths.get((film_id, clip_id))
        return NOT_FOUND if name is None else self._file(name) or NOT_FOUND

    def _refresh(self) -> None:
        folder = self._corpus / "manifests"
        try:
            stat = (folder / f"{CLIPS.name}.parquet").stat()
            version = (stat.st_ino, stat.st_mtime_ns)
        except FileNotFoundError:  # `read_arrow` raises the error with its message
            version = None
        if version is not None and version == self._table_version:
            return
        rows = tables_io.read_arrow(folder, CLIPS, ("film_id", "clip_id", "video_path")).to_pylist()
        self._paths = {(row["film_id"], row["clip_id"]): row["video_path"] for row in rows}
        self._table_version = version

    def _file(self, name: str) -> Path | None:
        """Return the path of a regular MP4 file in `films`; None for all others.

        The table may come from anywhere: its paths are not trusted.
        """
        path = existing(self._corpus, name)
        if path is None or path.is_symlink() or not leads_inside(self._corpus / FILMS, path):
            return None
        real = path.resolve()
        return real if real.suffix == ".mp4" else None
