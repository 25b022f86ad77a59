"""Whether labellers' browsers can play the clips: one address is tried, the first to expire."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from urllib.parse import urlsplit

from ossl_builder.label_studio.clip_urls import expires_at
from ossl_builder.net import http

SOON_S = 3 * 24 * 3600.0


@dataclass(frozen=True)
class Probe:
    """What is known of the addresses of a project's clips.

    Attributes:
        base: the address without a clip's own part; its signature is for labellers only.
        expires_at: when the first of them expires, ISO 8601 in UTC; None: never.
        is_reached: whether this machine got the clip; None: it was not tried, because Label Studio
            itself has the clips.
        warnings: what keeps labellers from seeing clips, a sentence each.
    """

    base: str
    expires_at: str | None
    is_reached: bool | None
    warnings: tuple[str, ...]


def first_to_expire(addresses: Iterable[str]) -> str:
    """The address that expires first, or one that never does; empty: there is none."""
    return min(
        filter(None, addresses),
        key=lambda address: (expires_at(address) or float("inf"), address),
        default="",
    )


def probe(address: str, server_url: str, now: float | None = None) -> Probe | None:
    """Try an address of a clip.

    Args:
        address: as it stands in a task.
        server_url: Label Studio's, which labellers have in their browsers.
        now: seconds since 1970; None: now.

    Returns:
        None if there is no address.
    """
    if not address:
        return None
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https"):
        return Probe(address.partition("?")[0], None, None, ())
    base = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    warnings = []
    moment = time.time() if now is None else now
    expires = expires_at(address)
    until = None if expires is None else _utc(expires)
    if expires is not None and expires < moment + SOON_S:
        expired = "have expired since" if expires <= moment else "expire on"
        warnings.append(f"Addresses of clips {expired} {until}: `ossl label relink` renews them.")
    why = http.why_unreachable(address)
    if why is not None:
        warnings.append(
            f"Clips cannot be had from {base}: {why}. See that `ossl label serve` runs, or that "
            "the store has them."
        )
    server = urlsplit(server_url)
    if _is_loopback(parts.hostname) and not _is_loopback(server.hostname):
        warnings.append(
            f"Only browsers on this machine can reach {base}: give the address that labellers "
            "reach with `ossl label relink --clips-url`."
        )
    if server.scheme == "https" and parts.scheme == "http" and not _is_loopback(parts.hostname):
        warnings.append(
            f"Label Studio is at an https address: browsers do not load clips from {base} there."
        )
    return Probe(base, until, why is None, tuple(warnings))


def _utc(second: int) -> str:
    try:
        return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return "a time that no calendar has"


def _is_loopback(host: str | None) -> bool:
    if host in (None, "localhost"):
        return host is not None
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
