"""`ossl films explain`, and that a film whose rights are unknown is not built."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from ossl_builder.corpus import open_corpus
from ossl_builder.rights.verdict import build_refusal
from ossl_builder.stages.registry import STAGES
from ossl_builder.tables.catalogue import load_catalogue
from tests.cli.conftest import Ossl
from tests.command_result import RunCommand

CATALOGUE = load_catalogue()
UNKNOWN = ("--title", "T", "--basis", "unknown", "--evidence", "none", "--year", "1950")


@pytest.mark.parametrize(
    ("basis", "sentence"),
    [
        ("expired_95y", "Free in the United States: its term has ended"),
        ("not_renewed", "Free in the United States: its copyright was not renewed."),
        ("no_notice", "it was published without a copyright notice."),
        ("us_government_work", "It is not known whether this film is free"),
        ("unstated", "It is not known whether this film is free"),
    ],
)
def test_explain_a_film_of_each_basis(ossl: Ossl, basis: str, sentence: str) -> None:
    film = next(one for one in CATALOGUE if one.pd_basis == basis)
    result = ossl("films", "explain", film.film_id, "--on", "2026-11-22")
    assert result.code == 0
    assert result.out.startswith(f"{film.title} ({film.year}), {film.film_id}\n\n")
    assert sentence in result.out
    for part in ("\nWhy:\n1. ", "\nEvidence:\n- ", "\n- Songs: ", "\n- Territory: "):
        assert part in result.out
    assert "This is no legal advice." in result.out
    found = ossl("films", "explain", film.film_id, "--on", "2026-11-22", "--json").json
    assert found["is_free"] == ("It is not known" not in sentence)


def test_the_verdict_depends_on_the_date(ossl: Ossl) -> None:
    film = next(
        one for one in CATALOGUE if (one.year, one.country) == (1930, "") and one.tier == "A"
    )
    before = ossl("films", "explain", film.film_id, "--on", "2025-12-31", "--json").json
    after = ossl("films", "explain", film.film_id, "--on", "2026-01-01", "--json").json
    assert (before["word"], before["changes_on"]) == ("unknown", "2026-01-01")
    assert (after["word"], after["holds_from"]) == ("expired", "2026-01-01")


def test_an_unknown_film_id_gives_suggestions(ossl: Ossl) -> None:
    result = ossl("films", "explain", CATALOGUE[0].film_id.upper())
    assert result.code == 1
    assert f"Is it one of these: {CATALOGUE[0].film_id}" in result.err


def test_a_film_with_unknown_rights_is_reported_and_not_built(
    ossl: Ossl, corpus: Path, tmp_path: Path
) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"no film, and never opened")
    added = ossl("-C", corpus, "films", "add", film, "--id", "dark", *UNKNOWN)
    assert added.code == 0
    assert "dark will not be built" in added.err
    plan = ossl("-C", corpus, "build", "--dry-run", "--json").json
    assert [entry["action"] for entry in plan] == ["refused", *["blocked"] * (len(STAGES) - 1)]

    built = ossl("-C", corpus, "build", "--json")
    assert built.code == 0, "being rejected is no fault"
    (end,) = built.json
    assert (end["state"], end["code"]) == ("rejected", "rights_unknown")
    assert "ossl films explain dark" in end["message"]
    assert "ossl films add dark --allow-unverified" in end["message"]
    assert "rights_unknown" in built.err
    assert not (corpus / "films/dark/source").exists()
    assert not (corpus / "records/fetch").exists(), "the day decides, so nothing is recorded"
    (rejected,) = ossl("-C", corpus, "status", "--json").json["rejected"]
    assert (rejected["film_id"], rejected["code"]) == ("dark", "rights_unknown")
    alone = ossl("-C", corpus, "fetch", "dark", "--json").json
    assert alone[0]["code"] == "rights_unknown"

    # The hint works: now the file is opened, and it is not a film.
    assert ossl("-C", corpus, "films", "add", "dark", "--allow-unverified").code == 0
    explained = ossl("-C", corpus, "films", "explain", "dark")
    assert "builds the film because" in explained.err
    built = ossl("-C", corpus, "fetch", "--json")
    assert (built.code, built.json[0]["code"]) == (1, "not_media")


def test_a_film_may_be_built_from_1_january_after_its_term(ossl: Ossl, corpus: Path) -> None:
    claim = ("--title", "T", "--basis", "expired_95y", "--evidence", "opened in May")
    ossl("-C", corpus, "films", "add", "a.mp4", "--id", "a", *claim, "--year", "1931")
    source = open_corpus(corpus).source("a")
    refusal = build_refusal(source, date(2026, 12, 31))
    assert refusal is not None
    assert "ossl films explain a" in refusal
    assert build_refusal(source, date(2027, 1, 1)) is None


def test_a_film_leaves_the_tables_when_allow_unverified_is_withdrawn(
    ossl: Ossl, corpus: Path, shared_media: Path
) -> None:
    import pyarrow.parquet as pq

    film = shared_media / "mixfilm" / "dev.mp4"
    add = ("-C", corpus, "films", "add", film, "--id", "dark", *UNKNOWN)
    assert ossl(*add, "--allow-unverified").code == 0
    assert ossl("-C", corpus, "fetch").code == 0
    table = corpus / "manifests/films.parquet"
    assert pq.read_table(table).num_rows == 1
    assert ossl(*add).code == 0
    assert ossl("-C", corpus, "fetch").code == 0
    assert pq.read_table(table).num_rows == 0


def test_a_licence_without_a_name_or_an_address_is_a_risk(
    ossl_here: RunCommand, tmp_path: Path
) -> None:
    corpus = tmp_path / "corpus"
    assert ossl_here("init", corpus).code == 0
    for name, evidence in (("named", "CC BY 4.0"), ("there", "https://x.org/l"), ("none", "ok")):
        (tmp_path / f"{name}.mp4").touch()
        added = ossl_here(
            "-C", corpus, "films", "add", tmp_path / f"{name}.mp4", "--id", name, "--title", name,
            "--basis", "licensed", "--evidence", evidence,
        )  # fmt: skip
        assert added.code == 0
        told = ossl_here("-C", corpus, "films", "explain", name, "--json").json
        assert told["is_free"]
        assert ("licence" in {risk["kind"] for risk in told["risks"]}) == (name == "none")
