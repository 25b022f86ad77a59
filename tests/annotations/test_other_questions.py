"""Answers to another version of the label schema do not count and remove nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from ossl_builder.annotations import label_schema, records
from ossl_builder.engine import tables_io
from ossl_builder.errors import OsslError
from ossl_builder.files import bundled_folder
from ossl_builder.tables import LABELS
from tests.annotations.people import annotation, clip, corpus_with
from tests.command_result import RunCommand


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    root = corpus_with(tmp_path / "corpus", [clip(0), clip(1)]).root
    records.upsert(
        root, [annotation(0, "a01"), annotation(1, "a01"), annotation(0, "a02", state="skipped")]
    )
    return root


def set_schema_version(corpus: Path, version: str) -> None:
    text = (bundled_folder("annotations") / label_schema.FILE_NAME).read_text(encoding="utf-8")
    changed = text.replace("version: mood-1", f"version: {version}")
    assert changed != text
    (corpus / "annotations" / label_schema.FILE_NAME).write_text(changed, encoding="utf-8")


def test_another_schema_version_never_empties_the_labels_table(
    corpus: Path, ossl_here: RunCommand
) -> None:
    assert ossl_here("-C", corpus, "label", "merge").code == 0
    table = corpus / "manifests" / "labels.parquet"
    before = table.read_bytes()
    set_schema_version(corpus, "mood-2")
    for more in ((), ("--dry-run",), ("--json",)):
        done = ossl_here("-C", corpus, "label", "merge", *more)
        assert done.code == 1
        assert "mood-2" in done.err
        assert table.read_bytes() == before
    records.upsert(corpus, [annotation(0, "a01", schema="mood-2")])
    assert ossl_here("-C", corpus, "label", "merge").code == 0
    assert len(tables_io.read_table(corpus / "manifests", LABELS)) == 1


def test_withdrawals_may_empty_the_labels_table(corpus: Path, ossl_here: RunCommand) -> None:
    assert ossl_here("-C", corpus, "label", "merge").code == 0
    records.upsert(corpus, [annotation(at, "a01", state="withdrawn") for at in (0, 1)])
    assert ossl_here("-C", corpus, "label", "merge").code == 0
    assert tables_io.read_table(corpus / "manifests", LABELS) == []


def test_status_counts_answers_to_the_current_schema(corpus: Path, ossl_here: RunCommand) -> None:
    def status() -> tuple[dict[str, object], dict[str, object]]:
        found = ossl_here("-C", corpus, "label", "status", "--json").json
        (film,) = found["films"]
        return film, next(one for one in found["annotators"] if one["annotator"] == "a01")

    film, ann = status()
    assert (film["annotated"], film["annotations"], ann["answered"]) == (2, 2, 2)
    set_schema_version(corpus, "mood-2")
    film, ann = status()
    assert (film["annotated"], film["annotations"], film["skipped"]) == (0, 0, 1)
    assert (ann["answered"], ann["films"]) == (0, 0)
    assert (film["other_questions"], ann["other_questions"]) == (2, 2)
    assert "0 of 2 clips annotated" in ossl_here("-C", corpus, "label", "status").err


@pytest.mark.parametrize("version", ["mood 2", "'mood]'", "'mood\t2'", "''", "' mood'", "müd-1"])
def test_an_invalid_schema_version_is_refused(corpus: Path, version: str) -> None:
    set_schema_version(corpus, version)
    with pytest.raises(OsslError, match="version") as caught:
        label_schema.load(corpus)
    assert caught.value.code == "taxonomy_invalid"


@pytest.mark.parametrize(
    "text", ["version: &v [*v]\n", "[" * 5_000, "version: mood-1\nversion: mood-2\n"]
)
def test_a_schema_beyond_the_limits_is_refused(corpus: Path, text: str) -> None:
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
def test_an_invalid_record_is_reported_with_its_line(corpus: Path, line: str) -> None:
    path = records.path_of(corpus, "f")
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(OsslError, match="line 4") as caught:
        records.read_film(corpus, "f")
    assert caught.value.code == "annotations_damaged"
