"""`ossl label serve` as a running server: clips for valid signed addresses, and nothing else."""

from __future__ import annotations

import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ossl_builder.corpus import create
from ossl_builder.engine import tables_io
from ossl_builder.errors import OsslError
from ossl_builder.label_studio import url_key
from ossl_builder.label_studio.clip_urls import ClipUrls, clip_path, expires_at, make_clip_urls
from ossl_builder.tables import CLIPS, Clip
from tests.command_result import RunCommand
from tests.label_studio.clip_server import Server, serving
from tests.label_studio.clips import clip_row

ORIGIN = "http://labelling.example.org"
SECRET = b"nobody may read this"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two films with a clip each of 300,000 different bytes, and secret files around them."""
    made = create(tmp_path_factory.mktemp("serving") / "corpus")
    clips = [clip_row("one", 0.0, 12.0), clip_row("two", 8.0, 20.0)]
    for number, clip in enumerate(clips):
        path = made.root / clip.video_path
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(((at * 31) ^ (at >> 8)) + number & 255 for at in range(300_000)))
        path.with_suffix(".music.flac").write_bytes(SECRET)
        (path.parent / "other.mp4").write_bytes(SECRET)
    (made.root.parent / "secret.mp4").write_bytes(SECRET)
    tables_io.write_corpus_table(made.root, CLIPS, clips)
    return made.root


@pytest.fixture(scope="module")
def server(corpus: Path) -> Iterator[Server]:
    with serving(corpus) as running:
        yield running


def clips_of(corpus: Path) -> list[Clip]:
    return tables_io.read_table(corpus / "manifests", CLIPS)


def target_of(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.path}?{parts.query}"


@pytest.fixture(scope="module")
def good(corpus: Path) -> str:
    return target_of(make_clip_urls(corpus).url_for(clips_of(corpus)[0]))


@pytest.fixture(scope="module")
def content(corpus: Path) -> bytes:
    return (corpus / clips_of(corpus)[0].video_path).read_bytes()


def test_the_start_message_has_clip_count_address_and_next_command(server: Server) -> None:
    assert "Serving 2 clips" in server.lines[0]
    assert "127.0.0.1" in server.base
    assert f"label push --url http://127.0.0.1:8080 --clips-url {server.base}" in server.lines[-1]
    assert not any("Warning" in line for line in server.lines)


def test_get_and_head_of_a_clip(server: Server, good: str, content: bytes) -> None:
    whole, head = server.ask(good), server.ask(good, "HEAD")
    assert (whole.status, whole.body) == (200, content)
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["accept-ranges"] == "bytes"
    assert (head.status, head.body) == (200, b"")
    for name in ("content-length", "content-type", "etag", "accept-ranges"):
        assert head.headers[name] == whole.headers[name]


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, 300_000),
        ("bytes=299999-", 299_999, 300_000),
        ("bytes=299999-999999999", 299_999, 300_000),
        ("bytes=70000-170000", 70_000, 170_001),
        ("bytes=-5", 299_995, 300_000),
        ("bytes=-999999999", 0, 300_000),
    ],
)
def test_byte_ranges(
    server: Server, good: str, content: bytes, asked: str, start: int, end: int
) -> None:
    got = server.ask(good, Range=asked)
    assert got.status == 206
    assert got.body == content[start:end]
    assert got.headers["content-range"] == f"bytes {start}-{end - 1}/300000"
    assert got.headers["content-length"] == str(end - start)
    assert server.ask(good, "HEAD", Range=asked).headers["content-length"] == str(end - start)


def test_several_ranges_give_a_multipart_response(
    server: Server, good: str, content: bytes
) -> None:
    got = server.ask(good, Range="bytes=10-19,200000-200009")
    assert got.status == 206
    boundary = got.headers["content-type"].partition("boundary=")[2].encode()
    parts = got.body.split(b"--" + boundary)[1:-1]
    assert [part.partition(b"\r\n\r\n")[2][:-2] for part in parts] == [
        content[10:20], content[200_000:200_010],
    ]  # fmt: skip


def test_invalid_ranges_and_a_range_of_changed_content(
    server: Server, good: str, content: bytes
) -> None:
    for asked in ("bytes=300000-", "bytes=-0"):
        got = server.ask(good, Range=asked)
        assert (got.status, got.headers["content-range"]) == (416, "bytes */300000")
    for asked in ("bytes=5-2", "bytes=a-b", "pages=1-2"):
        assert server.ask(good, Range=asked).status == 400
    # The clip has changed: the part that the browser has does not match any more.
    changed = server.ask(good, Range="bytes=5-9", If_Range='"another"')
    assert (changed.status, changed.body) == (200, content)


def test_browsers_of_other_origins_may_read(server: Server, good: str) -> None:
    for target in (good, f"{good}0", "/"):
        got = server.ask(target, Origin=ORIGIN, Range="bytes=0-9")
        assert got.headers["access-control-allow-origin"] == "*"
        assert "Content-Range" in got.headers["access-control-expose-headers"]
    asked = {
        "Origin": ORIGIN,
        "Access_Control_Request_Method": "GET",
        "Access_Control_Request_Headers": "range",
        "Access_Control_Request_Private_Network": "true",
    }
    allowed = server.ask(good, "OPTIONS", **asked)
    assert allowed.status == 200
    assert allowed.headers["access-control-allow-origin"] == "*"
    assert "GET" in allowed.headers["access-control-allow-methods"]
    assert "range" in allowed.headers["access-control-allow-headers"].lower()
    assert allowed.headers["access-control-allow-private-network"] == "true"
    asked["Access_Control_Request_Method"] = "PUT"
    assert server.ask(good, "OPTIONS", **asked).status == 400


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_write_methods_are_refused(server: Server, good: str, content: bytes, method: str) -> None:
    assert server.ask(good, method, Content_Length="0").status == 405
    assert server.ask(good).body == content


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/clips",
        "/clips/",
        "/clips/one",
        "/clips/one/",
        "/films/one/clips/other.mp4",
        "/clips/one/other.mp4",
        "/clips/one/../secret.mp4",
        "/clips/../../secret.mp4",
        "/clips/one/..%2f..%2f..%2f..%2fsecret.mp4",
        "/clips/%2e%2e/%2e%2e/secret.mp4",
        "/clips/..%5c..%5csecret/one.mp4",
        "/clips/one/%00.mp4",
        "/clips/one/one_0-12000%00.mp4",
        "/clips/one/one_0-12000.music.flac",
        "//etc/passwd",
        "/clips//etc/passwd.mp4",
        "/%2fetc%2fpasswd",
        "file:///etc/passwd",
        "/ossl.yaml",
        "/annotations/serve.key",
        "/clips/annotations/serve.key",
    ],
)
def test_no_other_file_and_no_listing_is_served(
    server: Server, corpus: Path, good: str, path: str
) -> None:
    key = url_key.load_key(corpus).hex().encode()
    query = good.partition("?")[2]
    for target in (path, f"{path}?{query}"):
        got = server.ask(target)
        assert got.status in (400, 403, 404, 405)
        for secret in (SECRET, key, b"root:", b"one_0-12000", b"version:"):
            assert secret not in got.body
    assert server.ask(good).status == 200


def test_a_valid_signature_of_an_invalid_name_gives_404(server: Server, corpus: Path) -> None:
    """The owner of the key may sign any name, but a name is never used as a path."""
    ours = make_clip_urls(corpus)
    real = clips_of(corpus)[0]
    for film_id, clip_id in (
        ("one", "other"),
        ("one", "../clips/other"),
        ("..", "../../secret"),
        ("one", "\0"),
        ("one", f"{corpus.parent}/secret"),
        ("two", real.clip_id),
    ):
        made = Clip(**{**vars(real), "film_id": film_id, "clip_id": clip_id})
        got = server.ask(target_of(ours.url_for(made)))
        assert got.status == 404, (film_id, clip_id)
        assert SECRET not in got.body


def test_expired_and_altered_addresses_are_refused(server: Server, corpus: Path, good: str) -> None:
    first, second = clips_of(corpus)
    path, _, query = good.partition("?")
    expires, _, signed = query.partition("&")
    second_later = f"expires={int(expires.removeprefix('expires=')) + 1}"
    other_path = clip_path(second.film_id, second.clip_id)
    for target in (
        path,
        f"{path}?{expires}",
        f"{path}?{signed}",
        f"{path}?{second_later}&{signed}",
        f"{path}?expires=%C2%B2&{signed}",
        f"{path}?expires=-1&{signed}",
        f"{path}?expires={'9' * 5000}&{signed}",
        f"{path}?{expires}&signature=",
        f"{path}?{expires}&signature=%F0%9F%8E%B5",
        f"{path}?{expires}&{signed[:-1]}",
        f"{path}?{expires}&{signed[:-1]}{'0' if signed[-1] != '0' else '1'}",
        f"{other_path}?{query}",
    ):
        assert server.ask(target).status == 403, target
    old = make_clip_urls(corpus, valid_for_s=60.0, now=time.time() - 61.0)
    refused = server.ask(target_of(old.url_for(first)))
    assert refused.status == 403
    assert b"expired" in refused.body
    assert b"relink" in refused.body
    foreign = ClipUrls("serve", "", b"0" * 32, int(time.time()) + 1000)
    assert server.ask(target_of(foreign.url_for(first))).status == 403


def test_links_deleted_clips_and_forged_rows_are_not_served(corpus: Path, tmp_path: Path) -> None:
    ours = create(tmp_path / "corpus").root
    rows = [clip_row("film", start, start + 12.0) for start in (0.0, 20.0, 40.0, 60.0)]
    (ours / rows[0].video_path).parent.mkdir(parents=True)
    for row in rows:
        (ours / row.video_path).write_bytes(b"video")
    (tmp_path / "secret.mp4").write_bytes(SECRET)
    (ours / "films/film/there").symlink_to(tmp_path)
    astray = Clip(**{**vars(rows[3]), "video_path": "films/film/there/secret.mp4"})
    tables_io.write_corpus_table(ours, CLIPS, [*rows[:3], astray])
    targets = [target_of(make_clip_urls(ours).url_for(row)) for row in rows]
    with serving(ours) as running:
        assert [running.ask(target).status for target in targets] == [200, 200, 200, 404]
        (ours / rows[0].video_path).unlink()
        (ours / rows[1].video_path).unlink()
        (ours / rows[1].video_path).symlink_to(tmp_path / "secret.mp4")
        assert [running.ask(target).status for target in targets] == [404, 404, 200, 404]
        # The server uses the table of a build that has ended meanwhile.
        tables_io.write_corpus_table(ours, CLIPS, rows[:1])
        assert running.ask(targets[2]).status == 404


def test_two_labellers_at_once(server: Server, good: str, corpus: Path, content: bytes) -> None:
    """One reads slowly, like a paused player; the other does not have to wait."""
    at = urlsplit(server.base)
    other = clips_of(corpus)[1]
    there = target_of(make_clip_urls(corpus).url_for(other))
    expected = (corpus / other.video_path).read_bytes()
    with socket.create_connection((at.hostname, at.port), timeout=10) as slow:
        slow.sendall(f"GET {good} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        got = slow.recv(1000)
        bodies: list[bytes] = []
        threads = [
            threading.Thread(target=lambda: bodies.append(server.ask(there).body)) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=10)
        assert bodies == [expected] * 8
        while more := slow.recv(65_536):
            got += more
    assert got.partition(b"\r\n\r\n")[2] == content


def test_the_key_survives_a_restart_and_stays_private(
    server: Server, corpus: Path, good: str, tmp_path: Path
) -> None:
    path = url_key.key_path(corpus)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with serving(corpus) as restarted:
        assert restarted.ask(good).status == 200
    subprocess.run(["git", "init", "-q"], cwd=corpus, check=True)
    seen = subprocess.run(
        ["git", "status", "--porcelain", "-uall"], cwd=corpus, check=True, capture_output=True
    ).stdout
    assert b".gitignore" in seen
    assert b"serve.key" not in seen
    elsewhere = url_key.key_path(tmp_path)
    assert url_key.load_key(tmp_path) == url_key.load_key(tmp_path) != url_key.load_key(corpus)
    elsewhere.write_text("short")
    with pytest.raises(OsslError, match="relink"):
        url_key.load_key(tmp_path)


def test_ctrl_c_stops_the_server_and_a_used_port_is_reported(corpus: Path, tmp_path: Path) -> None:
    ours = create(tmp_path / "corpus").root
    tables_io.write_corpus_table(ours, CLIPS, [])
    with serving(ours, "--host", "0.0.0.0", "--public-url", "https://clips.example.org/") as open_:
        printed = " ".join(open_.lines)
        assert "no clips yet" in printed
        assert "Warning" in printed
        assert "https://clips.example.org" in printed
        open_.process.send_signal(signal.SIGINT)
        assert open_.process.wait(10) == 0
        assert open_.process.stderr is not None
        rest = open_.process.stderr.read()
        assert "Stopped." in rest
        assert "Traceback" not in rest
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "ossl_builder.cli.main", "-C", ours, "label", "serve",
             "--port", str(port)],
            capture_output=True, text=True, check=False, timeout=20,
        )  # fmt: skip
    assert done.returncode == 1
    assert f"Another program uses the port {port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_incomplete_requests_do_not_block_other_clients(
    corpus: Path, good: str, content: bytes
) -> None:
    """More connections than the limit of open files, each with half a header."""
    with serving(corpus, n_files=128) as server, ExitStack() as opened:
        at = urlsplit(server.base)
        assert at.port
        for number in range(200):
            half = opened.enter_context(socket.create_connection(("127.0.0.1", at.port), 10))
            with suppress(ConnectionError):
                half.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " if number % 2 else b"")
            if number % 50 == 49:
                assert server.ask(good).body == content
        server.process.send_signal(signal.SIGINT)
        lines = server.process.stderr.readlines() if server.process.stderr else []
    assert not any("Traceback" in line for line in lines)
    assert len(lines) < 5, lines


def test_a_request_that_never_ends_times_out(server: Server, good: str) -> None:
    at = urlsplit(server.base)
    assert at.port
    for first in (b"", b"GET / HT", f"HEAD {good} HTTP/1.1\r\nHost: x\r\n\r\nGET".encode()):
        with socket.create_connection(("127.0.0.1", at.port), 10) as half:
            half.sendall(first)
            got = b""
            while block := half.recv(65_536):
                got += block
            assert got.startswith(b"HTTP/1.1 200") if first.startswith(b"HEAD") else not got


def test_a_document_root_outside_the_films_folder_is_refused(corpus: Path, tmp_path: Path) -> None:
    """From the corpus, Label Studio would serve the annotator registry and the signing key."""
    (tmp_path / "link").symlink_to(corpus)
    (tmp_path / "films").symlink_to(corpus / "films")
    roots = (corpus, corpus.parent, Path("/"), corpus / "annotations", corpus / "films" / "..",
             tmp_path, tmp_path / "link", corpus / "filmsx")  # fmt: skip
    for root in roots:
        with pytest.raises(OsslError) as caught:
            make_clip_urls(corpus, "local-files", str(root))
        assert caught.value.code == "document_root_unsafe"
        films = (corpus / "films").resolve()
        assert f"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={films}" in caught.value.hint
    clip = clips_of(corpus)[0]
    linked = make_clip_urls(corpus, "local-files", str(tmp_path / "films"))
    assert linked == make_clip_urls(corpus, "local-files")
    assert str(url_key.key_path(corpus).name) not in linked.url_for(clip)


def test_other_kinds_of_address(corpus: Path) -> None:
    clip = clips_of(corpus)[0]
    store = make_clip_urls(corpus, "base", "https://bucket.example.org/ossl/")
    assert store.url_for(clip) == f"https://bucket.example.org/ossl/{clip.video_path}"
    local = make_clip_urls(corpus, "local-files")
    name = clip.video_path.removeprefix("films/")
    assert local.url_for(clip) == f"/data/local-files/?d={name}"
    assert make_clip_urls(corpus, "local-files", str(corpus / "films")) == local
    deeper = make_clip_urls(corpus, "local-files", str(corpus / "films" / clip.film_id))
    assert deeper.url_for(clip) == f"/data/local-files/?d={name.partition('/')[2]}"
    with pytest.raises(OsslError) as caught:
        deeper.url_for(clips_of(corpus)[1])
    assert caught.value.code == "outside_document_root"
    for wrong in ("", "bucket.example.org", "s3://bucket", "http://", "http://a?b=c"):
        with pytest.raises(OsslError, match="not a base URL"):
            make_clip_urls(corpus, "base", wrong)
    assert expires_at(make_clip_urls(corpus, now=1000.0).url_for(clip)) == 1000 + 30 * 86_400
    assert expires_at(store.url_for(clip)) is None


@pytest.mark.parametrize("how", ["wide", "copied", "shipped", "link"])
def test_a_key_that_others_may_know_is_replaced(
    ossl_here: RunCommand, corpus: Path, tmp_path: Path, how: str
) -> None:
    """The author of the corpus or a user of the same machine could sign addresses with it."""
    root = create(tmp_path / "corpus").root
    tables_io.write_corpus_table(root, CLIPS, clips_of(corpus))
    key, path = url_key.load_key(root), url_key.key_path(root)
    if how == "wide":
        path.chmod(0o640)
    elif how == "copied":
        copy = path.with_name("copy")
        copy.write_bytes(path.read_bytes())
        copy.chmod(0o600)
        copy.replace(path)
    elif how == "shipped":
        path.write_text(f"{'0' * 64}\n")
    else:
        path.rename(path.with_name("other.key"))
        path.symlink_to("other.key")
    words = ("-C", root, "label", "serve", "--host", "nowhere.invalid", "--port", "0")
    ended = ossl_here(*words)
    assert "relink" in ended.err
    anew = url_key.load_key(root)
    assert anew not in (key, bytes(32))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.is_symlink()
    assert "relink" not in ossl_here(*words).err
    assert url_key.load_key(root) == anew
