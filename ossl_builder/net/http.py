"""Small HTTP requests: headers of an address, one byte of it, or a JSON document."""

from __future__ import annotations

import email.message
import http.client
import re
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ossl_builder import parse
from ossl_builder.errors import OsslError
from ossl_builder.net.retry import USER_AGENT, RetryPolicy, TransferError, asked_wait_s

if TYPE_CHECKING:
    from http.client import HTTPResponse

TIMEOUT_S = 30.0
# Where a user name and a password stand.
USER_IN_HOST = re.compile(r"^(?:[A-Za-z][A-Za-z0-9+.-]*:)?//[^/?#]*@")


@dataclass(frozen=True)
class Answer:
    """What a server said of an address, after redirects.

    Attributes:
        status: of HTTP.
        content_type: without its parameters, lower-case; empty: not told.
        size_bytes: of the whole; None: not told.
    """

    status: int
    content_type: str
    size_bytes: int | None


def refuse_password(address: str, is_server: bool = False) -> None:
    """See that an address holds no user name and no password: it will be recorded and shown.

    Args:
        address: what a person wrote, which need not be an address.
        is_server: it is one of a server, where no path has an `@`, so that one is looked for
            anywhere: a password can hold a slash.

    Raises:
        OsslError: `address_has_password`, which does not repeat it.
    """
    if "@" in address if is_server else USER_IN_HOST.match(address):
        host = re.split(r"[/?#]", address.rpartition("@")[2])[0]
        raise OsslError(
            "address_has_password",
            f"The address of {host or 'a host'} holds a user name or a password.",
            "Addresses are recorded and shown. Leave out what stands before the @.",
        )


def ask(address: str) -> Answer:
    """Ask for the headers of an address: one HEAD, or where that is refused, one byte.

    Raises:
        OsslError: `address_unreachable`.
    """
    answer = _head(address, "HEAD", {})
    if answer.status in (403, 405, 501):
        answer = _head(address, "GET", {"Range": "bytes=0-0"})
    return answer


def _head(address: str, method: str, headers: dict[str, str]) -> Answer:
    request = urllib.request.Request(
        address, method=method, headers={"User-Agent": USER_AGENT, **headers}
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            return _answer(response.status, response.headers)
    except urllib.error.HTTPError as error:
        with error:
            return _answer(error.code, error.headers)
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise OsslError(
            "address_unreachable",
            f"{address} could not be asked: {reason}.",
            "Try again later.",
        ) from error


def _answer(status: int, headers: email.message.Message) -> Answer:
    length = headers.get("Content-Length")
    if status == 206:
        # bytes 0-0/1234
        length = headers.get("Content-Range", "").rpartition("/")[2]
    return Answer(
        status=status,
        content_type=headers.get_content_type() if headers.get("Content-Type") else "",
        size_bytes=int(length) if length and length.isdecimal() else None,
    )


# The metadata of an item with thousands of files has a few MB.
MAX_BYTES = 64 << 20
BLOCK = 64 << 10


def get_json(address: str, patience: RetryPolicy, user_agent: str) -> tuple[Any, bytes]:
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
            raise TransferError("redirects", "sends in circles (redirects without end)") from error
        asked = asked_wait_s(error.headers.get("Retry-After"))
        raise TransferError("status", f"answered {error.code}", error.code, asked) from error
    except TimeoutError as error:
        raise TransferError("stalled", f"sent nothing for {timeout_s:g} s") from error
    except (OSError, HTTPException) as error:
        cause = getattr(error, "reason", None) or error
        if isinstance(cause, TimeoutError):
            raise TransferError("stalled", f"sent nothing for {timeout_s:g} s") from error
        raise TransferError("unreachable", f"could not be reached ({cause})") from error
    except ValueError as error:
        raise TransferError("not_http", f"is no address of the web ({error})") from error
    try:
        return parse.json_value(data), data
    except ValueError as error:
        raise TransferError("dropped", "answered with something that is not JSON") from error


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
            raise TransferError(
                "not_http", f"sent more than {MAX_BYTES >> 20} MB instead of a document"
            )
        if time.monotonic() > until:
            raise TransferError("slow", f"sent only {size} bytes in {10 * timeout_s:g} s")
    if length is not None and length.isdecimal() and size < int(length):
        raise TransferError("dropped", f"closed the connection after {size} of {length} bytes")
    return b"".join(blocks)


SAID_LENGTH = 120


def why_unreachable(address: str, timeout_s: float = 5.0) -> str | None:
    """Why an address gives no file, as a clause; None: it gives one.

    Args:
        address: of `http` or `https`.
        timeout_s: an answer that takes longer is given up.
    """
    import urllib.error
    import urllib.request
    from http.client import HTTPException

    request = urllib.request.Request(address, headers={"Range": "bytes=0-0"})
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as response:
            response.read(1)
    except urllib.error.HTTPError as error:
        with error:
            text = " ".join(error.read(4 * SAID_LENGTH).decode("utf-8", "replace").split())
        shown = "" if text.startswith("<") else f" ({text[:SAID_LENGTH]})" * bool(text)
        return f"it answers {error.code}{shown}"
    except TimeoutError:
        return f"it does not answer within {timeout_s:g} s"
    except (OSError, HTTPException, ValueError) as error:
        return f"it cannot be reached ({getattr(error, 'reason', None) or error})"
    return None
