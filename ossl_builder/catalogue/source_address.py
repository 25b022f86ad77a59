"""Parse the address of a film: an Internet Archive item, a web page, or a file."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ossl_builder.errors import OsslError
from ossl_builder.net.http import refuse_password
from ossl_builder.tables.catalogue import checked_source

# URL paths of an item's pages and files, and of files on one of the Archive's nodes.
PAGE = re.compile(r"/(?:details|download|embed|metadata)/(?P<item>[^/]+)(?:/(?P<file>.+?))?/?")
NODE = re.compile(r"/\d+/items/(?P<item>[^/]+)(?:/(?P<file>.+?))?/?")


def source_of(text: str) -> str:
    """Return a source that a user wrote, in the format in which it is recorded.

    Returns:
        ``ia:<identifier>`` or ``ia:<identifier>/<file>``, a URL, or an absolute path.

    Raises:
        OsslError: `source_invalid`, `address_has_password`.
    """
    if text.startswith("ia:"):
        return checked_source(text)
    if not text.strip() or not text.isprintable():
        why = "its name is empty" if not text.strip() else "its name is no printable text"
        raise OsslError(
            "source_invalid", f"{text!r} is not a source: {why}.", "Give a file or an address."
        )
    if "://" not in text and not text.startswith("file:"):
        path = str(Path(text).absolute())
        if not path.isprintable():
            raise OsslError(
                "source_invalid",
                f"The path {path!r} has characters that cannot be printed.",
                "Rename the folder that has it.",
            )
        return path
    refuse_password(text)
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError as error:
        refuse_password(text, is_server=True)
        raise OsslError(
            "source_invalid", f"{text!r} is not an address: {error}.", "Correct it."
        ) from None
    if parts.scheme not in ("http", "https", "file") or (parts.scheme != "file" and not host):
        raise OsslError(
            "source_invalid",
            f"{text!r} is not an address that films can be fetched from.",
            "Use http, https, ia:<identifier>, or a file.",
        )
    if host == "archive.org" or host.endswith(".archive.org"):
        return _archive_source(text, parts.path)
    return text


def identifier_of(source: str) -> str | None:
    """Return the Internet Archive identifier in a source; None: the source is elsewhere."""
    if not source.startswith("ia:"):
        return None
    return source.removeprefix("ia:").partition("/")[0]


def _archive_source(address: str, path: str) -> str:
    match = PAGE.fullmatch(path) or NODE.fullmatch(path)
    if match is None:
        raise OsslError(
            "source_invalid",
            f"{address} is not an item of the Internet Archive.",
            "Write ia:<identifier>, or the address of the item's page: "
            "https://archive.org/details/<identifier>.",
        )
    name = f"/{unquote(match['file'])}" if match["file"] else ""
    return checked_source(f"ia:{unquote(match['item'])}{name}")
