"""Exported CSV: no cell is a spreadsheet formula, and no text is lost."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import pytest

from ossl_builder.annotations.annotators import AnnotatorRegistry
from ossl_builder.corpus import Corpus
from ossl_builder.engine import tables_io
from ossl_builder.imports.release_format import read_sheet
from ossl_builder.tables import CLIPS, FILMS, LABELS
from tests.command_result import RunCommand
from tests.exports.rights_corpus import rights_corpus
from tests.report.table_rows import label

TEXTS = (
    "=HYPERLINK(\"http://x\";\"y\")", "+1+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'=1", "''-1",
    "'tis", "plain, with comma", "5 - 3 = 2",
)  # fmt: skip
STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def corpus_of(root: Path, text: str) -> Path:
    corpus = rights_corpus(root, "expired")
    (film,) = tables_io.read_table(corpus / "manifests", FILMS)
    tables_io.write_corpus_table(corpus, FILMS, [dataclasses.replace(film, title=text)])
    (clip,) = tables_io.read_table(corpus / "manifests", CLIPS)
    row = dataclasses.replace(
        label(clip, "Q1", 7.0, 6.0), mood=text, caption=text, caption_source="annotator"
    )
    tables_io.write_corpus_table(corpus, LABELS, [row])
    return corpus


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("export", ["csv", "ossl-v1", "ossl-v2"])
def test_no_exported_cell_is_a_formula(
    ossl_here: RunCommand, tmp_path: Path, export: str, text: str
) -> None:
    corpus, out = corpus_of(tmp_path / "corpus", text), tmp_path / "out"
    assert ossl_here("-C", corpus, "export", export, "--out", out).code == 0
    sheets = list(out.rglob("*.csv"))
    texts = []
    for path in sheets:
        with path.open(newline="") as stream:
            for line in csv.DictReader(stream):
                texts += [cell for cell in line.values() if not _is_number(cell)]
    assert sheets
    assert [cell for cell in texts if cell.startswith(STARTS)] == []
    assert any(cell in (text, f"'{text}") for cell in texts)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def test_negative_numbers_stay_numbers(ossl_here: RunCommand, tmp_path: Path) -> None:
    corpus, out = corpus_of(tmp_path / "corpus", "A film"), tmp_path / "out"
    assert ossl_here("-C", corpus, "export", "csv", "--out", out).code == 0
    with (out / "dataset.csv").open(newline="") as stream:
        (line,) = csv.DictReader(stream)
    assert line["music_lufs"] == "-24.0"


@pytest.mark.parametrize("text", [text for text in TEXTS if text == text.strip()])
def test_our_import_restores_the_texts(ossl_here: RunCommand, tmp_path: Path, text: str) -> None:
    corpus, out = corpus_of(tmp_path / "corpus", text), tmp_path / "out"
    assert ossl_here("-C", corpus, "export", "ossl-v1", "--out", out).code == 0
    ((_, cells),) = read_sheet(out / "train_meta.csv")
    assert (cells["title"], cells["mood"], cells["caption"]) == (text, text, text)
    assert ossl_here("-C", corpus, "export", "ossl-v2", "--out", out).code == 0
    ((_, cells),) = read_sheet(out / "metadata.csv")
    assert cells["title"] == text


def test_annotator_names_are_escaped_and_restored(tmp_path: Path) -> None:
    corpus = Corpus(rights_corpus(tmp_path / "corpus", "expired"))
    key = AnnotatorRegistry.load(corpus.root)
    known = key.id_of("=cmd|'/c calc'!A0@x.org", "@name")
    key.save()
    text = (corpus.root / "annotations/annotators.csv").read_text()
    assert not any(cell.startswith(STARTS) for cell in text.splitlines()[1].split(","))
    again = AnnotatorRegistry.load(corpus.root)
    assert again.people == {known: ("=cmd|'/c calc'!A0@x.org", "@name")}


def test_annotation_import_restores_escaped_texts(tmp_path: Path) -> None:
    from ossl_builder.annotations.import_file import _entries

    (tmp_path / "labels.csv").write_text("clip_id,caption\na,'=1\nb,'tis\n")
    found = [
        values["caption"] for _, values in _entries(tmp_path / "labels.csv", ("clip_id", "caption"))
    ]
    assert found == ["=1", "'tis"]
