"""Deeply nested JSON in the files of a corpus or in a response is an error, not a traceback."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from ossl_builder import files
from ossl_builder.corpus import create
from ossl_builder.engine import records
from ossl_builder.errors import OsslError
from ossl_builder.label_studio import state as states
from ossl_builder.net.http import get_json
from ossl_builder.net.retry import RetryPolicy, TransferError
from ossl_builder.splits import assign as sides
from ossl_builder.stages.fetch.stage import FETCH_STAGE
from tests.loopback import listening

DEEP = b"[" * 100_000


def write_deep_json(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(DEEP)


def test_deeply_nested_records_and_sources_are_errors(tmp_path: Path) -> None:
    corpus = create(tmp_path / "corpus")
    root = corpus.root
    write_deep_json(records.head_path(root, "fetch", "film"))
    write_deep_json(records.body_path(root, "fetch", "film"))
    write_deep_json(corpus.source_path("film"))
    write_deep_json(sides.record_path(root))
    write_deep_json(root / "annotations" / states.FILE_NAME)
    write_deep_json(root / "annotations" / states.PULLED_FILE_NAME)
    for read, code in (
        (lambda: records.read(root, "fetch", "film"), "record_damaged"),
        (lambda: records.read_rows(root, FETCH_STAGE, "film"), "record_damaged"),
        (lambda: corpus.source("film"), "source_damaged"),
        (lambda: sides.load_record(root), None),
        (lambda: states.load(root), "label_state_damaged"),
        (lambda: states.load_pulled(root), "label_state_damaged"),
    ):
        with pytest.raises(OsslError) as caught:
            read()
        assert code in (None, caught.value.code)
    assert files.read_json(corpus.source_path("film")) is None


class Nested(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(DEEP)))
        self.end_headers()
        self.wfile.write(DEEP)

    def log_message(self, *arguments: Any) -> None:
        """Do not log."""


def test_a_deeply_nested_response_is_an_error() -> None:
    with listening(Nested, threading.Event()) as host, pytest.raises(TransferError) as caught:
        get_json(f"http://{host}/metadata", RetryPolicy(tries=1), "tests")
    assert caught.value.kind == "dropped"
