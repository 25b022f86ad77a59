"""Retry with exponential backoff, and the error of a failed attempt."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal, TypeVar

from ossl_builder import __version__
from ossl_builder.errors import OsslError

USER_AGENT = f"ossl-builder/{__version__} (+https://github.com/ossl-builder/ossl-builder)"

Answer = TypeVar("Answer")

Kind = Literal[
    "unreachable",
    "dropped",
    "stalled",
    "slow",
    "status",
    "redirects",
    "not_http",
    "other_size",
    "too_large",
    "changed",
]


class TransferError(Exception):
    """A failed attempt to download something.

    Attributes:
        kind: kind of failure.
        predicate: the failure as a predicate without subject, e.g. ``answered 503``.
        status: HTTP status, if `kind` is `status`; else None.
        asked_wait_s: wait that the server requests (`Retry-After`), in seconds; None: no request.
    """

    def __init__(
        self,
        kind: Kind,
        predicate: str,
        status: int | None = None,
        asked_wait_s: float | None = None,
    ) -> None:
        super().__init__(predicate)
        self.kind = kind
        self.predicate = predicate
        self.status = status
        self.asked_wait_s = asked_wait_s

    @property
    def is_final(self) -> bool:
        """Whether a retry at the same address is useless."""
        if self.status is not None:
            return self.status < 500 and self.status not in (408, 425, 429)
        return self.kind in ("redirects", "not_http", "other_size", "too_large")


@dataclass(frozen=True)
class RetryPolicy:
    """Timeout, number of attempts, and pauses between them.

    Attributes:
        timeout_s: abort a connection that receives nothing for this long.
        tries: maximum attempts per address.
        wait_s: pause after the first failure; it doubles with each further failure.
        max_wait_s: longest pause; if a server requests a longer one, do not retry.
    """

    timeout_s: float = 30.0
    tries: int = 6
    wait_s: float = 2.0
    max_wait_s: float = 600.0

    def pause(self, failures: int, error: TransferError) -> bool:
        """Wait before the next attempt; return False at once if the server requests too long.

        Args:
            failures: number of failed attempts, 1 or more.
            error: error of the last attempt.
        """
        asked_s = error.asked_wait_s or 0.0
        if asked_s > self.max_wait_s:
            return False
        time.sleep(max(asked_s, min(self.wait_s * 2.0 ** (failures - 1), self.max_wait_s)))
        return True

    def call(self, request: Callable[[], Answer]) -> Answer:
        """Call `request` until it returns; retry after a `TransferError`.

        Raises:
            TransferError: the error of the last attempt.
        """
        failures = 0
        while True:
            try:
                return request()
            except TransferError as error:
                failures += 1
                is_last = error.is_final or failures >= self.tries
                if is_last or not self.pause(failures, error):
                    raise


def asked_wait_s(header: str | None) -> float | None:
    """Parse a `Retry-After` header (seconds or a date, RFC 9110) into seconds; None: no value."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        until = parsedate_to_datetime(header)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


def final_error(name: str, error: TransferError, hint: str) -> OsslError:
    """Return the `OsslError` of a download after its last attempt.

    Args:
        name: the file's name in the message.
        error: error of the last attempt.
        hint: what the user can do.
    """
    wait = f" It requests a pause of {error.asked_wait_s:.0f} s." if error.asked_wait_s else ""
    return OsslError(_code(error), f"{name}: the server {error.predicate}.{wait}", hint)


def _code(error: TransferError) -> str:
    status = error.status
    if status in (404, 410):
        return "source_gone"
    if status in (401, 403, 451):
        return "access_refused"
    if status in (429, 503):
        return "server_busy"
    return {
        "unreachable": "unreachable",
        "dropped": "download_dropped",
        "stalled": "download_stalled",
        "slow": "download_slow",
        "status": "server_error",
        "redirects": "redirect_loop",
        "not_http": "source_invalid",
        "other_size": "size_differs",
        "too_large": "too_large",
        "changed": "source_changes",
    }[error.kind]
