"""Parts of a fetch: retries, resumed downloads, file types. Whole fetches: see tests/stages."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from ossl_builder.errors import OsslError
from ossl_builder.media.ffmpeg import binary
from ossl_builder.media.file_type import extension, is_web_page
from ossl_builder.net.downloader import DownloadRequest, transfer, transfer_fragments
from ossl_builder.net.retry import RetryPolicy, TransferError, asked_wait_s
from ossl_builder.net.stall_guard import Limits
from ossl_builder.net.ytdlp import resolve
from tests.misbehaving import Answer, Misbehaving, misbehaving

CONTENT = bytes(range(256)) * 400
HALF = len(CONTENT) // 2
LIMITS = Limits(max_bytes=10**9, timeout_s=10, min_bytes_per_s=0, slow_s=60)
PATIENCE = RetryPolicy(timeout_s=10, tries=2, wait_s=0.01, max_wait_s=1)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Misbehaving]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with misbehaving() as state:
        yield state


def download(server: Misbehaving, folder: Path, **wanted: Any) -> None:
    transfer(
        DownloadRequest(**({"name": "a", "addresses": (f"{server.address}/a.mp4",)} | wanted)),
        folder / "a", LIMITS, PATIENCE, lambda part: None,
    )  # fmt: skip


def interrupt_download(server: Misbehaving, folder: Path, **wanted: Any) -> None:
    """Download half of a file, then fail."""
    server.put("/a.mp4", CONTENT, Answer(stop_at=0.5))
    with pytest.raises(OsslError, match="run the same command to resume"):
        download(server, folder, **wanted)
    assert (folder / "a.part").stat().st_size == HALF
    server.asked.clear()
    server.put("/a.mp4", CONTENT)


def test_both_forms_of_retry_after() -> None:
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert asked_wait_s("120") == 120
    assert asked_wait_s(in_a_minute) == pytest.approx(60, abs=2)
    assert asked_wait_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert asked_wait_s("soon") is None
    assert asked_wait_s(None) is None


def test_pauses_double_and_a_longer_requested_pause_is_refused() -> None:
    retry_policy = RetryPolicy(tries=9, wait_s=0.01, max_wait_s=0.05)
    began = datetime.now(UTC)
    for failures in range(1, 9):
        assert retry_policy.pause(failures, TransferError("dropped", ""))
    passed = (datetime.now(UTC) - began).total_seconds()
    assert 0.01 + 0.02 + 0.04 + 5 * 0.05 <= passed < 3
    assert not retry_policy.pause(1, TransferError("status", "", 429, 0.06))


@pytest.mark.parametrize(
    "other",
    [{"name": "b"}, {"form": "hd"}, {"sha1": "0" * 40}, {"size_bytes": 3}],
    ids=lambda other: next(iter(other)),
)
def test_a_partial_file_of_another_download_is_dropped(
    server: Misbehaving, tmp_path: Path, other: dict[str, Any]
) -> None:
    interrupt_download(server, tmp_path)
    server.put("/a.mp4", b"new")
    if "sha1" in other:
        with pytest.raises(OsslError):
            download(server, tmp_path, **other)
    else:
        download(server, tmp_path, **other)
        assert (tmp_path / "a").read_bytes() == b"new"
    assert server.asked[0].start is None


def test_a_partial_file_without_valid_metadata_is_dropped(
    server: Misbehaving, tmp_path: Path
) -> None:
    for damage in (b"", b"[]", b"{}", None):
        interrupt_download(server, tmp_path)
        note = tmp_path / "a.part.json"
        note.unlink() if damage is None else note.write_bytes(damage)
        download(server, tmp_path)
        assert server.asked[0].start is None
        assert (tmp_path / "a").read_bytes() == CONTENT
        (tmp_path / "a").unlink()


def test_a_complete_file_that_is_not_yet_verified_is_not_downloaded_again(
    server: Misbehaving, tmp_path: Path
) -> None:
    server.put("/a.mp4", CONTENT)
    download(server, tmp_path)
    server.asked.clear()
    download(server, tmp_path)
    assert server.asked == []
    # But it is verified: after a kill, its content may be wrong.
    (tmp_path / "a").write_bytes(bytes(len(CONTENT)))
    with pytest.raises(OsslError, match="is a different file"):
        download(server, tmp_path, sha256="0" * 64)
    assert [one.start for one in server.asked] == [None]


def test_a_file_that_shrank_is_downloaded_from_the_start(
    server: Misbehaving, tmp_path: Path
) -> None:
    interrupt_download(server, tmp_path)
    # 50 bytes less than the partial file: yt-dlp alone would treat that as complete.
    server.put("/a.mp4", CONTENT[: HALF - 50])
    download(server, tmp_path)
    assert (tmp_path / "a").read_bytes() == CONTENT[: HALF - 50]
    assert [one.start for one in server.asked] == [HALF, None]


def test_a_range_response_without_a_position_is_not_used(
    server: Misbehaving, tmp_path: Path
) -> None:
    interrupt_download(server, tmp_path)
    server.put("/a.mp4", CONTENT, Answer(says_range=False))
    download(server, tmp_path)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert [one.start for one in server.asked] == [HALF, None]


def test_more_bytes_than_stated_are_refused(server: Misbehaving, tmp_path: Path) -> None:
    server.put("/a.mp4", CONTENT, Answer(has_length=False))
    with pytest.raises(OsslError, match="more than the 5000 bytes") as caught:
        download(server, tmp_path, size_bytes=5000)
    assert caught.value.code == "size_differs"
    assert list(tmp_path.iterdir()) == []


def test_the_pause_that_one_server_requests_applies_to_the_next_round(
    server: Misbehaving, tmp_path: Path
) -> None:
    busy = Answer(503, (("Retry-After", "1"),))
    first = server.put("/a.mp4", CONTENT, busy, Answer())
    second = server.put("/b.mp4", CONTENT, Answer(500))
    download(server, tmp_path, addresses=(first, second))
    assert [one.path for one in server.asked] == ["/a.mp4", "/b.mp4", "/a.mp4"]
    assert server.asked[2].at - server.asked[1].at >= 1


def test_an_empty_file_is_reported(server: Misbehaving, tmp_path: Path) -> None:
    server.put("/a.mp4", b"")
    with pytest.raises(OsslError, match="did not send it"):
        download(server, tmp_path)


def test_a_constantly_changing_file_is_an_error(server: Misbehaving, tmp_path: Path) -> None:
    interrupt_download(server, tmp_path)
    server.put("/a.mp4", CONTENT, Answer(content=b"x" * 9999))
    with pytest.raises(OsslError) as caught:
        transfer(
            DownloadRequest("a", (f"{server.address}/a.mp4",)), tmp_path / "a", LIMITS,
            RetryPolicy(tries=1), lambda part: None,
        )  # fmt: skip
    assert caught.value.code == "source_changes"


def test_progress_goes_from_0_to_1(server: Misbehaving, tmp_path: Path) -> None:
    server.put("/a.mp4", CONTENT, Answer(stop_at=0.5), Answer())
    parts: list[float] = []
    address = f"{server.address}/a.mp4"
    transfer(DownloadRequest("a", (address,)), tmp_path / "a", LIMITS, PATIENCE, parts.append)
    assert parts == sorted(parts)
    assert parts[-1] == 1


def test_a_full_disk_is_not_treated_as_a_server_error(server: Misbehaving, tmp_path: Path) -> None:
    server.put("/a.mp4", CONTENT)
    # A limit of the file size gives an error of the same kind from the same call.
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from ossl_builder.net.stall_guard import Limits\n"
        "from ossl_builder.net.retry import RetryPolicy\n"
        "from ossl_builder.net.downloader import DownloadRequest, transfer\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        "limits = Limits(10**9, 10, 0, 60)\n"
        "try:\n"
        f"    request = DownloadRequest('a', ('{server.address}/a.mp4',))\n"
        "    transfer(request, Path(sys.argv[1]), limits,\n"
        "             RetryPolicy(tries=1), lambda part: None)\n"
        "except OSError as error:\n"
        "    print('errno', error.errno)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "errno 27", done.stderr


def test_a_film_in_fragments(server: Misbehaving, tmp_path: Path) -> None:
    command = [
        binary(), "-loglevel", "error", "-f", "lavfi", "-i", "testsrc=s=64x48:r=12:d=4", "-g", "12",
        "-f", "hls", "-hls_time", "1", "-hls_list_size", "0", str(tmp_path / "a.m3u8"),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    pieces = sorted(tmp_path.glob("*.ts"))
    assert len(pieces) >= 3
    for path in pieces:
        answers = (Answer(503), Answer()) if path is pieces[1] else (Answer(),)
        server.put(f"/{path.name}", path.read_bytes(), *answers)
    kind = "application/vnd.apple.mpegurl"
    address = server.put("/a.m3u8", (tmp_path / "a.m3u8").read_bytes(), Answer(content_type=kind))
    found = resolve(address, PATIENCE, ("default",))
    assert not found.is_plain
    target = tmp_path / "film"
    transfer_fragments(found, address, None, target, LIMITS, lambda part: None)
    assert target.read_bytes() == b"".join(path.read_bytes() for path in pieces)
    assert extension(target) == ".ts"
    with pytest.raises(OsslError, match="is a different file"):
        transfer_fragments(found, address, "0" * 64, target, LIMITS, lambda part: None)
    assert not target.exists()


def test_a_page_with_several_films_is_refused(server: Misbehaving) -> None:
    films = "".join(f'<video src="/{n}.mp4"></video>' for n in range(2))
    page = f"<html><title>Films</title><body>{films}</body></html>".encode()
    address = server.put("/page", page, Answer(content_type="text/html"))
    with pytest.raises(OsslError) as caught:
        resolve(address, PATIENCE, ("default",))
    assert caught.value.code == "not_understood"


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\0\0\0\x20ftypisom", ".mp4"),
        (b"\0\0\0\x14ftypqt  ", ".mov"),
        (b"\0\0\0\x08wide", ".mov"),
        (b"\x1aE\xdf\xa3....B\x82\x84webm", ".webm"),
        (b"\x1aE\xdf\xa3....B\x82\x88matroska", ".mkv"),
        (b"RIFF....AVI LIST", ".avi"),
        (b"RIFF....WAVEfmt ", ".bin"),
        (b"\0\0\x01\xba", ".mpg"),
        (b"OggS", ".ogv"),
        (b"FLV\x01", ".flv"),
        (b"<html>", ".bin"),
        (b"", ".bin"),
        (b"".join(b"G" + bytes(187) for _ in range(4)), ".ts"),
        (b"".join(bytes(4) + b"G" + bytes(187) for _ in range(4)), ".ts"),
    ],
)
def test_extensions_come_from_the_container(head: bytes, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "a.exe"
    path.write_bytes(head)
    assert extension(path) == expected


def test_web_pages_are_recognised_by_their_first_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    for page in (b"<!DOCTYPE HTML>", b"\xef\xbb\xbf\r\n <html lang=en>", b"<?xml version='1.0'?>"):
        path.write_bytes(page)
        assert is_web_page(path)
    path.write_bytes(json.dumps({"error": 1}).encode())
    assert not is_web_page(path)
