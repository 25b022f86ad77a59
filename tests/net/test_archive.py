"""The Internet Archive's items: reading, choosing, searching."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ossl_builder.errors import OsslError
from ossl_builder.net.archive_item import ArchiveItem, Site, read_item
from ossl_builder.net.archive_org import choose_file, fetch_item, item_of, search
from ossl_builder.net.retry import RetryPolicy
from tests.misbehaving import Answer, Misbehaving, misbehaving

GB = 10**9


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Misbehaving]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with misbehaving() as state:
        yield state


def site(server: Misbehaving) -> Site:
    return Site(
        metadata_url=f"{server.address}/metadata/",
        search_url=f"{server.address}/advancedsearch.php",
        download_url=f"{server.address}/download/",
        retry_policy=RetryPolicy(timeout_s=5, tries=2, wait_s=0.01, max_wait_s=1),
    )


def file(name: str, source: str = "original", **more: Any) -> dict[str, Any]:
    return {"name": name, "source": source, "format": "MPEG4", "size": "1000"} | more


def item(*files: Any, **more: Any) -> ArchiveItem:
    return read_item("thing", {"files": list(files)} | more, b"")


H264 = {"format": "h.264"}


@pytest.mark.parametrize(
    ("files", "name", "why"),
    [
        ([file("a.mp4")], "a.mp4", "the original video"),
        # Originals in the oldest format count, though yt-dlp skips them.
        ([file("a.mpeg"), file("a.mp4", "derivative", **H264)], "a.mpeg", "the original video"),
        (
            [file("a.MPG", size=str(9 * GB)), file("b.mp4", "derivative", **H264)],
            "b.mp4",
            "the h.264 derivative; the original is larger than 8 GB (a.MPG (MPEG4, 9.00 GB))",
        ),
        (
            [file("disc.iso"), file("b.ogv", "derivative", format="Ogg Video"),
             file("b.mp4", "derivative", format="h.264 IA"), file("c.jpg", "derivative")],
            "b.mp4",
            "the h.264 derivative; no original is a video",
        ),
        (
            [file("trailer.mp4", length="120.5"), file("film.mp4", length="1:30:00"),
             file("reel.mp4", length="30:00")],
            "film.mp4",
            "the longest of 3 original videos",
        ),
        (
            [file("big.mp4", size=str(9 * GB), length="9000"), file("a.mp4"), file("b.mp4")],
            "a.mp4",
            "the largest of 3 original videos that are no larger than 8 GB",
        ),
        ([file("a.mp4", private="true"), file("b.mp4")], "b.mp4", "the original video"),
    ],
)  # fmt: skip
def test_the_rule_that_selects_a_file(files: list[Any], name: str, why: str) -> None:
    choice = choose_file(item(*files), 8 * GB)
    assert (choice.name, choice.why) == (name, why)


@pytest.mark.parametrize(
    ("files", "wanted", "code", "message"),
    [
        ([file("a.mp4", size=str(9 * GB))], None, "too_large", "a.mp4 (MPEG4, 9.00 GB)"),
        ([file("a.mp4", size=str(9 * GB))], "a.mp4", "too_large", "a.mp4"),
        ([file("a.mp3"), file("b.ogv", "derivative")], None, "no_film", "b.ogv"),
        ([], None, "no_film", "none"),
        ([file("a.mp4")], "b.mp4", "file_missing", "a.mp4"),
    ],
)
def test_selection_errors_are_reported(
    files: list[Any], wanted: str | None, code: str, message: str
) -> None:
    with pytest.raises(OsslError, match=r"thing") as caught:
        choose_file(item(*files), 8 * GB, wanted)
    assert caught.value.code == code
    assert message in str(caught.value)


def test_a_named_file_overrides_the_rule() -> None:
    found = item(file("a.mp4"), file("b.ogv", "derivative"))
    choice = choose_file(found, 8 * GB, "b.ogv")
    assert (choice.name, choice.why) == ("b.ogv", "the file named in the source")


@pytest.mark.parametrize(
    ("names", "joined"),
    [
        (["VIDEO_TS/VTS_01_0.VOB", "VIDEO_TS/VTS_01_1.VOB", "VIDEO_TS/VTS_01_2.VOB"],
         ["VIDEO_TS/VTS_01_1.VOB", "VIDEO_TS/VTS_01_2.VOB"]),
        (["Film reel 2.mpg", "Film reel 1.mpg"], ["Film reel 1.mpg", "Film reel 2.mpg"]),
        (["film_part_III.mpeg", "film_part_I.mpeg", "film_part_II.mpeg"],
         ["film_part_I.mpeg", "film_part_II.mpeg", "film_part_III.mpeg"]),
        (["film 1of2.ts", "film 2of2.ts"], ["film 1of2.ts", "film 2of2.ts"]),
        ([f"film-disc{n}.mpg" for n in range(1, 12)], [f"film-disc{n}.mpg" for n in range(1, 12)]),
    ],
)  # fmt: skip
def test_parts_that_can_be_joined_are_chosen_together(names: list[str], joined: list[str]) -> None:
    choice = choose_file(item(*map(file, names)), 8 * GB)
    assert [part.name for part in choice.files] == joined
    assert choice.why == f"the {len(joined)} parts of the film, joined"
    # The recorded name selects the same files again.
    assert choose_file(item(*map(file, names)), 8 * GB, choice.name).files == choice.files


@pytest.mark.parametrize(
    "names",
    [
        ["film_part1.mp4", "film_part2.mp4"],
        ["Film CD1.avi", "Film CD2.avi"],
        ["film part 1.mpg", "film part 3.mpg"],  # one is missing
        ["show_01.mpg", "show_02.mpg"],  # these may be episodes
    ],
)
def test_parts_that_cannot_be_joined_are_refused_by_name(names: list[str]) -> None:
    with pytest.raises(OsslError) as caught:
        choose_file(item(*map(file, names)), 8 * GB)
    assert caught.value.code == "film_in_parts"
    assert all(name in str(caught.value) for name in names)


@pytest.mark.parametrize(
    ("files", "name"),
    [
        # The complete film is there as well as its parts.
        ([file("film.mp4", length="3600"), file("film_part1.mp4", length="1800"),
          file("film_part2.mp4", length="1800")], "film.mp4"),
        # A missing length is not 0.
        ([file("clip.mp4", length="0.04", size="100"), file("film.mpeg")], "film.mpeg"),
        ([file("trailer.mp4", length="90", size="9000"), file("film.mpeg")], "film.mpeg"),
        # A derivative has the length of its original.
        ([file("a.mp4", length="90", size="9000"), file("film.mpeg"),
          file("film.mp4", "derivative", original="film.mpeg", length="3600")], "film.mpeg"),
        # An empty file does not count.
        ([file("a.mp4", size="0", length="0"),
          file("a.ia.mp4", "derivative", format="h.264 IA", original="a.mp4")], "a.ia.mp4"),
        # Different films, or a film with extras.
        ([file("01. Whither.mkv", length="1700"), file("02. Sex.mkv", length="1750")],
         "02. Sex.mkv"),
        ([file("party_animals.mp4"), file("discovery.mp4", size="2000")], "discovery.mp4"),
    ],
)  # fmt: skip
def test_the_film_is_chosen_among_other_files(files: list[Any], name: str) -> None:
    assert choose_file(item(*files), 8 * GB).name == name


@pytest.mark.parametrize(
    ("names", "wanted", "name"),
    [
        (["01. Whither Canada?.mkv"], "01.+Whither+Canada?.mkv", "01. Whither Canada?.mkv"),
        (["A+B.mkv", "A B.mkv"], "A+B.mkv", "A+B.mkv"),
        (["A+B.mkv", "A B.mkv"], "A B.mkv", "A B.mkv"),
        (["A+B two.mkv"], "A+B+two.mkv", "A+B two.mkv"),
    ],
)
def test_a_plus_in_a_name_may_be_a_space(names: list[str], wanted: str, name: str) -> None:
    assert choose_file(item(*map(file, names)), 8 * GB, wanted).name == name


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("5400.12", 5400.12), ("90:00", 5400.0), ("1:30:00", 5400.0), (77, 77.0), ("", None),
        ("0", None), ("about 1 h", None), (None, None), ("-3", None), ("1e9", None), ("٣", None),
    ],
)  # fmt: skip
def test_lengths_in_all_their_forms(stated: object, expected: float | None) -> None:
    assert item(file("a.mp4", length=stated)).files[0].length_s == expected


def test_invalid_fields_are_empty_and_names_are_printable() -> None:
    found = item(
        "text", {"size": 3}, file("a\0b\ud800.mp4", size="many", sha1="x", md5=None, length=[]),
        server="evil.example/../", dir="/1/items/thing", metadata=["no"],
        alternate_locations={"workable": [{"server": "n1", "dir": "no/slash"}, 3], "servers": 4},
    )  # fmt: skip
    (only,) = found.files
    assert only.name == "a?b?.mp4"
    assert (only.size_bytes, only.sha1, only.md5, only.length_s) == (None, None, None, None)
    assert (found.server, found.alternate_locations, found.licence_url) == (None, (), None)


def test_addresses_start_with_the_download_host_and_have_each_node_once() -> None:
    node = {"server": "n1.example", "dir": "/1/items/thing"}
    found = item(
        file("sub/a b#ü.mp4"), **node,
        alternate_locations={
            "workable": [node, {"server": "n2.example", "dir": "/2/items/thing"}],
            "servers": [node],
        },
    )  # fmt: skip
    path = "sub/a%20b%23%C3%BC.mp4"
    assert found.addresses(found.files[0], Site()) == (
        f"https://archive.org/download/thing/{path}",
        f"https://n1.example/1/items/thing/{path}",
        f"https://n2.example/2/items/thing/{path}",
    )
    no_nodes = Site(download_url="https://mirror.example/", node_url="")
    assert found.addresses(found.files[0], no_nodes) == (f"https://mirror.example/thing/{path}",)


def test_an_item_is_read_and_its_document_kept(server: Misbehaving) -> None:
    server.put_item("thing", "a.mp4", b"film", about={"licenseurl": "l", "rights": "r"})
    found = fetch_item("thing", site(server))
    assert (found.licence_url, found.rights, found.files[0].size_bytes) == ("l", "r", 4)
    assert json.loads(found.document)["metadata"]["identifier"] == "thing"


@pytest.mark.parametrize(
    ("content", "answer", "code", "message"),
    [
        (b"{}", Answer(), "item_missing", "does not exist"),
        (b"[]", Answer(), "item_missing", "does not exist"),
        (b'{"is_dark": true}', Answer(), "item_missing", "was taken down"),
        (b"<html>", Answer(), "archive_unreachable", "not JSON"),
        (b'{"files": []}', Answer(stop_at=0.5), "archive_unreachable", "closed the connection"),
        (b"", Answer(503), "archive_unreachable", "answered 503"),
        (b"", Answer(429, (("Retry-After", "60"),)), "archive_unreachable", "alone for 60 s"),
        (b"", Answer(404), "item_missing", "does not exist"),
        (b"", Answer(302, (("Location", "/metadata/thing"),)), "archive_unreachable", "circles"),
    ],
)
def test_invalid_items_are_reported(
    server: Misbehaving, content: bytes, answer: Answer, code: str, message: str
) -> None:
    server.put("/metadata/thing", content, answer)
    with pytest.raises(OsslError, match=message) as caught:
        fetch_item("thing", site(server))
    assert caught.value.code == code


def test_invalid_identifiers_are_refused(server: Misbehaving) -> None:
    for identifier in ("../x", "a/b", "a b", "", "a\n", "x" * 101):
        with pytest.raises(OsslError):
            fetch_item(identifier, site(server))
    assert server.asked == []
    assert item_of("ia:thing/sub/a.mp4") == ("thing", "sub/a.mp4")
    assert item_of("ia:thing") == ("thing", None)


def test_a_search_gives_candidates(server: Misbehaving) -> None:
    docs = [
        {"identifier": "one", "title": ["One", "Eins"], "year": "1930", "item_size": 12,
         "licenseurl": "l", "downloads": 3},
        {"identifier": "two"},
    ]  # fmt: skip
    server.put("/advancedsearch.php", json.dumps({"response": {"docs": docs}}).encode())
    one, two = search("night", site(server), 2)
    assert (one.identifier, one.title, one.year) == ("one", "One; Eins", 1930)
    assert (one.size_bytes, one.licence_url, one.downloads) == (12, "l", 3)
    assert (two.title, two.year, two.licence_url, two.size_bytes) == ("", None, None, None)
    server.put("/advancedsearch.php", b'{"error": "bad query"}')
    with pytest.raises(OsslError, match="bad query") as caught:
        search("((", site(server), 2)
    assert caught.value.code == "search_failed"
