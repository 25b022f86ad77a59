"""Commands that work on an imported corpus, and commands that are refused."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pandas
import pytest

from ossl_builder.imports.release_format import ReleasedFilm
from ossl_builder.imports.rows import source_row
from ossl_builder.rights import judge, verdict
from tests.command_result import RunCommand
from tests.e2e.corpora import Ossl, rows
from tests.train.labelled_corpus import copied, store_all


@pytest.fixture(scope="session")
def imported(ossl: Ossl, whole_v1: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("imported") / "corpus"
    ossl("import", "ossl-v1", whole_v1, "--out", folder, code=3)  # one film is in two splits
    return folder


@pytest.fixture
def corpus(imported: Path, tmp_path: Path) -> Path:
    """A copy of it: files are replaced or removed, never written into."""
    return copied(imported, tmp_path / "corpus")


def test_statistics_checks_and_exports(run: RunCommand, corpus: Path, tmp_path: Path) -> None:
    stats = run("-C", corpus, "stats", "--json").json
    assert stats["films"]["by_basis"] == {"unknown": 3}
    assert stats["labels"]["by_quadrant"] == {"Q1": 2, "Q2": 1, "Q3": 1, "Q4": 1}
    asked = run("-C", corpus, "query", "SELECT count(*) n FROM clips JOIN films USING (film_id)")
    assert asked.out.split() == ["n", "8"]
    checked = run("-C", corpus, "split", "--check")
    assert (checked.code, "3 of the films have no fingerprints" in checked.err) == (0, True)
    assert run("-C", corpus, "split").code == 0
    assert {row["film_id"]: row["split"] for row in rows(corpus, "splits")}["AC"] == "validation"
    assert {row["verdict"] for row in rows(corpus, "films")} == {"unknown"}
    refused = run("-C", corpus, "export", "parquet", "--out", tmp_path / "plain")
    assert (refused.code, "AA (unknown), AB (unknown), AC (unknown)" in refused.err) == (1, True)
    plainly = ("export", "parquet", "--out", tmp_path / "plain", "--allow-unverified")
    assert run("-C", corpus, *plainly).code == 0
    plain = pandas.read_parquet(tmp_path / "plain/manifests/clips.parquet")
    assert all((tmp_path / "plain" / path).is_file() for path in plain["music_path"])
    hub = ("export", "hf", "--out", tmp_path / "hf", "--allow-unverified")
    assert run("-C", corpus, *hub).code == 0
    card = (tmp_path / "hf/README.md").read_text()
    rights = card.split("## Films and their rights")[1]
    assert rights.count("| unknown | unknown | None: its clips were imported from") == 3
    assert "Imported from the layout ossl-v1" in card
    assert "evidence of its rights" not in card.split("##")[0]
    described = ("export", "croissant", "--out", tmp_path / "described", "--allow-unverified")
    assert run("-C", corpus, *described).code == 0
    told = json.loads((tmp_path / "described/croissant.json").read_text())
    assert "publicdomain" not in told["license"]


def test_an_imported_film_is_not_judged_by_the_catalogue() -> None:
    """Its id may be in the catalogue, but its clips may come from another film."""
    source = source_row(ReleasedFilm("steamboat-willie-1928", "x", "X"), "ossl-v1", "v1")
    assert judge(verdict.facts_of_source(source), date(2026, 1, 1)).word == "unknown"


def test_fingerprints_find_material_shared_by_two_splits(
    run: RunCommand, v1: Path, tmp_path: Path
) -> None:
    for ending in ("mp4", "wav"):  # AC_0 (validation) becomes AB_0 (train)
        (v1 / f"AC_0.{ending}").unlink()
        (v1 / f"AC_0.{ending}").hardlink_to(v1 / f"AB_0.{ending}")
    for path in (*v1.glob("AA_*"), v1 / "AB_1.wav", v1 / "AC_1.wav", v1 / "AC_2.wav"):
        path.unlink()
    corpus = tmp_path / "corpus"
    run("import", "ossl-v1", v1, "--out", corpus)
    planned = run("-C", corpus, "fingerprints", "--dry-run", "--json").json
    assert [(one["item_id"], one["action"]) for one in planned] == [("AB", "run"), ("AC", "run")]
    taken = run("-C", corpus, "fingerprints", "--json")
    assert (taken.code, [one["state"] for one in taken.json]) == (0, ["done", "done"])
    assert all(len(row["audio_hashes"]) > 20 for row in rows(corpus, "fingerprints"))
    planned = run("-C", corpus, "fingerprints", "--dry-run", "--json").json
    assert {one["action"] for one in planned} == {"fresh"}
    checked = run("-C", corpus, "split", "--check", "--json")
    assert checked.code == 3
    assert {(leak["kind"], leak["clip_a"], leak["clip_b"]) for leak in checked.json} == {
        ("audio", "AB_0", "AC_0"), ("video", "AB_0", "AC_0"),
    }  # fmt: skip


def test_nothing_is_built_or_cleaned_and_labels_survive(run: RunCommand, corpus: Path) -> None:
    tables = {path.name: path.read_bytes() for path in (corpus / "manifests").iterdir()}
    for words in (["build"], ["clips", "AA"], ["clean"], ["films", "remove", "AA"], ["fetch"]):
        result = run("-C", corpus, *words)
        assert (result.code, "its films are not here" in result.err) == (1, True), words
    assert run("-C", corpus, "status", "--json").json["orphans"] == []
    assert run("-C", corpus, "label", "merge").code == 0
    assert {path.name: path.read_bytes() for path in (corpus / "manifests").iterdir()} == tables
    (corpus / "films/AB/clips/AB_0.wav").unlink()
    result = run("-C", corpus, "verify", "--json")
    assert (result.code, result.json) == (
        1, [{"path": "films/AB/clips/AB_0.wav", "problem": "is gone"}]
    )  # fmt: skip


def test_fit_reads_an_imported_corpus(
    run: RunCommand, corpus: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    before = torch.get_num_threads()
    monkeypatch.setattr("sys.argv", ["ossl"])
    copied(tiny_models, corpus / "train/models")
    (corpus / "train/models/written").touch()
    torch.set_num_threads(1)
    try:
        store_all(corpus)
        found = run("-C", corpus, "train", "fit", "--recipe", "tiny_cpu", "--dry-run", "--json")
    finally:
        torch.set_num_threads(before)
    assert found.code == 0, found.err
    assert found.json["train_windows"] >= 5
    assert found.json["validation_windows"] >= 2
