"""One look at an address of the network, without downloading what is there."""

from __future__ import annotations

import email.message
import http.client
import re
import urllib.error
import urllib.request
from dataclasses import dataclass

from ossl_builder.errors import OsslError
from ossl_builder.tools.patience import USER_AGENT

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
    answer = _ask(address, "HEAD", {})
    if answer.status in (403, 405, 501):
        answer = _ask(address, "GET", {"Range": "bytes=0-0"})
    return answer


def _ask(address: str, method: str, headers: dict[str, str]) -> Answer:
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
