"""Check whether labellers can load the clips, and report problems."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from ossl_builder.label_studio.clip_urls import check_url, first_to_expire
from tests.loopback import listening

NOW = 1_800_000_000.0
LOCAL, ELSEWHERE = "http://127.0.0.1:8080", "https://label.example.org"


class Store(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        good = self.path.startswith("/good")
        self.send_response(206 if good else 403)
        body = b"\0" if good else b"This address has expired.\n"
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Do not log."""


def test_a_working_address_has_no_warnings() -> None:
    with listening(Store, threading.Event()) as host:
        found = check_url(f"http://{host}/good.mp4", LOCAL, NOW)
        assert found is not None
        assert (found.base, found.is_reached, found.expires_at) == (f"http://{host}", True, None)
        assert found.warnings == ()
        later = check_url(f"http://{host}/good.mp4?expires=1802592000&signature=abc", LOCAL, NOW)
        assert later is not None
        assert (later.expires_at, later.warnings) == ("2027-02-14T08:00:00Z", ())
        assert "abc" not in repr(later)


@pytest.mark.parametrize(
    ("expires", "told"), [(1_800_000_000, "have expired since"), (1_800_100_000, "expire on")]
)
def test_addresses_that_expire_are_reported(expires: int, told: str) -> None:
    with listening(Store, threading.Event()) as host:
        found = check_url(f"http://{host}/good?expires={expires}", LOCAL, NOW)
    assert found is not None
    (warning,) = found.warnings
    assert told in warning
    assert "relink" in warning


def test_unreachable_addresses_are_reported() -> None:
    with listening(Store, threading.Event()) as host:
        found = check_url(f"http://{host}/bad", LOCAL, NOW)
    assert found is not None
    assert "answers 403 (This address has expired.)" in found.warnings[0]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}/x.mp4"
        found = check_url(nobody, LOCAL, NOW)
    assert found is not None
    assert found.is_reached is False
    assert "cannot be reached" in found.warnings[0]
    assert "label serve" in found.warnings[0]


def test_loopback_addresses_are_reported() -> None:
    with listening(Store, threading.Event()) as host:
        found = check_url(f"http://{host}/good", ELSEWHERE, NOW)
        assert found is not None
        (warning,) = found.warnings
    assert "Only browsers on this machine" in warning
    assert "--clips-url" in warning


def test_other_kinds_of_address_are_not_requested() -> None:
    assert check_url("", LOCAL) is None
    for address in ("/data/local-files/?d=x.mp4", "file:///etc/passwd", "ftp://x/y"):
        found = check_url(address, LOCAL)
        assert found is not None
        assert (found.is_reached, found.warnings) == (None, ())
    strange = check_url("http://127.0.0.1:1/x?expires=" + "9" * 30, LOCAL, NOW)
    assert strange is not None
    assert strange.is_reached is False


def test_the_address_that_expires_first_is_chosen() -> None:
    never, late, soon = "http://a/x", "http://a/x?expires=20", "http://a/x?expires=10"
    assert first_to_expire([never, late, "", soon]) == soon
    assert first_to_expire([never, ""]) == never
    assert first_to_expire([]) == ""
