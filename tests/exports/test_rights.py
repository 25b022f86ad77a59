"""All exports, the report and the statistics give the same rights verdict of a film."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pandas
import pytest

from ossl_builder.corpus import Corpus, open_corpus
from ossl_builder.demo.films import FOLDER
from ossl_builder.engine import tables_io
from ossl_builder.pipeline import derived_tables
from ossl_builder.tables import FILMS
from tests.command_result import RunCommand
from tests.exports.rights_corpus import BY, FREE, WORDS, patch_facts, rights_corpus
from tests.train.labelled_corpus import copied

MARK = "https://creativecommons.org/publicdomain/mark/1.0/"
EXPORTS = ("parquet", "hf", "webdataset", "croissant", "csv", "ossl-v1", "ossl-v2")
NOT_FREE = tuple(sorted(set(WORDS) - set(FREE)))


def _sheet(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def _of_tars(out: Path) -> dict[str, str]:
    found = {}
    for path in out.glob("*.tar"):
        with tarfile.open(path) as archive:
            for entry in archive:
                if entry.name.endswith(".json"):
                    facts = json.loads(archive.extractfile(entry).read())  # type: ignore[union-attr]
                    found[facts["film_id"]] = facts["verdict"]
    return found


def _of_hf(out: Path) -> dict[str, str]:
    frames = [
        pandas.read_parquet(path, columns=["film_id", "verdict"])
        for path in out.glob("data/*.parquet")
    ]
    frame = pandas.concat(frames)
    return dict(zip(frame["film_id"], frame["verdict"], strict=True))


def _of_tables(out: Path) -> dict[str, str]:
    rows = tables_io.read_table(out / "manifests", FILMS)
    return {row.film_id: row.verdict for row in rows}


# How to read the verdicts of films from each export.
TOLD: dict[str, Callable[[Path], dict[str, str]]] = {
    "parquet": _of_tables,
    "croissant": _of_tables,
    "hf": _of_hf,
    "webdataset": _of_tars,
    "csv": lambda out: {row["film_id"]: row["verdict"] for row in _sheet(out / "films.csv")},
    "ossl-v1": lambda out: {
        row["film_id"]: row["verdict"] for row in _sheet(out / "train_meta.csv")
    },
    "ossl-v2": lambda out: {
        row["movie_id"]: row["verdict"] for row in _sheet(out / "metadata.csv")
    },
}


@pytest.mark.parametrize("export", EXPORTS)
def test_an_export_refuses_films_that_are_not_shown_to_be_free(
    ossl_here: RunCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, export: str
) -> None:
    patch_facts(monkeypatch)
    corpus, out = rights_corpus(tmp_path / "corpus", *WORDS), tmp_path / "out"
    ended = ossl_here("-C", corpus, "export", export, "--out", out)
    assert ended.code == 1
    for name in NOT_FREE:
        assert f"{name} ({WORDS[name].replace('_', ' ')})" in ended.err
    assert not any(f"{name} (" in ended.err for name in FREE)
    assert "--allow-unverified" in ended.err
    assert not out.exists()
    ended = ossl_here("-C", corpus, "export", export, "--out", out, "--allow-unverified")
    assert ended.code == 0, ended.err
    assert all(f"{name} (" in ended.err for name in NOT_FREE)
    assert TOLD[export](out) == WORDS


@pytest.mark.parametrize("export", EXPORTS)
def test_free_films_are_exported_with_their_verdicts(
    ossl_here: RunCommand, tmp_path: Path, export: str
) -> None:
    corpus, out = rights_corpus(tmp_path / "corpus", *FREE), tmp_path / "out"
    assert ossl_here("-C", corpus, "export", export, "--out", out).code == 0
    assert TOLD[export](out) == {name: WORDS[name] for name in FREE}


def _licence(ossl_here: RunCommand, folder: Path, *names: str) -> tuple[str, dict[str, str]]:
    """The licence that Croissant names for all films, and those of single films."""
    corpus, out = rights_corpus(folder / "corpus", *names), folder / "out"
    words = ("-C", corpus, "export", "croissant", "--out", out)
    if ossl_here(*words).code != 0:
        ended = ossl_here(*words, "--allow-unverified")
        assert ended.code == 0, ended.err
    told = json.loads((out / "croissant.json").read_text())
    parts = {one["identifier"]: one["license"] for one in told.get("hasPart", [])}
    return told["license"], parts


@pytest.mark.parametrize("name", sorted(WORDS))
def test_croissant_names_a_licence_only_where_the_verdict_allows_it(
    ossl_here: RunCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    patch_facts(monkeypatch)
    licence, parts = _licence(ossl_here, tmp_path, name)
    if name in ("licence-unnamed", *NOT_FREE):
        assert "://" not in licence
        assert "://" not in parts[name]
    else:
        assert licence == (BY if name == "licensed" else MARK)
        assert parts == {}


def test_croissant_has_licences_per_film_if_they_differ(
    ossl_here: RunCommand, tmp_path: Path
) -> None:
    licence, parts = _licence(ossl_here, tmp_path, "expired", "licensed", "unstated")
    assert "://" not in licence
    assert parts.pop("unstated").startswith("None")
    assert parts == {"expired": MARK, "licensed": BY}
    assert _licence(ossl_here, tmp_path / "two", "expired", "no-notice") == (MARK, {})


def test_card_report_and_statistics_agree(
    ossl_here: RunCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patch_facts(monkeypatch)
    corpus, out = rights_corpus(tmp_path / "corpus", *WORDS), tmp_path / "hf"
    assert ossl_here("-C", corpus, "export", "hf", "--out", out, "--allow-unverified").code == 0
    card = (out / "README.md").read_text()
    assert "license: other" in card
    for name, word in WORDS.items():
        assert f"| {name} | Film {name} | " in card
        (row,) = [line for line in card.splitlines() if line.startswith(f"| {name} |")]
        assert row.split(" | ")[3] == word.replace("_", " ")
        explained = ossl_here("-C", corpus, "films", "explain", name, "--json").json
        assert (explained["word"], explained["is_free"]) == (word, name in FREE)
    figures = ossl_here("-C", corpus, "stats", "--json").json["films"]["by_verdict"]
    assert figures == {word: list(WORDS.values()).count(word) for word in WORDS.values()}
    ended = ossl_here("-C", corpus, "report", "--json")
    assert ended.code == 0, ended.err
    for name in WORDS:
        page = (corpus / f"report/film-{name}.html").read_text()
        assert ("Not shown to be free" in page) == (name not in FREE), name
        assert ("Licence not named" in page) == (name == "licence-unnamed"), name


def test_a_verdict_is_recorded_with_the_date_of_its_last_change(
    tmp_path: Path,
) -> None:
    corpus = Corpus(rights_corpus(tmp_path / "corpus", "expired", "unknown"))
    first, second, third = date(2020, 12, 31), date(2021, 1, 1), date(2021, 6, 1)
    # A film of 1925 is free from 1 January 2021.
    assert derived_tables.record_verdicts(corpus, first) == {
        "expired": "unknown",
        "unknown": "unknown",
    }
    assert derived_tables.record_verdicts(corpus, second) == {
        "expired": "expired",
        "unknown": "unknown",
    }
    path = corpus.root / "records/verdicts.json"
    before = path.read_bytes(), path.stat().st_mtime_ns
    assert json.loads(before[0]) == {
        "expired": {"verdict": "expired", "reached": "2021-01-01"},
        "unknown": {"verdict": "unknown", "reached": "2020-12-31"},
    }
    derived_tables.record_verdicts(corpus, third)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_an_expired_term_updates_the_table_and_makes_no_film_stale(
    ossl_here: RunCommand, demo_corpus: Path, tmp_path: Path
) -> None:
    root = copied(demo_corpus, tmp_path / "corpus")
    ended = ossl_here(
        "-C", root, "films", "add", FOLDER / "sintel_trailer_2010.mp4", "--id", "demo-sintel",
        "--title", "The Fair", "--basis", "expired_95y", "--evidence", "A review", "--year", 1931,
        "--allow-unverified",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert ossl_here("-C", root, "build").code == 0
    corpus, table = open_corpus(root), root / "manifests/films.parquet"

    def verdict() -> str | None:
        rows = tables_io.read_table(root / "manifests", FILMS)
        return next(row.verdict for row in rows if row.film_id == "demo-sintel")

    derived_tables.refresh_tables(corpus, date(2026, 11, 1))
    early = table.read_bytes()
    assert verdict() == "unknown"
    assert derived_tables.refresh_tables(corpus, date(2026, 12, 31)) == ()
    assert derived_tables.refresh_tables(corpus, date(2027, 1, 1)) == ("films",)
    assert verdict() == "expired"
    late = table.read_bytes()
    assert late != early
    assert derived_tables.refresh_tables(corpus, date(2027, 12, 31)) == ()
    assert table.read_bytes() == late
    stages = ossl_here("-C", root, "status", "--json").json["stages"]
    assert [one["stale"] for one in stages] == [0] * len(stages)


def test_croissant_with_licences_per_film_is_valid(ossl_here: RunCommand, tmp_path: Path) -> None:
    croissant = pytest.importorskip("mlcroissant")
    _licence(ossl_here, tmp_path, "expired", "licensed", "unstated")
    read = croissant.Dataset(tmp_path / "out" / "croissant.json")
    assert read.metadata.license
    assert not read.metadata.ctx.issues.errors
