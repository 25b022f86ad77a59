"""Which files `ossl label serve` hands out: the MP4s of the clips table, to who has an address."""

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
from ossl_builder.label_studio import clip_urls
from ossl_builder.tables import CLIPS

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

# A browser that is being sent a film would otherwise hold up Ctrl-C until it has all of it.
LAST_ANSWERS_S = 1
FILES_OF_OUR_OWN = 64
HEADERS = {
    # Signed addresses are renewed; what a browser keeps must not outlive them for long.
    "Cache-Control": "private, max-age=3600",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class Refused:
    """An answer without a file.

    Attributes:
        status: of HTTP: 403 for an address that is not good, 404 for what is not here.
        why: one sentence.
    """

    status: int
    why: str


# From the parts of the address' path, by name, and its query, to the file that is meant.
Find = Callable[[Mapping[str, str], Mapping[str, str]], Path | Refused]


def listen(host: str, port: int) -> socket.socket:
    """Take a port, so that from here on browsers may ask.

    Args:
        host: a name or number of this machine.
        port: 0: any that is free.

    Raises:
        OsslError: `label_not_installed`, `port_in_use`, `port_forbidden`, `host_unknown`.
    """
    if find_spec("starlette") is None or find_spec("uvicorn") is None:
        raise OsslError(
            "label_not_installed",
            "Clips are served by Starlette and uvicorn, and one of them is not installed.",
            "Run: pip install 'ossl-builder[label]'.",
        )
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        taken = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise _unknown(host) from error
    try:
        # Without it a server just stopped would keep its port for a minute.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
        taken.listen(128)
    except OSError as error:
        taken.close()
        if error.errno == errno.EADDRINUSE:
            raise OsslError(
                "port_in_use",
                f"Another program has the port {port} of {host}.",
                "Stop it, or choose another with --port and renew the addresses "
                "with `ossl label relink`.",
            ) from error
        if error.errno == errno.EACCES:
            raise OsslError(
                "port_forbidden", f"This user may not take the port {port}.", "Choose --port 8081."
            ) from error
        raise _unknown(host) from error
    return taken


def _unknown(host: str) -> OsslError:
    return OsslError(
        "host_unknown",
        f"{host!r} is no address of this machine.",
        "Use --host 127.0.0.1 for this machine only, --host 0.0.0.0 for all that reach it.",
    )


def serve(taken: socket.socket, route: str, find: Find) -> None:
    """Answer browsers until the process is told to stop.

    Args:
        taken: from `listen`; closed in the end.
        route: a path with names in braces.
        find: told names and query, says which file is meant; called from several threads.

    Raises:
        KeyboardInterrupt: Ctrl-C; all answers were given or broken off by then.
    """
    import logging

    import uvicorn

    from ossl_builder.label_studio.http_limits import LimitedProtocol, Once

    LimitedProtocol.most = min(LimitedProtocol.most, _most_connections())
    once = Once()
    for name in ("asyncio", "uvicorn.error"):
        logging.getLogger(name).addFilter(once)
    config = uvicorn.Config(
        _app(route, find),
        http=LimitedProtocol,
        lifespan="off",
        access_log=False,
        server_header=False,
        log_config=None,
        timeout_graceful_shutdown=LAST_ANSWERS_S,
    )
    with taken:
        uvicorn.Server(config).run(sockets=[taken])


def _most_connections() -> int:
    """Connections that this process has open files for: each may need its clip's file as well."""
    try:
        import resource
    except ImportError:  # Windows
        return sys.maxsize
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(8, (most - FILES_OF_OUR_OWN) // 2) if most >= 0 else sys.maxsize


def _app(route: str, find: Find) -> Starlette:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.cors import CORSMiddleware
    from starlette.responses import FileResponse, PlainTextResponse
    from starlette.routing import Route

    # Not a coroutine: Starlette runs it in a thread, since looking for a file may wait for a disk.
    def answer(request: Request) -> Response:
        found = find(request.path_params, request.query_params)
        if isinstance(found, Refused):
            return PlainTextResponse(f"{found.why}\n", status_code=found.status)
        return FileResponse(found, headers=HEADERS, stat_result=found.stat())

    return Starlette(
        routes=[Route(route, answer, methods=["GET"])],
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=["*"],
                allow_methods=["GET", "HEAD"],
                allow_headers=["Range", "If-Range"],
                # A Label Studio elsewhere may have its labellers ask this machine.
                allow_private_network=True,
                expose_headers=["Accept-Ranges", "Content-Length", "Content-Range"],
            )
        ],
    )


ROUTE = "/clips/{film_id}/{clip_id}.mp4"
FILMS = "films"
NOT_HERE = Refused(404, "There is no such clip here.")


class ServedClips:
    """The clips of a corpus as they stand: a build that ends while they are served counts.

    Raises:
        OsslError: from the constructor: `table_missing`, `table_version`, `address_key_damaged`.
    """

    def __init__(self, corpus: Path) -> None:
        self._corpus = corpus
        self._key = clip_urls.of(corpus)
        self._lock = Lock()
        self._seen: tuple[int, int] | None = None
        self._paths: dict[tuple[str, str], str] = {}
        self._refresh()

    def __len__(self) -> int:
        """How many clips there are."""
        return len(self._paths)

    def find(self, names: Mapping[str, str], query: Mapping[str, str]) -> Path | Refused:
        """The file that a signed address means; see `Find`.

        The signature is looked at first: who has none does not learn which clips there are.
        """
        film_id, clip_id = names["film_id"], names["clip_id"]
        expires, signed = query.get("expires", ""), query.get("signature", "")
        why = clip_urls.refusal(self._key, film_id, clip_id, expires, signed, time.time())
        if why is not None:
            return Refused(403, why)
        with self._lock:
            try:
                self._refresh()
            except OsslError as error:
                return Refused(503, error.message)
            name = self._paths.get((film_id, clip_id))
        return NOT_HERE if name is None else self._file(name) or NOT_HERE

    def _refresh(self) -> None:
        folder = self._corpus / "manifests"
        try:
            stat = (folder / f"{CLIPS.name}.parquet").stat()
            seen = (stat.st_ino, stat.st_mtime_ns)
        except FileNotFoundError:  # reading it says so in a sentence
            seen = None
        if seen is not None and seen == self._seen:
            return
        rows = tables_io.read_arrow(folder, CLIPS, ("film_id", "clip_id", "video_path")).to_pylist()
        self._paths = {(row["film_id"], row["clip_id"]): row["video_path"] for row in rows}
        self._seen = seen

    def _file(self, name: str) -> Path | None:
        """The file, if it is a real MP4 below `films`; a table may come from anywhere."""
        path = existing(self._corpus, name)
        if path is None or path.is_symlink() or not leads_inside(self._corpus / FILMS, path):
            return None
        real = path.resolve()
        return real if real.suffix == ".mp4" else None
