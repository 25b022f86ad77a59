"""`ossl films list`, `show`, `add` and `remove`: the catalogue and the films of a corpus."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ossl_builder.tables.catalogue import load_catalogue
from tests.cli.conftest import Ossl
from tests.command_result import CommandResult

CATALOGUE = load_catalogue()
A, B, C = (next(film for film in CATALOGUE if film.tier == tier) for tier in "ABC")
OWN = ("--title", "Mine", "--basis", "licensed", "--evidence", "a letter of 2020")


def source(corpus: Path, film_id: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((corpus / f"films/{film_id}/source.json").read_text())
    return found


def ids_in_corpus(ossl: Ossl, corpus: Path) -> set[str]:
    entries = ossl("-C", corpus, "films", "list", "--in-corpus", "--json").json
    assert all(entry["in_corpus"] for entry in entries)
    return {entry["film_id"] for entry in entries}


def nothing_added(result: CommandResult, corpus: Path, code: int) -> None:
    assert result.code == code, result.err
    assert "Traceback" not in result.err
    assert list((corpus / "films").iterdir()) == []


def test_the_catalogue_is_listed_without_a_corpus(
    ossl: Ossl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = ossl("films", "list", "--json")
    assert result.code == 0
    assert [entry["film_id"] for entry in result.json] == [film.film_id for film in CATALOGUE]
    assert not any(entry["in_corpus"] for entry in result.json)
    assert {entry["tier"] for entry in result.json} == {"A", "B", "C"}
    (one,) = [entry for entry in result.json if entry["film_id"] == A.film_id]
    assert (one["title"], one["year"], one["source"]) == (A.title, A.year, A.source)
    assert one["pd_evidence"] == A.pd_evidence
    table = ossl("films", "list", "--tier", "C")
    assert len(table.out.splitlines()) == 1 + sum(film.tier == "C" for film in CATALOGUE)
    assert "This is no legal advice." in table.err
    assert "no corpus here" in table.err
    assert ossl("films", "list", "--tier", "D").code == 2
    assert ossl("films", "list", "--in-corpus").code == 1
    assert "is not a corpus" in ossl("-C", tmp_path / "nowhere", "films", "list").err


def test_listing_loads_no_large_library(tmp_path: Path) -> None:
    """It takes 0.8 s, most of it for Typer and pydantic; each of these would double that."""
    program = (
        "import sys; sys.argv = ['ossl', 'films', 'list']\n"
        "from ossl_builder.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print('LOADED', *sorted({name.split('.')[0] for name in sys.modules}))"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, cwd=tmp_path, text=True
    ).stdout
    listed, loaded = told.split("LOADED ")
    assert CATALOGUE[0].film_id in listed
    large = {"av", "cv2", "jinja2", "numpy", "pandas", "pyarrow", "scipy", "torch", "transformers"}
    assert not large & set(loaded.split())
    assert "pydantic" in loaded


def test_list_marks_the_films_of_the_corpus(ossl: Ossl, corpus: Path) -> None:
    assert ids_in_corpus(ossl, corpus) == set()
    assert ossl("-C", corpus, "films", "add", A.film_id).code == 0
    assert ids_in_corpus(ossl, corpus) == {A.film_id}
    recorded = source(corpus, A.film_id)
    assert recorded["evidence"] == A.pd_evidence
    assert (recorded["basis"], recorded["source"]) == (A.pd_basis, A.source)
    assert (recorded["is_claim"], recorded["allow_unknown"]) == (False, False)
    everything = ossl("-C", corpus, "films", "list", "--json").json
    assert len(everything) == len(CATALOGUE)
    assert [entry["film_id"] for entry in everything if entry["in_corpus"]] == [A.film_id]
    assert ossl("-C", corpus, "films", "remove", A.film_id).code == 0
    assert ids_in_corpus(ossl, corpus) == set()


def test_adding_a_tier_keeps_films_that_are_already_there(ossl: Ossl, corpus: Path) -> None:
    digest = "0123456789ABCDEF" * 4
    assert ossl("-C", corpus, "films", "add", A.film_id, "--sha256", digest).code == 0
    assert ossl("-C", corpus, "films", "add", "--tier", "A").code == 0
    tier_a = {film.film_id for film in CATALOGUE if film.tier == "A"}
    assert ids_in_corpus(ossl, corpus) == tier_a
    assert source(corpus, A.film_id)["sha256"] == digest.lower()
    # A film that is added again by its id keeps its pinned checksum.
    assert ossl("-C", corpus, "films", "add", A.film_id).code == 0
    assert source(corpus, A.film_id)["sha256"] == digest.lower()
    again = ossl("-C", corpus, "films", "add", "--tier", "A")
    assert (again.code, "already has all" in again.err) == (0, True)


@pytest.mark.parametrize("film", [B, C], ids=["B", "C"])
def test_a_film_not_shown_to_be_free_needs_allow_unverified(ossl: Ossl, corpus: Path, film) -> None:
    refused = ossl("-C", corpus, "films", "add", A.film_id, film.film_id)
    nothing_added(refused, corpus, 1)
    assert f"{film.film_id} (tier {film.tier})" in refused.err
    assert "--allow-unverified" in refused.err
    assert f"ossl films explain {film.film_id}" in refused.err
    assert ossl("-C", corpus, "films", "add", film.film_id, "--allow-unverified").code == 0
    assert source(corpus, film.film_id)["allow_unknown"] is True


def test_tier_b_needs_allow_unverified_and_tier_c_cannot_be_added_as_a_tier(
    ossl: Ossl, corpus: Path
) -> None:
    nothing_added(ossl("-C", corpus, "films", "add", "--tier", "B"), corpus, 1)
    refused = ossl("-C", corpus, "films", "add", "--tier", "C", "--allow-unverified")
    nothing_added(refused, corpus, 2)
    assert "by their ids only" in refused.err
    nothing_added(ossl("-C", corpus, "films", "add", "--tier", "D"), corpus, 2)
    assert ossl("-C", corpus, "films", "add", "--tier", "B", "--allow-unverified").code == 0
    assert ids_in_corpus(ossl, corpus) == {film.film_id for film in CATALOGUE if film.tier == "B"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "--tier A"),
        (["no-such-film"], 1, "no film 'no-such-film'"),
        ([A.film_id[:-1]], 1, f"Is it one of these: {A.film_id}"),
        ([A.film_id, "no-such-film"], 1, "no film 'no-such-film'"),
        ([A.film_id, "mine.mp4"], 2, "--id, --title, --basis, --evidence are missing"),
        (["mine.mp4", "--id", "mine", "--title", "Mine"], 2, "--basis, --evidence are missing"),
        (["mine.mp4", "--id", "mine", *OWN[:-1], " "], 2, "--evidence is missing"),
        (["mine.mp4", "--id", "../mine", *OWN], 1, "cannot be a film id"),
        (["mine.mp4", "--id", "🎬", *OWN], 1, "cannot be a film id"),
        (["mine.mp4", "--id", "a" * 65, *OWN], 1, "cannot be a film id"),
        (["a.mp4", "b.mp4", "--id", "mine", *OWN], 2, "speak of one film"),
        ([A.film_id, "--sha256", "abc"], 1, "is not a SHA-256"),
        (["--tier", "A", "--sha256", "0" * 64], 2, "of one film"),
        (["ia:../../etc", "--id", "mine", *OWN], 1, "is not a source of the Internet Archive"),
        (["ia:a/../../b.mp4", "--id", "mine", *OWN], 1, "is not a source of the Internet Archive"),
        (["ftp://a.example/b.mp4", "--id", "mine", *OWN], 1, "is not an address that films"),
        (["https://archive.org/about/", "--id", "mine", *OWN], 1, "is not an item"),
        (["https://archive.org/download/a/..%2Fb", "--id", "mine", *OWN], 1, "is not a source"),
        (["ia:unknown_item"], 2, "--id, --title, --basis, --evidence are missing"),
    ],
)
def test_invalid_films_are_reported_and_nothing_is_added(
    ossl: Ossl, corpus: Path, arguments: list[str], code: int, message: str
) -> None:
    done = ossl("-C", corpus, "films", "add", *arguments)
    nothing_added(done, corpus, code)
    assert message in done.flat_err


@pytest.mark.parametrize(
    ("written", "recorded"),
    [
        ("ia:{identifier}", "ia:{identifier}"),
        ("ia:{identifier}/disc 1/a.mp4", "ia:{identifier}/disc 1/a.mp4"),
        ("https://archive.org/details/{identifier}", "ia:{identifier}"),
        ("http://www.archive.org/details/{identifier}/?x=1#y", "ia:{identifier}"),
        ("https://archive.org/download/{identifier}/a%20b.mp4", "ia:{identifier}/a b.mp4"),
        ("https://ia800.us.archive.org/7/items/{identifier}/a.mp4", "ia:{identifier}/a.mp4"),
    ],
)
def test_archive_addresses_become_item_sources(
    ossl: Ossl, corpus: Path, written: str, recorded: str
) -> None:
    identifier = A.source.removeprefix("ia:")
    done = ossl("-C", corpus, "films", "add", written.format(identifier=identifier))
    assert done.code == 0, done.err
    kept = source(corpus, A.film_id)
    assert kept["source"] == recorded.format(identifier=identifier)
    assert kept["evidence"] == A.pd_evidence
    # An item that is not in the catalogue is a film of the user.
    other = ("-C", corpus, "films", "add", written.format(identifier="other_item"))
    assert ossl(*other, "--id", "other", *OWN).code == 0
    assert source(corpus, "other")["source"] == recorded.format(identifier="other_item")
    assert source(corpus, "other")["is_claim"] is True


def test_an_alternate_source_gives_the_catalogued_film(ossl: Ossl, corpus: Path) -> None:
    film = next(film for film in CATALOGUE if film.alternates)
    add = ("-C", corpus, "films", "add", film.alternates[0], "--allow-unverified")
    assert ossl(*add).code == 0
    kept = source(corpus, film.film_id)
    assert kept["source"] == film.alternates[0]
    assert film.source in str(kept["alternates"]).split("; ")
    twice = ossl(*add, film.film_id)
    assert (twice.code, "asked for twice" in twice.err) == (2, True)


@pytest.mark.parametrize("address", ["https://a.example/film?id=1", "file:///a%20b/film.mp4"])
def test_a_users_film_is_recorded_as_a_claim(ossl: Ossl, corpus: Path, address: str) -> None:
    done = ossl("-C", corpus, "films", "add", address, "--id", "mine", *OWN, "--country", "DE")
    assert done.code == 0, done.err
    kept = source(corpus, "mine")
    assert (kept["source"], kept["country"]) == (address, "DE")
    assert (kept["is_claim"], kept["allow_unknown"]) == (True, False)
    entries = ossl("-C", corpus, "films", "list", "--json").json
    (one,) = [entry for entry in entries if entry["film_id"] == "mine"]
    assert (one["tier"], one["in_corpus"], one["pd_basis"]) == (None, True, "licensed")
    shown = ossl("-C", corpus, "films", "show", "mine")
    assert "a letter of 2020" in shown.out
    assert ossl("-C", corpus, "films", "show", "mine", "--json").json["catalogue"] == {}


def test_a_claim_on_a_catalogued_film_is_not_overwritten(ossl: Ossl, corpus: Path) -> None:
    add = ("-C", corpus, "films", "add")
    assert ossl(*add, "mine.mp4", "--id", B.film_id, *OWN).code == 0
    assert ossl(*add, B.film_id, "--sha256", "0" * 64).code == 0
    kept = source(corpus, B.film_id)
    assert (kept["is_claim"], kept["evidence"]) == (True, "a letter of 2020")
    assert kept["sha256"] == "0" * 64


def test_a_claim_on_a_catalogued_film_needs_only_basis_and_evidence(
    ossl: Ossl, corpus: Path
) -> None:
    add = ("-C", corpus, "films", "add", B.film_id, "--basis", "licensed")
    nothing_added(ossl(*add), corpus, 2)
    assert ossl(*add, "--evidence", "a letter of 2020").code == 0
    kept = source(corpus, B.film_id)
    assert (kept["title"], kept["year"], kept["source"]) == (B.title, B.year, B.source)
    assert (kept["evidence"], kept["is_claim"]) == ("a letter of 2020", True)


def test_show_prints_catalogue_and_corpus(ossl: Ossl, corpus: Path) -> None:
    shown = ossl("-C", corpus, "films", "show", B.film_id)
    assert B.pd_evidence in shown.out
    found = ossl("-C", corpus, "films", "show", B.film_id, "--json").json
    assert (found["catalogue"]["tier"], found["corpus"], found["refusal"]) == ("B", {}, None)
    assert "no film 'nosuch'" in ossl("-C", corpus, "films", "show", "nosuch").err
