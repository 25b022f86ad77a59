"""Retry with backoff: how often a source is tried, and what a failed attempt reports."""

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
    """An attempt to fetch something that failed.

    Attributes:
        kind: what went wrong.
        said: a clause without its subject, to be put after "it": ``answered 503``.
        status: the HTTP status, if that was it.
        asked_wait_s: for how long the server asked to be left alone (`Retry-After`).
    """

    def __init__(
        self, kind: Kind, said: str, status: int | None = None, asked_wait_s: float | None = None
    ) -> None:
        super().__init__(said)
        self.kind = kind
        self.said = said
        self.status = status
        self.asked_wait_s = asked_wait_s

    @property
    def is_final(self) -> bool:
        """Whether asking the same address again would be of no use."""
        if self.status is not None:
            return self.status < 500 and self.status not in (408, 425, 429)
        return self.kind in ("redirects", "not_http", "other_size", "too_large")


@dataclass(frozen=True)
class RetryPolicy:
    """How long, and how often.

    Attributes:
        timeout_s: a connection that brings nothing for so long is given up.
        tries: how often an address is asked before it is given up.
        wait_s: pause after the first failure; each further one is twice as long.
        max_wait_s: longest pause, also if a server asks for a longer one: then we give up.
    """

    timeout_s: float = 30.0
    tries: int = 6
    wait_s: float = 2.0
    max_wait_s: float = 600.0

    def pause(self, failures: int, setback: TransferError) -> bool:
        """Wait before the next attempt; False, at once, if that would be too long.

        Args:
            failures: how many attempts have failed, 1 or more.
        """
        asked = setback.asked_wait_s or 0.0
        if asked > self.max_wait_s:
            return False
        time.sleep(max(asked, min(self.wait_s * 2.0 ** (failures - 1), self.max_wait_s)))
        return True

    def insist(self, ask: Callable[[], Answer]) -> Answer:
        """Ask until an answer comes; the same address each time.

        Raises:
            Setback: the last attempt's.
        """
        failures = 0
        while True:
            try:
                return ask()
            except TransferError as setback:
                failures += 1
                given_up = setback.is_final or failures >= self.tries
                if given_up or not self.pause(failures, setback):
                    raise


def asked_wait_s(header: str | None) -> float | None:
    """Seconds that a `Retry-After` header asks for; it holds seconds or a date (RFC 9110)."""
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


def given_up(name: str, setback: TransferError, hint: str) -> OsslError:
    """The error for what could not be had, after the last attempt at it."""
    asked = (
        f" It asks to be left alone for {setback.asked_wait_s:.0f} s."
        if setback.asked_wait_s
        else ""
    )
    return OsslError(_code(setback), f"{name}: the server {setback.said}.{asked}", hint)


def _code(setback: TransferError) -> str:
    status = setback.status
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
    }[setback.kind]
