"""A question in a corpus' own `moods.yaml` reaches the labels, the exports and the report."""

from __future__ import annotations

from pathlib import Path

import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import yaml

from ossl_builder.annotations import label_schema, records
from ossl_builder.engine import tables_io
from ossl_builder.errors import OsslError
from ossl_builder.files import bundled_folder
from ossl_builder.tables import CLIPS, LABELS
from tests.annotations.people import ANSWERS
from tests.command_result import RunCommand

SUSPENSE = {
    "name": "suspense", "place": "right", "ask": "Suspense", "kind": "scale", "level": "interval",
    "low": {"value": 1, "says": "calm"}, "high": {"value": 5, "says": "thrilling"},
    "keys": "F1 F2 F3 F4 F5",
}  # fmt: skip
ERA = {"name": "era", "place": "below", "ask": "Which era?", "kind": "choice",
       "values": {"silent": {}, "sound": {}}}  # fmt: skip
COLOURS = {"name": "colours", "place": "below", "ask": "Colours", "kind": "choices",
           "values": {"bright": {}, "dark": {}}}  # fmt: skip
NOTE = {"name": "note", "place": "below", "ask": "Note", "kind": "text"}


def write_schema(corpus: Path, *questions: dict[str, object]) -> None:
    data = yaml.safe_load((bundled_folder("annotations") / "moods.yaml").read_text())
    data["version"] = "mood-suspense"
    data["questions"] += questions
    (corpus / "annotations").mkdir(exist_ok=True)
    (corpus / "annotations" / "moods.yaml").write_text(yaml.safe_dump(data, sort_keys=False))


def annotate(corpus: Path) -> str:
    """Annotate one clip by two annotators, and return its id."""
    clip = tables_io.read_table(corpus / "manifests", CLIPS)[0]
    for annotator, further in (
        ("a01", {"suspense": 4, "era": "silent", "colours": ("bright", "dark"), "note": "x"}),
        ("a02", {"suspense": 5, "era": "silent", "colours": ("dark",)}),
    ):
        record = records.Annotation(
            film_id=clip.film_id, clip_id=clip.clip_id, annotator=annotator,
            schema="mood-suspense", state="answered", answers={**ANSWERS, **further},
            source="import", updated_at="2026-01-01T00:00:00Z",
        )  # fmt: skip
        records.upsert(corpus, [record])
    return clip.clip_id


def test_a_new_question_reaches_labels_exports_and_report(
    corpus: Path, ossl_here: RunCommand, tmp_path: Path
) -> None:
    write_schema(corpus, SUSPENSE, ERA, COLOURS, NOTE)
    clip_id = annotate(corpus)
    done = ossl_here("-C", corpus, "label", "merge")
    assert done.code == 0, done.err
    expected = {"suspense": 4.5, "era": "silent", "colours": "bright; dark"}

    def check(rows: list[dict[str, object]]) -> None:
        (row,) = [row for row in rows if row["clip_id"] == clip_id]
        assert {name: row[name] for name in expected} == expected
        assert "note" not in row
        assert row["quadrant"] == "Q1"

    check(pq.read_table(corpus / "manifests" / "labels.parquet").to_pylist())
    # Readers that do not know the question read the fixed columns.
    assert tables_io.read_table(corpus / "manifests", LABELS)[0].valence == 7.0
    for layout in ("parquet", "csv", "hf"):
        out = tmp_path / layout
        done = ossl_here("-C", corpus, "export", layout, "--out", out, "--allow-unverified")
        assert done.code == 0, done.err
    check(pq.read_table(tmp_path / "parquet/manifests/labels.parquet").to_pylist())
    check(pyarrow.csv.read_csv(tmp_path / "csv/labels.csv").to_pylist())
    check(pyarrow.csv.read_csv(tmp_path / "csv/dataset.csv").to_pylist())
    check(
        [
            row
            for path in (tmp_path / "hf/data").glob("*.parquet")
            for row in pq.read_table(path, columns=["clip_id", "quadrant", *expected]).to_pylist()
        ]
    )
    card = (tmp_path / "hf/README.md").read_text()
    assert "| `suspense` | float64 | 1 to 5 | mean answer to: Suspense |" in card
    assert ossl_here("-C", corpus, "report", "--out", tmp_path / "report").code == 0
    film = next((tmp_path / "report").glob(f"film-{clip_id.rpartition('_')[0]}.html")).read_text()
    assert "suspense: 4.5; era: silent; colours: bright; dark" in film
    assert ">Suspense<" in film.replace("suspense", "Suspense")
    assert "suspense" in (tmp_path / "report/index.html").read_text()  # its agreement


def test_the_bundled_schema_adds_no_column(corpus: Path, ossl_here: RunCommand) -> None:
    before = pq.read_schema(corpus / "manifests" / "labels.parquet")
    (corpus / "annotations").mkdir(exist_ok=True)
    done = ossl_here("-C", corpus, "label", "merge")
    assert done.code == 0, done.err
    after = pq.read_schema(corpus / "manifests" / "labels.parquet")
    assert after.equals(before, check_metadata=True)


@pytest.mark.parametrize("name", ["title", "rule", "split", "Suspense", "class", "a b"])
def test_a_name_that_cannot_be_a_column_is_refused(tmp_path: Path, name: str) -> None:
    write_schema(tmp_path, {**ERA, "name": name})
    with pytest.raises(OsslError) as caught:
        label_schema.load(tmp_path)
    assert caught.value.code == "taxonomy_invalid"
