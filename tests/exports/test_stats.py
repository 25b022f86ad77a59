"""`ossl stats` and `ossl query`."""

from __future__ import annotations

import json
from pathlib import Path

import pandas
import pytest

from tests.command_result import RunCommand
from tests.e2e.corpora import Ossl
from tests.exports.rights_corpus import rights_corpus


def test_statistics_agree_with_the_tables(ossl: Ossl, corpus: Path) -> None:
    found = json.loads(ossl("-C", corpus, "stats", "--json").stdout)
    clips = pandas.read_parquet(corpus / "manifests" / "clips.parquet")
    assert found["clips"]["count"] == len(clips) == 7
    assert found["clips"]["hours"] == round(clips["duration_s"].sum() / 3600, 4)
    assert found["clips"]["length_s"]["most"] == round(clips["duration_s"].max(), 3)
    assert found["films"]["count"] == 3
    assert found["labels"]["by_quadrant"] == {"Q1": 2, "Q2": 2, "Q3": 2, "Q4": 1}
    assert found["labels"]["captions"] == 3
    for split in ("train", "validation", "test"):
        assert found["splits"][split]["films"] == 1
    text = ossl("-C", corpus, "stats").stdout
    assert "hours" in text
    assert str(found["clips"]["hours"]) in text


def test_a_corpus_without_tables_has_no_statistics(ossl: Ossl, tmp_path: Path) -> None:
    ossl("init", tmp_path / "empty")
    assert json.loads(ossl("-C", tmp_path / "empty", "stats", "--json").stdout) == {}


def test_a_query_returns_rows(ossl: Ossl, corpus: Path) -> None:
    question = (
        "SELECT split, count(*) AS n, sum(c.duration_s)::DECIMAL(9,3) AS s, 1/0.0 AS nothing "
        "FROM clips c JOIN splits USING (film_id) GROUP BY split ORDER BY split"
    )
    rows = json.loads(ossl("-C", corpus, "query", question, "--json").stdout)
    assert [(row["split"], row["n"]) for row in rows] == [
        ("test", 2),
        ("train", 2),
        ("validation", 3),
    ]
    assert rows[0]["s"] == pytest.approx(28.023, abs=0.001)
    assert rows[0]["nothing"] is None
    lines = ossl("-C", corpus, "query", "SELECT split FROM splits ORDER BY 1").stdout.split()
    assert lines == ["split", "test", "train", "validation"]


@pytest.mark.parametrize(
    "question",
    [
        "COPY clips TO '{out}'",
        "CREATE TABLE a AS SELECT 1",
        "INSERT INTO clips SELECT * FROM clips",
        "SELECT 1; SELECT 2",
        "SELECT * FROM read_text('{secret}')",
        "SELECT * FROM '{secret}'",
        "SELECT * FROM read_parquet('{secret}')",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_csv('{secret}', header = false)",
        "SELECT * FROM read_blob('{secret}')",
        "SELECT * FROM glob('{secret}*')",
        "SELECT * FROM query('COPY clips TO ''{out}'' ')",
        "COPY (SELECT 1) TO '{out}'",
        "EXPORT DATABASE '{out}'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "PRAGMA enable_profiling = 'json'",
        "SET enable_external_access = true",
        "ATTACH '{out}' AS other",
        "SELECT * FROM clipz",
        "SELEC",
        "",
    ],
)
def test_a_query_may_only_be_one_select_over_the_tables(
    ossl: Ossl, corpus: Path, tmp_path: Path, question: str
) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("do not tell\n")
    before = {path: path.read_bytes() for path in (corpus / "manifests").iterdir()}
    done = ossl(
        "-C", corpus, "query", question.format(out=tmp_path / "out", secret=secret), code=1
    )  # fmt: skip
    assert "do not tell" not in done.stdout + done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "out").exists()
    assert {path: path.read_bytes() for path in (corpus / "manifests").iterdir()} == before


def _small(root: Path) -> Path:
    return rights_corpus(root, "expired", "no-notice")


def test_a_file_name_in_manifests_is_not_run_as_sql(
    ossl_here: RunCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = _small(tmp_path / "corpus")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    table = corpus / "manifests/films.parquet"
    for stem in ("y AS SELECT 1; COPY (SELECT 42) TO 'written.csv'; --", "clips; DROP", "odd"):
        (corpus / f"manifests/{stem}.parquet").write_bytes(table.read_bytes())
    asked = ossl_here("-C", corpus, "query", "SELECT count(*) AS n FROM films", "--json")
    assert list((tmp_path / "here").iterdir()) == []
    assert (asked.code, asked.json) == (0, [{"n": 2}])
    assert "odd.parquet" in asked.err
    assert ossl_here("-C", corpus, "query", "SELECT * FROM odd").code == 1


@pytest.mark.parametrize("what", ["broken", "empty", "folder", "link"])
def test_a_broken_table_does_not_affect_queries_of_others(
    ossl_here: RunCommand, tmp_path: Path, what: str
) -> None:
    corpus, secret = _small(tmp_path / "corpus"), tmp_path / "secret.parquet"
    table = corpus / "manifests/clips.parquet"
    table.rename(secret)
    if what == "folder":
        table.mkdir()
    elif what == "link":
        table.symlink_to(secret)
    else:
        table.write_bytes(b"PAR1 no" if what == "broken" else b"")
    asked = ossl_here("-C", corpus, "query", "SELECT count(*) AS n FROM films", "--json")
    assert "clips.parquet" in asked.err
    if what == "link":  # a link means that the corpus is forged
        assert asked.code == 1
    else:
        assert (asked.code, asked.json) == (0, [{"n": 2}])
    asked = ossl_here("-C", corpus, "query", "SELECT * FROM clips")
    assert (asked.code, asked.out) == (1, "")


def test_a_large_query_writes_no_temporary_file(ossl_here: RunCommand, tmp_path: Path) -> None:
    """DuckDB would spill to a folder `.tmp` in the working directory."""
    corpus = _small(tmp_path / "corpus")
    setting = "SELECT current_setting('temp_directory') AS folder"
    assert ossl_here("-C", corpus, "query", setting, "--json").json == [{"folder": ""}]
