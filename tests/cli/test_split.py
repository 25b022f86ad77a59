"""`ossl split`: output, the splits table, and leaks in a table written by hand."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Ossl
from tests.fingerprint_corpus import FilmSpec, write_corpus

FILMS = [FilmSpec(f"f{number}") for number in range(8)]
TWIN = FilmSpec("twin", shares={0: ("f1", 1, "audio")})


def test_split_writes_the_table_and_is_idempotent(ossl: Ossl, corpus: Path) -> None:
    write_corpus(corpus, [*FILMS, TWIN])
    shown = ossl("-C", corpus, "split", "--dry-run", "--json")
    assert shown.code == 0
    assert not (corpus / "manifests/splits.parquet").exists()
    assert not (corpus / "records/splits.json").exists()
    done = ossl("-C", corpus, "split")
    assert done.code == 0
    assert "9 films newly assigned, 0 unchanged." in done.err
    assert "Shared material" in done.out
    table = (corpus / "manifests/splits.parquet").read_bytes()
    record = (corpus / "records/splits.json").read_bytes()
    again = ossl("-C", corpus, "split", "--json")
    assert (corpus / "manifests/splits.parquet").read_bytes() == table
    assert (corpus / "records/splits.json").read_bytes() == record
    assert again.json["splits"] == shown.json["splits"]
    assert sorted(shown.json["new"]) == sorted([*(film.film_id for film in FILMS), "twin"])
    assert again.json["new"] == []
    assert ossl("-C", corpus, "split", "--check").code == 0


def test_left_out_films_are_shown_with_the_reason(ossl: Ossl, corpus: Path) -> None:
    write_corpus(corpus, FILMS)
    found = ossl("-C", corpus, "split", "--json").json
    assert [split["films"] for split in found["splits"]] == [6, 1, 1]
    ends = [
        ossl("-C", corpus, "split", "--dry-run", "--forget", film.film_id, "--json").json["new"]
        for film in FILMS
    ]
    assert ends == [[film.film_id] for film in FILMS]
    torn = FilmSpec("torn", shares={0: ("f0", 0, "audio"), 1: ("f1", 0, "audio")})
    for number in range(1, 8):
        torn.shares = {0: ("f0", 0, "audio"), 1: (f"f{number}", 0, "audio")}
        write_corpus(corpus, [*FILMS, torn])
        result = ossl("-C", corpus, "split", "--dry-run")
        if "Left out" in result.out:
            break
    assert "because it shares material with films in two splits" in result.out
    assert result.code == 0


def test_leaks_in_a_table_made_by_hand_are_found(ossl: Ossl, corpus: Path, tmp_path: Path) -> None:
    write_corpus(corpus, [*FILMS, TWIN])
    rows = [f"{film.film_id},{film.clip_id(0)},train\n" for film in FILMS]
    by_hand = tmp_path / "by_hand.csv"
    by_hand.write_text("film_id,clip_id,split\n" + "".join(rows) + "twin,x,\n")
    assert ossl("-C", corpus, "split", "--check", "--table", by_hand).code == 0
    by_hand.write_text("film_id,clip_id,split\n" + "".join(rows) + "twin,x,test\nf2,y,test\n")
    found = ossl("-C", corpus, "split", "--check", "--table", by_hand, "--json")
    assert found.code == 3
    assert [(leak["kind"], leak["film_a"], leak["film_b"]) for leak in found.json] == [
        ("film", "f2", "f2"),
        ("audio", "f1", "twin"),
    ]
    shown = ossl("-C", corpus, "split", "--check", "--table", by_hand)
    assert "f1 (train) and twin (test) share music: f1_1 and twin_0 have 20 hashes" in shown.out
    by_hand.write_text("film_id,clip_id,split\nf1,x,dev\n")
    refused = ossl("-C", corpus, "split", "--check", "--table", by_hand)
    assert refused.code == 1
    assert "'dev' is not one of train, validation, test" in refused.err


def test_without_clips_the_message_names_the_next_command(ossl: Ossl, corpus: Path) -> None:
    result = ossl("-C", corpus, "split")
    assert result.code == 1
    assert "Run `ossl build`" in result.err
    unsplit = ossl("-C", corpus, "split", "--check")
    assert unsplit.code == 1
    assert "Run `ossl split`" in unsplit.err
