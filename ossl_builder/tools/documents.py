"""JSON documents of the network, asked for patiently."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ossl_builder.engine import parse
from ossl_builder.tools.patience import Patience, Setback, asked_wait_s

if TYPE_CHECKING:
    from http.client import HTTPResponse

# The metadata of an item with thousands of files has a few MB.
MAX_BYTES = 64 << 20
BLOCK = 64 << 10


def get_json(address: str, patience: Patience, user_agent: str) -> tuple[Any, bytes]:
    """Read a JSON document, trying again where that can help.

    Returns:
        What it holds, and its bytes as they came.

    Raises:
        Setback: the last attempt's.
    """
    return patience.insist(lambda: _ask(address, patience.timeout_s, user_agent))


def legible(text: str) -> str:
    """A text of the network without what cannot be printed or written as UTF-8."""
    return "".join(
        one if one.isprintable() else " " if one.isspace() else "?" for one in text
    ).strip()


def _ask(address: str, timeout_s: float, user_agent: str) -> tuple[Any, bytes]:
    import urllib.error
    import urllib.request
    from http.client import HTTPException

    headers = {"User-Agent": user_agent, "Accept": "application/json"}
    try:
        request = urllib.request.Request(address, headers=headers)
        with urllib.request.urlopen(request, timeout=timeout_s) as response:
            data = _read(response, timeout_s)
    except urllib.error.HTTPError as error:
        error.close()
        if "infinite loop" in str(error):
            raise Setback("redirects", "sends in circles (redirects without end)") from error
        asked = asked_wait_s(error.headers.get("Retry-After"))
        raise Setback("status", f"answered {error.code}", error.code, asked) from error
    except TimeoutError as error:
        raise Setback("stalled", f"sent nothing for {timeout_s:g} s") from error
    except (OSError, HTTPException) as error:
        cause = getattr(error, "reason", None) or error
        if isinstance(cause, TimeoutError):
            raise Setback("stalled", f"sent nothing for {timeout_s:g} s") from error
        raise Setback("unreachable", f"could not be reached ({cause})") from error
    except ValueError as error:
        raise Setback("not_http", f"is no address of the web ({error})") from error
    try:
        return parse.json_value(data), data
    except ValueError as error:
        raise Setback("dropped", "answered with something that is not JSON") from error


def _read(response: HTTPResponse, timeout_s: float) -> bytes:
    """The whole body; one that trickles is given up as one that stands still is."""
    length = response.headers.get("Content-Length")
    until = time.monotonic() + 10 * timeout_s
    blocks = []
    size = 0
    while block := response.read1(BLOCK):
        blocks.append(block)
        size += len(block)
        if size > MAX_BYTES:
            raise Setback("not_http", f"sent more than {MAX_BYTES >> 20} MB instead of a document")
        if time.monotonic() > until:
            raise Setback("slow", f"sent only {size} bytes in {10 * timeout_s:g} s")
    if length is not None and length.isdecimal() and size < int(length):
        raise Setback("dropped", f"closed the connection after {size} of {length} bytes")
    return b"".join(blocks)
