"""`ossl films check` and `search`, and the estimate before a large build, on loopback."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ossl_builder.stages.registry import STAGES
from ossl_builder.tables.catalogue import load_catalogue
from tests.cli.conftest import Ossl
from tests.cli.small_archive import SmallArchive, item, serving

CATALOGUE = load_catalogue()
OWN = ("--title", "T", "--basis", "licensed", "--evidence", "for tests")


@pytest.fixture
def archive(corpus: Path) -> Iterator[SmallArchive]:
    with serving() as site:
        (corpus / "ossl.yaml").write_text(
            f"fetch:\n  archive_url: {site.address}\n  archive_node_url: ''\n"
            "  tries: 2\n  wait_s: 0.0\n"
        )
        yield site


def add(ossl: Ossl, corpus: Path, film_id: str, source: object, *more: object) -> None:
    done = ossl("-C", corpus, "films", "add", source, "--id", film_id, *OWN, *more)
    assert done.code == 0, done.err


def states(ossl: Ossl, corpus: Path, *films: str) -> dict[str, str]:
    found = ossl("-C", corpus, "films", "check", *films, "--json").json
    return {finding["film_id"]: finding["state"] for finding in found}


def test_missing_sources_set_state_and_exit_code(
    ossl: Ossl, corpus: Path, archive: SmallArchive
) -> None:
    archive.items = {"item_one": item("item_one", film=(10, "0" * 40)), "no_film": item("no_film")}
    add(ossl, corpus, "one", "ia:item_one")
    assert ossl("-C", corpus, "films", "check").code == 0
    assert archive.asked == ["/metadata/item_one"], "one polite request per film"
    add(ossl, corpus, "two", "ia:item_two")
    add(ossl, corpus, "three", "ia:no_film")
    add(ossl, corpus, "four", "ia:item_one/other.mp4")
    result = ossl("-C", corpus, "films", "check")
    assert result.code == 3
    assert "item_two of the Internet Archive does not exist" in result.out
    assert states(ossl, corpus) == {"one": "ok", "two": "gone", "three": "gone", "four": "gone"}
    assert ossl("-C", corpus, "films", "check", "two", "three").code == 1
    # A film of the catalogue need not be in the corpus.
    film = CATALOGUE[0]
    assert states(ossl, corpus, film.film_id) == {film.film_id: "gone"}


def test_an_alternate_is_reported_for_a_missing_source(
    ossl: Ossl, corpus: Path, archive: SmallArchive
) -> None:
    film = next(film for film in CATALOGUE if film.alternates)
    other = film.alternates[0].removeprefix("ia:")
    archive.items = {other: item(other, film=(10, None))}
    ossl("-C", corpus, "films", "add", film.film_id, "--allow-unverified")
    result = ossl("-C", corpus, "films", "check", "--json")
    assert result.code == 0
    (found,) = result.json
    assert (found["state"], found["alternate"]) == ("alternate", film.alternates[0])


def test_a_server_that_is_down_is_unreachable_not_gone(
    ossl: Ossl, corpus: Path, archive: SmallArchive
) -> None:
    archive.is_down = True
    for number in range(3):
        add(ossl, corpus, f"film-{number}", f"ia:item_{number}")
    result = ossl("-C", corpus, "films", "check", "--json")
    assert result.code == 1
    assert {found["state"] for found in result.json} == {"unreachable"}
    # The first film is tried as often as the recipe says, the others once.
    assert len(archive.asked) == 2 + 1 + 1


def test_a_changed_file_is_reported_with_both_checksums(
    ossl: Ossl, corpus: Path, archive: SmallArchive, shared_media: Path
) -> None:
    film = (shared_media / "mixfilm" / "dev.mp4").read_bytes()
    sha1 = hashlib.sha1(film, usedforsecurity=False).hexdigest()
    document = item("dev_item", dev=(len(film), sha1))
    del document["files"][0]["length"]
    archive.items = {"dev_item": document}
    archive.pages = {"/download/dev_item/dev.mp4": (200, "video/mp4", film)}
    add(ossl, corpus, "dev", "ia:dev_item")
    fetched = ossl("-C", corpus, "fetch")
    assert fetched.code == 0, fetched.err
    assert "same checksum" in ossl("-C", corpus, "films", "check").out
    shown = ossl("-C", corpus, "films", "show", "dev", "--json").json
    assert (shown["film"]["chosen_file"], shown["film"]["original_sha1"]) == ("dev.mp4", sha1)
    assert shown["stages"]["fetch"].startswith("done on ")

    archive.items["dev_item"]["files"][0]["sha1"] = "1" * 40
    result = ossl("-C", corpus, "films", "check")
    assert result.code == 1
    assert sha1 in result.out
    assert "1" * 40 in result.out
    archive.items["dev_item"]["files"][0]["name"] = "other.mp4"
    assert states(ossl, corpus) == {"dev": "changed"}


def test_addresses_and_local_files_are_checked(
    ossl: Ossl, corpus: Path, archive: SmallArchive, tmp_path: Path
) -> None:
    archive.pages = {
        "/film.mp4": (200, "video/mp4", b"film"),
        "/busy": (503, "text/html", b""),
        "/page": (200, "text/html", b'<html><video src="/film.mp4"></video></html>'),
        "/empty": (200, "text/html", b"<html>The film was taken down.</html>"),
    }
    for name in ("film.mp4", "nosuch.mp4", "busy", "page", "empty"):
        add(ossl, corpus, name.partition(".")[0], f"{archive.address}/{name}")
    here = tmp_path / "here.mp4"
    here.write_bytes(b"film")
    add(ossl, corpus, "here", here, "--sha256", hashlib.sha256(b"film").hexdigest())
    add(ossl, corpus, "loose", here)
    add(ossl, corpus, "missing", tmp_path / "missing.mp4")
    assert states(ossl, corpus) == {
        "film": "ok", "nosuch": "gone", "busy": "unreachable", "page": "ok", "empty": "gone",
        "here": "ok", "loose": "ok", "missing": "gone",
    }  # fmt: skip
    here.write_bytes(b"another film")
    assert states(ossl, corpus, "here", "loose") == {"here": "changed", "loose": "ok"}


def test_a_search_lists_candidates_and_adds_nothing(
    ossl: Ossl, corpus: Path, archive: SmallArchive
) -> None:
    known = CATALOGUE[0].source.removeprefix("ia:")
    licence = "http://creativecommons.org/publicdomain/mark/1.0/"
    archive.hits = [
        {"identifier": known, "title": "A\nfilm", "year": "1930", "item_size": 1500000000},
        {"identifier": "other", "title": ["B", "C"], "licenseurl": licence},
    ]
    result = ossl("-C", corpus, "films", "search", "some words")
    assert result.code == 0
    assert "1.50" in result.out
    assert licence in result.out
    assert CATALOGUE[0].film_id in result.out
    assert "nothing was added" in result.err
    found: list[dict[str, Any]] = ossl("-C", corpus, "films", "search", "words", "--json").json
    assert [one["identifier"] for one in found] == [known, "other"]
    assert (found[0]["title"], found[0]["year"], found[0]["size_bytes"]) == (
        "A film", 1930, 1500000000,
    )  # fmt: skip
    assert (found[1]["licence_url"], found[1]["film_id"]) == (licence, None)
    assert len(ossl("-C", corpus, "films", "search", "x", "--rows", "1", "--json").json) == 1
    assert list((corpus / "films").iterdir()) == []
    archive.is_down = True
    down = ossl("-C", corpus, "films", "search", "words")
    assert (down.code, "Traceback" in down.err) == (1, False)


def test_a_large_build_is_estimated_before_it_starts(
    ossl: Ossl, corpus: Path, archive: SmallArchive
) -> None:
    for number in range(12):
        name = f"item_{number}"
        archive.items[name] = item(name, film=(2_000_000_000, None))
        add(ossl, corpus, f"film-{number:02}", f"ia:{name}")
    few = ossl("-C", corpus, "build", "--dry-run", "film-00", "film-01")
    assert "To fetch" not in few.err
    result = ossl("-C", corpus, "build", "--dry-run", "--json")
    assert "To fetch: 12 films, 24.0 GB (from the sizes of 8 of them), 1.3 h" in result.err
    assert "GB are free on the disk" in result.err
    assert len(result.json) == 12 * len(STAGES), "standard output holds the data only"
    assert len(archive.asked) == 8
    for document in archive.items.values():
        document["files"][0]["size"] = str(10**15)
    assert "To fetch: 12 films of unknown size" in ossl("-C", corpus, "build", "--dry-run").err
    archive.is_down = True
    archive.asked.clear()
    down = ossl("-C", corpus, "build", "--dry-run")
    assert down.code == 0
    assert "To fetch: 12 films of unknown size" in down.err
    assert len(archive.asked) == 1, "a server that is down is asked once"
    from_disk = ossl("-C", corpus, "build", "--dry-run", "--from", corpus)
    assert "To fetch" not in from_disk.err
    assert len(archive.asked) == 1


def test_fetch_from_a_folder_needs_no_network(
    ossl: Ossl, corpus: Path, archive: SmallArchive, shared_media: Path, tmp_path: Path
) -> None:
    add(ossl, corpus, "dev", "ia:dev_item")
    add(ossl, corpus, "other", "ia:other_item")
    folder = tmp_path / "a 'disk': #1"
    folder.mkdir()
    (folder / "dev.mp4").symlink_to(shared_media / "mixfilm" / "dev.mp4")
    result = ossl("-C", corpus, "fetch", "--from", folder, "--json")
    assert result.code == 3, result.err
    assert {end["film_id"]: end["state"] for end in result.json} == {
        "dev": "done",
        "other": "failed",
    }
    assert archive.asked == []
    assert ossl("-C", corpus, "fetch", "--from", tmp_path / "nowhere").code == 2
    archive.items = {"dev_item": item("dev_item", film=(10, "0" * 40))}
    assert states(ossl, corpus) == {"dev": "ok", "other": "gone"}
    again = ossl("-C", corpus, "build", "--until", "fetch", "--json", "dev")
    assert (again.code, "dev  fetch" in again.err) == (0, False)
