"""Small HTTP requests: read headers, one byte, or a JSON document."""

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
ONE_BYTE = {"Range": "bytes=0-0"}
# The metadata of an item with thousands of files has a few MB.
MAX_BYTES = 64 << 20
BLOCK = 64 << 10
SHOWN_LENGTH = 120  # maximum quoted characters of a server's message
# The part of an address that has a user name and a password.
USER_IN_HOST = re.compile(r"^(?:[A-Za-z][A-Za-z0-9+.-]*:)?//[^/?#]*@")


@dataclass(frozen=True)
class Answer:
    """A server's response, after redirects.

    Attributes:
        status: HTTP status.
        content_type: media type without parameters, lower-case; empty: not stated.
        size_bytes: size of the whole file; None: not stated.
    """

    status: int
    content_type: str
    size_bytes: int | None


def refuse_password(address: str, is_server: bool = False) -> None:
    """Refuse an address with a user name or password: addresses are recorded and shown.

    Args:
        address: the user's input; it may be something else than an address.
        is_server: whether it is the address of a server. Such a path has no `@`, so every `@` is
            refused: a password can contain a slash.

    Raises:
        OsslError: `address_has_password`, which does not repeat the password.
    """
    if "@" in address if is_server else USER_IN_HOST.match(address):
        host = re.split(r"[/?#]", address.rpartition("@")[2])[0]
        raise OsslError(
            "address_has_password",
            f"The address of {host or 'a host'} has a user name or a password.",
            "Addresses are recorded and shown. Remove the part before the @.",
        )


def request_headers(address: str) -> Answer:
    """Request the headers of an address: by HEAD, or where that is refused, by one byte.

    Raises:
        OsslError: `address_unreachable`.
    """
    answer = _head(address, "HEAD", {})
    if answer.status in (403, 405, 501):
        answer = _head(address, "GET", ONE_BYTE)
    return answer


def _head(address: str, method: str, headers: dict[str, str]) -> Answer:
    try:
        with _open(address, TIMEOUT_S, headers, method) as response:
            return _answer(response.status, response.headers)
    except urllib.error.HTTPError as error:
        with error:
            return _answer(error.code, error.headers)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise OsslError(
            "address_unreachable", f"{address} cannot be reached: {_reason(error)}.", "Retry later."
        ) from error


def _open(
    address: str, timeout_s: float, headers: dict[str, str], method: str = "GET"
) -> HTTPResponse:
    """Send a request. Except for yt-dlp, all HTTP requests of this package use this function."""
    request = urllib.request.Request(
        address, method=method, headers={"User-Agent": USER_AGENT, **headers}
    )
    response: HTTPResponse = urllib.request.urlopen(request, timeout=timeout_s)
    return response


def _reason(error: Exception) -> object:
    return getattr(error, "reason", None) or error


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


def get_json(address: str, policy: RetryPolicy, user_agent: str) -> tuple[Any, bytes]:
    """Download a JSON document, with retries.

    Returns:
        The parsed value, and the document's bytes.

    Raises:
        TransferError: the error of the last attempt.
    """
    return policy.call(lambda: _get_json(address, policy.timeout_s, user_agent))


def _get_json(address: str, timeout_s: float, user_agent: str) -> tuple[Any, bytes]:
    try:
        with _open(
            address, timeout_s, {"User-Agent": user_agent, "Accept": "application/json"}
        ) as response:
            data = _read(response, timeout_s)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _transfer_error(error, timeout_s) from error
    try:
        return parse.json_value(data), data
    except ValueError as error:
        raise TransferError("dropped", "answered with something that is not JSON") from error


def _transfer_error(error: Exception, timeout_s: float) -> TransferError:
    """Convert an exception of a request into a `TransferError`."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        if "infinite loop" in str(error):
            return TransferError("redirects", "sends in circles (redirects without end)")
        wait_s = asked_wait_s(error.headers.get("Retry-After"))
        return TransferError("status", f"answered {error.code}", error.code, wait_s)
    cause = _reason(error)
    if isinstance(cause, TimeoutError):
        return TransferError("stalled", f"sent nothing for {timeout_s:g} s")
    if isinstance(error, OSError | http.client.HTTPException):
        return TransferError("unreachable", f"could not be reached ({cause})")
    return TransferError("not_http", f"is no address of the web ({error})")


def _read(response: HTTPResponse, timeout_s: float) -> bytes:
    """Read the whole body; abort if it is too large, too slow or incomplete."""
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


def why_unreachable(address: str, timeout_s: float = 5.0) -> str | None:
    """Return the reason why an address cannot be downloaded, as a clause; None: it can.

    Args:
        address: an `http` or `https` address.
        timeout_s: maximum time to wait for the response.
    """
    try:
        with _open(address, timeout_s, ONE_BYTE) as response:
            response.read(1)
    except urllib.error.HTTPError as error:
        with error:
            body = error.read(4 * SHOWN_LENGTH).decode("utf-8", "replace")
        text = " ".join(body.split())
        shown = "" if text.startswith("<") else f" ({text[:SHOWN_LENGTH]})" * bool(text)
        return f"it answers {error.code}{shown}"
    except TimeoutError:
        return f"it does not answer within {timeout_s:g} s"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"it cannot be reached ({_reason(error)})"
    return None


def legible(text: str) -> str:
    """Replace characters that are not printable or not valid UTF-8 in a text from the network."""
    return "".join(
        char if char.isprintable() else " " if char.isspace() else "?" for char in text
    ).strip()
