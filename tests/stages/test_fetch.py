"""The fetch stage: sources of a film, pinned checksums, and places of files."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ossl_builder import corpus as workspace
from ossl_builder.catalogue.source_address import source_of as recorded_source_of
from ossl_builder.engine import records
from ossl_builder.engine.records import Record
from ossl_builder.stages.fetch.stage import FETCH_STAGE
from ossl_builder.tables import Film
from tests.films import make_flash_and_click
from tests.misbehaving import Answer, Misbehaving
from tests.stages.conftest import Fetch, source_of

Films = tuple[bytes, bytes]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def row(corpus: Path) -> Film:
    (film,) = records.read_rows(corpus, FETCH_STAGE, "film")
    assert isinstance(film, Film)
    return film


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return tmp_path / "corpus"


@pytest.fixture
def film_file(corpus: Path) -> Path:
    return corpus / "films" / "film" / "source" / "film.mp4"


def refused(record: Record, code: str, *messages: str) -> None:
    assert (record.state, record.code) == ("failed", code), record.message
    for text in messages:
        assert text in f"{record.message} {record.hint}"


def test_the_row_has_the_evidence_of_an_archive_item(
    server: Misbehaving, fetch: Fetch, films: Films, corpus: Path, film_file: Path
) -> None:
    about = {
        "licenseurl": "https://creativecommons.org/publicdomain/mark/1.0/",
        "rights": ["a", "b"],
    }
    server.put_item("thing", "Old Film.mp4", films[0], about=about, stated={"length": "4.02"})
    source = source_of("ia:thing", country="US", is_claim=False)
    assert fetch(source).state == "done"
    film = row(corpus)
    assert (film.source, film.chosen_file, film.chosen_why) == (
        "ia:thing", "Old Film.mp4", "the original video",
    )  # fmt: skip
    assert film.original_sha1 == hashlib.sha1(films[0]).hexdigest()
    assert film.sha256 == sha256(film_file.read_bytes()) == sha256(films[0])
    assert (film.licence_url, film.rights_statement) == (about["licenseurl"], "a; b")
    assert (film.country, film.is_claim) == ("US", False)
    document = json.loads((film_file.parent / "metadata.json").read_bytes())
    assert document["metadata"]["rights"] == ["a", "b"]
    assert all("ossl-builder" in asked.agent for asked in server.asked)


def test_the_parts_of_a_film_are_joined_and_recorded(
    server: Misbehaving, fetch: Fetch, corpus: Path, tmp_path: Path
) -> None:
    make_flash_and_click(tmp_path / "whole.ts", 6)
    whole = (tmp_path / "whole.ts").read_bytes()
    packets = len(whole) // 188 // 2 * 188
    halves = {"Film reel 1.ts": whole[:packets], "Film reel 2.ts": whole[packets:]}
    first, second = halves
    server.put_item(
        "thing", first, halves[first], more_files=(server.stated(second, halves[second]),)
    )
    server.put(f"/download/thing/{second}", halves[second])
    assert fetch("ia:thing").state == "done"
    film = row(corpus)
    assert film.chosen_file == "Film reel 1.ts + Film reel 2.ts"
    assert film.chosen_why == "the 2 parts of the film, joined"
    assert film.file().duration_s == pytest.approx(6.0, abs=0.1)
    here = corpus / film.file().path
    assert here.read_bytes() == whole
    assert sorted(path.name for path in here.parent.iterdir()) == ["film.ts", "metadata.json"]
    # The same parts are fetched again and checked against the same checksum.
    here.unlink()
    assert fetch("ia:thing").state == "done"
    assert here.read_bytes() == whole
    here.unlink()
    server.put(f"/download/thing/{second}", halves[second][:-188])
    assert fetch("ia:thing").state == "failed"


def test_parts_that_cannot_be_joined_are_reported(
    server: Misbehaving, fetch: Fetch, films: Films
) -> None:
    other = server.stated("film_part2.mp4", films[1])
    server.put_item("thing", "film_part1.mp4", films[0], more_files=(other,))
    refused(fetch("ia:thing"), "film_in_parts", "film_part1.mp4", "film_part2.mp4")


def test_an_empty_original_does_not_hide_the_derivative(
    server: Misbehaving, fetch: Fetch, films: Films, corpus: Path
) -> None:
    empty = server.stated("a.mp4", b"") | {"length": "0"}
    derivative = {"source": "derivative", "format": "h.264 IA", "original": "a.mp4"}
    server.put_item("thing", "a.ia.mp4", films[0], stated=derivative, more_files=(empty,))
    assert fetch("ia:thing").state == "done"
    assert row(corpus).chosen_file == "a.ia.mp4"


def test_a_trailer_of_known_length_is_not_selected_as_the_film(
    server: Misbehaving, fetch: Fetch, films: Films, corpus: Path
) -> None:
    trailer = server.stated("trailer.mp4", films[1][:1000]) | {"length": "0.04"}
    server.put_item("thing", "film.mpeg", films[0], more_files=(trailer,))
    assert fetch("ia:thing").state == "done"
    assert row(corpus).chosen_file == "film.mpeg"


def test_an_address_with_a_plus_for_a_space(
    server: Misbehaving, fetch: Fetch, films: Films, corpus: Path
) -> None:
    server.put_item("plus", "01. Whither Canada?.mkv", films[0])
    address = "https://archive.org/details/plus/01.+Whither+Canada%3F.mkv"
    assert fetch(recorded_source_of(address)).state == "done"
    assert row(corpus).chosen_file == "01. Whither Canada?.mkv"


def test_the_next_node_resumes_the_download_of_a_failing_node(
    server: Misbehaving, fetch: Fetch, films: Films, film_file: Path
) -> None:
    server.put_item(
        "thing", "a.mp4", films[0], answers=(Answer(stop_at=0.25),),
        nodes=((Answer(503),), (Answer(stop_at=0.5),), (Answer(),)),
    )  # fmt: skip
    assert fetch("ia:thing", tries=1, wait_s=99.0).state == "done"
    assert film_file.read_bytes() == films[0]
    size = len(films[0])
    asked = [(one.path.split("/")[1], one.start or 0) for one in server.of("a.mp4")]
    quarter, half = round(0.25 * size), round(0.5 * size)
    assert asked == [("download", 0), ("node0", quarter), ("node1", quarter), ("node2", half)]
    assert sum(one.n_sent for one in server.of("a.mp4")) == size


def test_a_download_resumes_after_a_redirect(
    server: Misbehaving, fetch: Fetch, films: Films, film_file: Path
) -> None:
    elsewhere = server.put("/elsewhere.mp4", films[0], Answer(stop_at=0.5), Answer())
    server.put_item("thing", "a.mp4", films[0], answers=(Answer(302, (("Location", elsewhere),)),))
    assert fetch("ia:thing").state == "done"
    assert film_file.read_bytes() == films[0]
    assert [one.status for one in server.of("/elsewhere.mp4")] == [200, 206]


def test_another_node_is_used_if_one_has_a_damaged_copy(
    server: Misbehaving, fetch: Fetch, films: Films, film_file: Path
) -> None:
    server.put_item(
        "thing", "a.mp4", films[0], answers=(Answer(content=films[1]),), nodes=((Answer(),),)
    )
    assert fetch("ia:thing").state == "done"
    assert film_file.read_bytes() == films[0]


def test_an_unreachable_site_is_reported(fetch: Fetch) -> None:
    refused(fetch("http://127.0.0.1:9/a.mp4"), "unreachable", "127.0.0.1:9")
    refused(fetch("ia:thing", archive_url="http://127.0.0.1:9"), "archive_unreachable", "thing")


def test_other_sources_are_suggested_when_one_is_gone(server: Misbehaving, fetch: Fetch) -> None:
    refused(fetch(source_of("ia:gone", alternates="ia:x; ia:y")), "item_missing", "ia:x; ia:y")
    gone = source_of(server.address + "/gone.mp4", alternates="ia:x")
    refused(fetch(gone), "source_gone", "404", "known from ia:x")


def test_a_changed_file_is_refused_until_it_is_pinned(
    server: Misbehaving, fetch: Fetch, films: Films, film_file: Path
) -> None:
    before, now = films
    address = server.put("/a.mp4", before)
    assert fetch(address).state == "done"
    server.put("/a.mp4", now)
    film_file.unlink()
    for _ in range(2):
        refused(fetch(address), "content_changed", sha256(before), sha256(now))
        assert not film_file.exists()
    server.put("/a.mp4", before)
    assert fetch(address).state == "done"
    assert film_file.read_bytes() == before
    server.put("/a.mp4", now)
    assert fetch(source_of(address, sha256=sha256(now))).state == "done"
    assert film_file.read_bytes() == now


def test_the_old_file_stays_when_the_new_one_is_refused(
    server: Misbehaving, fetch: Fetch, films: Films, film_file: Path
) -> None:
    address = server.put("/a.mp4", films[0])
    assert fetch(address).state == "done"
    refused(fetch(source_of(address, sha256="0" * 64)), "content_changed", "0" * 64)
    assert film_file.read_bytes() == films[0]
    server.asked.clear()
    assert fetch(address).state == "done"
    assert server.asked == []


def test_a_file_replaced_in_the_archive_is_detected_before_its_download(
    server: Misbehaving, fetch: Fetch, films: Films, film_file: Path
) -> None:
    server.put_item("thing", "a.mp4", films[0])
    assert fetch("ia:thing").state == "done"
    film_file.unlink()
    server.put_item("thing", "a.mp4", films[1])
    server.asked.clear()
    old, new = (hashlib.sha1(film).hexdigest() for film in films)
    refused(fetch("ia:thing"), "content_changed", old, new)
    assert server.of("a.mp4") == []


def test_the_recorded_file_is_fetched_again_even_if_the_rule_would_choose_another(
    server: Misbehaving, fetch: Fetch, films: Films, film_file: Path, corpus: Path
) -> None:
    server.put_item("thing", "a.mp4", films[0])
    assert fetch("ia:thing").state == "done"
    film_file.unlink()
    longer = {"name": "b.mp4", "source": "original", "size": "9", "length": "9000"}
    server.put_item("thing", "a.mp4", films[0], more_files=(longer,))
    assert fetch("ia:thing").state == "done"
    assert row(corpus).chosen_file == "a.mp4"


def test_a_fetched_film_needs_no_network(
    server: Misbehaving, fetch: Fetch, films: Films, film_file: Path, corpus: Path
) -> None:
    server.put_item("thing", "a.mp4", films[0])
    assert fetch("ia:thing").state == "done"
    before, beside = row(corpus), (film_file.parent / "metadata.json").read_bytes()
    offline = {"archive_url": "http://127.0.0.1:9"}
    assert fetch(source_of("ia:thing", title="Better title"), **offline).state == "done"
    assert row(corpus) == replace(before, title="Better title")
    assert (film_file.parent / "metadata.json").read_bytes() == beside
    # A damaged copy is fetched again.
    film_file.write_bytes(films[1])
    refused(fetch("ia:thing", **offline), "archive_unreachable")
    assert fetch("ia:thing").state == "done"
    assert film_file.read_bytes() == films[0]


@pytest.mark.parametrize(
    "name",
    ["film.mp4", "thing.mkv", "deep/below/thing.mp4"],
)
def test_fetch_from_a_folder_by_name(
    name: str, fetch: Fetch, films: Films, tmp_path: Path, corpus: Path, film_file: Path
) -> None:
    stick = tmp_path / "stick"
    (stick / name).parent.mkdir(parents=True)
    (stick / name).write_bytes(films[0])
    (stick / "other.mp4").write_bytes(films[1])
    (stick / "film.txt").write_text("notes")
    offline = {"archive_url": "http://127.0.0.1:9", "from_dir": str(stick)}
    assert fetch("ia:thing", **offline).state == "done"
    assert film_file.read_bytes() == films[0]
    assert row(corpus).chosen_why == f"its name, in a folder: {Path(name).name}"
    assert row(corpus).original_sha1 is None


def test_fetch_from_a_folder_by_checksum(
    fetch: Fetch, films: Films, tmp_path: Path, film_file: Path
) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    (stick / "film.mp4").write_bytes(films[1])
    pinned = source_of("ia:thing", sha256=sha256(films[0]))
    offline = {"archive_url": "http://127.0.0.1:9", "from_dir": str(stick)}
    refused(fetch(pinned, **offline), "content_changed", sha256(films[0]), sha256(films[1]))
    (stick / "called otherwise.avi").write_bytes(films[0])
    assert fetch(pinned, **offline).state == "done"
    assert film_file.read_bytes() == films[0]


def test_a_folder_without_the_film_or_with_several_is_reported(
    fetch: Fetch, films: Films, tmp_path: Path
) -> None:
    stick = tmp_path / "stick"
    refused(fetch("ia:thing", from_dir=str(stick)), "folder_missing", str(stick))
    stick.mkdir()
    refused(fetch("ia:thing", from_dir=str(stick)), "not_in_folder", "ia:thing", str(stick))
    for name in ("film.mp4", "thing.mp4"):
        (stick / name).write_bytes(films[0])
    refused(fetch("ia:thing", from_dir=str(stick)), "several_files", "film.mp4, thing.mp4")


def test_a_local_file_is_checked_too(
    fetch: Fetch, films: Films, tmp_path: Path, corpus: Path
) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(films[0])
    refused(fetch(source_of(str(path), sha256="0" * 64)), "content_changed", sha256(films[0]))
    assert fetch(path.as_uri()).state == "done"
    assert (row(corpus).chosen_file, row(corpus).chosen_why) == (
        "a.mp4", "the file named as the source",
    )  # fmt: skip
    refused(fetch(str(tmp_path / "b.mp4")), "source_missing", "b.mp4")


EVIL = (
    "../../../evil.mp4", "/etc/evil.mp4", "a\0b.mp4", "x" * 300 + ".mp4", "🎬 café.mp4",
    "CON.mp4", "sub/dir/film.mp4", ".mp4", "..\\..\\evil.mp4", "film.mp4\n.exe.mp4", "-rf.mp4",
    "\ud800.mp4",
)  # fmt: skip


@pytest.mark.parametrize("name", EVIL, ids=lambda name: ascii(name)[:24])
def test_no_name_in_an_archive_item_leaves_the_films_folder(
    name: str, server: Misbehaving, fetch: Fetch, films: Films, tmp_path: Path, corpus: Path
) -> None:
    server.put_item("thing", name, films[0])
    # The film is served at any path that the name may give; only the local path matters.
    for path in ("/evil.mp4", "/etc/evil.mp4", "/download/etc/evil.mp4"):
        server.put(path, films[0])
    record = fetch("ia:thing")
    assert record.code in ("", "source_gone"), record.message
    check_no_other_files(tmp_path, corpus, record)


@pytest.mark.parametrize("name", EVIL, ids=lambda name: ascii(name)[:24])
def test_no_name_that_a_site_sends_leaves_the_films_folder(
    name: str, server: Misbehaving, fetch: Fetch, films: Films, tmp_path: Path, corpus: Path
) -> None:
    plain = "".join(one if one.isprintable() and one.isascii() else "_" for one in name)
    disposition = (("Content-Disposition", f'attachment; filename="{plain}"'),)
    address = server.put("/%2e%2e%2f.mp4", films[0], Answer(headers=disposition))
    record = fetch(address)
    assert record.state == "done", record.message
    check_no_other_files(tmp_path, corpus, record)


def check_no_other_files(tmp_path: Path, corpus: Path, record: Record) -> None:
    made = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    allowed = {corpus / "records/fetch/film.json"}
    if record.state == "done":
        allowed.add(corpus / "records/fetch/film.rows.json")
        allowed |= {corpus / f"films/film/source/{name}" for name in ("film.mp4", "metadata.json")}
    assert set(made) == allowed
    assert not list(Path.cwd().glob("*evil*"))


def test_an_item_that_is_a_path_is_refused(server: Misbehaving, fetch: Fetch) -> None:
    for source in ("ia:../thing", "ia:thing/../../x.mp4", "ia:", "ia:a b"):
        refused(fetch(source), "source_invalid")
    assert server.asked == []


def ossl(corpus: Path, *arguments: str, **settings: Any) -> list[str]:
    overrides = [
        text for key, value in settings.items() for text in ("--set", f"fetch.{key}={value}")
    ]
    return [
        sys.executable,
        "-m",
        "ossl_builder.cli.main",
        "-C",
        str(corpus),
        *arguments,
        *overrides,
    ]


@pytest.mark.parametrize("kind", ["archive", "site"])
def test_a_killed_fetch_is_resumed(
    kind: str, server: Misbehaving, films: Films, corpus: Path, film_file: Path
) -> None:
    slow = Answer(bytes_per_s=len(films[0]) / 4)
    if kind == "archive":
        server.put_item("thing", "a.mp4", films[0], answers=(slow, Answer()))
        address = "ia:thing"
    else:
        address = server.put("/a.mp4", films[0], Answer(), slow, Answer())
    workspace.create(corpus).record_source(source_of(address))
    command = ossl(corpus, "fetch", archive_url=server.address, min_kbps=0)
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    part = film_file.parents[1] / ".source.partial" / "film.download.part"
    until = time.monotonic() + 60
    while time.monotonic() < until and not (part.exists() and part.stat().st_size > 20_000):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    came = part.stat().st_size
    assert 20_000 < came < len(films[0])
    server.asked.clear()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert film_file.read_bytes() == films[0]
    last = server.of("a.mp4")[-1]
    assert (last.start, last.status, last.n_sent) == (came, 206, len(films[0]) - came)


def test_at_most_two_downloads_run_at_once(server: Misbehaving, films: Films, corpus: Path) -> None:
    made = workspace.create(corpus)
    for number in range(4):
        item = f"thing{number}"
        server.put_item(item, "a.mp4", films[0], answers=(Answer(bytes_per_s=len(films[0])),))
        made.record_source(source_of(f"ia:{item}", film_id=f"film{number}"))
    command = ossl(corpus, "fetch", "--workers", "4", archive_url=server.address, min_kbps=0)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert server.most_at_once == 2
