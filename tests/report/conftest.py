"""Fixtures: a report of the demo corpus."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e.corpora import Ossl, built_once
from tests.report.report_corpus import copied

ANNOTATIONS = Path(__file__).parents[2] / "annotations"


@pytest.fixture(scope="session")
def labelled(ossl: Ossl, demo_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo corpus with annotations, labels, splits and a report. Read only."""

    def build(corpus: Path) -> None:
        copied(demo_corpus, corpus)
        (corpus / "annotations").mkdir(exist_ok=True)
        for path in ANNOTATIONS.glob("demo-*.jsonl"):
            shutil.copy(path, corpus / "annotations")
        ossl("-C", corpus, "label", "merge")
        ossl("-C", corpus, "split")
        ossl("-C", corpus, "report")

    return built_once(tmp_path_factory, "report", build)
