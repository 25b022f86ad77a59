"""Answers to other versions of the questions count nowhere, and take nothing away."""

from __future__ import annotations

from pathlib import Path

import pytest

from ossl_builder.annotations import label_schema, records
from ossl_builder.engine import tables_io
from ossl_builder.errors import OsslError
from ossl_builder.files import bundled_folder
from ossl_builder.tables import LABELS
from tests.annotations.people import clip, corpus_with, said
from tests.said import Run


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    root = corpus_with(tmp_path / "corpus", [clip(0), clip(1)]).root
    records.upsert(root, [said(0, "a01"), said(1, "a01"), said(0, "a02", state="skipped")])
    return root


def ask_otherwise(corpus: Path, version: str) -> None:
    text = (bundled_folder("annotations") / label_schema.FILE_NAME).read_text(encoding="utf-8")
    changed = text.replace("version: mood-1", f"version: {version}")
    assert changed != text
    (corpus / "annotations" / label_schema.FILE_NAME).write_text(changed, encoding="utf-8")


def test_the_table_is_never_emptied_by_other_questions(corpus: Path, ossl_here: Run) -> None:
    assert ossl_here("-C", corpus, "label", "merge").code == 0
    table = corpus / "manifests" / "labels.parquet"
    before = table.read_bytes()
    ask_otherwise(corpus, "mood-2")
    for more in ((), ("--dry-run",), ("--json",)):
        done = ossl_here("-C", corpus, "label", "merge", *more)
        assert done.code == 1
        assert "mood-2" in done.err
        assert table.read_bytes() == before
    records.upsert(corpus, [said(0, "a01", schema="mood-2")])
    assert ossl_here("-C", corpus, "label", "merge").code == 0
    assert len(tables_io.read_table(corpus / "manifests", LABELS)) == 1


def test_a_table_may_be_emptied_by_withdrawals(corpus: Path, ossl_here: Run) -> None:
    assert ossl_here("-C", corpus, "label", "merge").code == 0
    records.upsert(corpus, [said(at, "a01", state="withdrawn") for at in (0, 1)])
    assert ossl_here("-C", corpus, "label", "merge").code == 0
    assert tables_io.read_table(corpus / "manifests", LABELS) == []


def test_status_counts_answers_to_the_present_questions(corpus: Path, ossl_here: Run) -> None:
    def status() -> tuple[dict[str, object], dict[str, object]]:
        found = ossl_here("-C", corpus, "label", "status", "--json").json
        (film,) = found["films"]
        return film, next(one for one in found["annotators"] if one["annotator"] == "a01")

    film, ann = status()
    assert (film["annotated"], film["annotations"], ann["answered"]) == (2, 2, 2)
    ask_otherwise(corpus, "mood-2")
    film, ann = status()
    assert (film["annotated"], film["annotations"], film["skipped"]) == (0, 0, 1)
    assert (ann["answered"], ann["films"]) == (0, 0)
    assert (film["other_questions"], ann["other_questions"]) == (2, 2)
    assert "0 of 2 clips annotated" in ossl_here("-C", corpus, "label", "status").err


@pytest.mark.parametrize("version", ["mood 2", "'mood]'", "'mood\t2'", "''", "' mood'", "müd-1"])
def test_a_version_that_a_project_cannot_hold_is_refused(corpus: Path, version: str) -> None:
    ask_otherwise(corpus, version)
    with pytest.raises(OsslError, match="version") as caught:
        label_schema.load(corpus)
    assert caught.value.code == "taxonomy_invalid"


@pytest.mark.parametrize(
    "text", ["version: &v [*v]\n", "[" * 5_000, "version: mood-1\nversion: mood-2\n"]
)
def test_questions_of_others_are_read_within_limits(corpus: Path, text: str) -> None:
    (corpus / "annotations" / label_schema.FILE_NAME).write_text(text)
    with pytest.raises(OsslError) as caught:
        label_schema.load(corpus)
    assert caught.value.code == "taxonomy_invalid"


@pytest.mark.parametrize(
    "line",
    [
        "[" * 100_000,
        '{"clip_id": "c", "annotator": "a01", "film_id": "f", "schema": "mood-1", '
        '"state": "answered", "answers": {"quadrant": [["Q1"]]}, "source": "import", '
        '"updated_at": "2026-01-01T00:00:00Z"}',
        '{"clip_id": 7, "annotator": "a01", "film_id": "f", "schema": "mood-1", '
        '"state": "answered", "answers": {}, "source": "import", "updated_at": null}',
    ],
)
def test_records_of_others_that_are_none_are_named(corpus: Path, line: str) -> None:
    path = records.path_of(corpus, "f")
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(OsslError, match="line 4") as caught:
        records.read_film(corpus, "f")
    assert caught.value.code == "annotations_damaged"
