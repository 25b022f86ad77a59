"""Pretrained networks on the shared film, where their weights are: `ossl models get spleeter …`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ossl_builder.models import published
from tests.e2e.corpora import Ossl, add_film, linked, rejects, rows
from tests.e2e.truth import cue_f1, load, music_in_speech_alone, score_scenes

pytestmark = pytest.mark.slow


def needs(*names: str) -> None:
    for name in names:
        if published.find(name) is None:
            pytest.skip(f"the weights are not here: ossl models get {name}")


@pytest.fixture(scope="module")
def truth(shared_media: Path) -> dict[str, Any]:
    return load(shared_media)


def cue_spans(corpus: Path) -> list[tuple[float, float]]:
    return [(cue["start_s"], cue["end_s"]) for cue in rows(corpus, "cues")]


def test_spleeter_through_all_stages(
    ossl: Ossl, shared_media: Path, tmp_path: Path, truth: dict[str, Any]
) -> None:
    needs("spleeter")
    corpus = tmp_path / "corpus"
    ossl("init", corpus)
    add_film(ossl, corpus, shared_media / "mixfilm/dev.mp4", "dev")
    ossl("-C", corpus, "build", "--set", "stems.model=spleeter")
    assert {row["model"] for row in rows(corpus, "stems")} == {"spleeter"}
    assert cue_f1(cue_spans(corpus), truth) >= 0.9
    assert len(rows(corpus, "clips")) >= 4
    ossl("-C", corpus, "verify")


def test_transnetv2_confirms_transitions(
    ossl: Ossl, dev_corpus: Path, tmp_path: Path, truth: dict[str, Any]
) -> None:
    needs("transnetv2")
    corpus = linked(dev_corpus, tmp_path / "corpus")
    before = score_scenes(rows(corpus, "scenes"), truth)
    ossl("-C", corpus, "scenes", "--set", "scenes.confirm=transnetv2")
    after = score_scenes(rows(corpus, "scenes"), truth)
    assert (after.cuts, after.fades) == (before.cuts, before.fades)
    assert after.false <= before.false
    (film,) = {row["film_id"] for row in rows(corpus, "films")}
    reasons = {reject["reason"] for reject in rejects(corpus, "scenes", film)}
    assert reasons <= {"not_confirmed"}


def test_yamnet_confirms_cues(
    ossl: Ossl, dev_corpus: Path, tmp_path: Path, truth: dict[str, Any]
) -> None:
    needs("yamnet")
    corpus = linked(dev_corpus, tmp_path / "corpus")
    before = cue_spans(corpus)
    ossl("-C", corpus, "cues", "--set", "cues.confirm=yamnet")
    confirmed = cue_spans(corpus)
    assert set(confirmed) <= set(before)
    assert cue_f1(confirmed, truth) >= 0.95
    # Nothing is so likely to be music that this threshold is reached.
    ossl("-C", corpus, "cues", "--set", "cues.confirm=yamnet", "--set", "cues.confirm_min=1")
    assert not cue_spans(corpus)
    (film,) = {row["film_id"] for row in rows(corpus, "films")}
    assert {reject["reason"] for reject in rejects(corpus, "cues", film)} >= {"not_music"}


def test_yamnet_as_tagger_finds_cues(
    ossl: Ossl, dev_corpus: Path, tmp_path: Path, truth: dict[str, Any]
) -> None:
    needs("yamnet")
    corpus = linked(dev_corpus, tmp_path / "corpus")
    ossl(
        "-C", corpus, "cues", "--set", "cues.rule=tagger", "--set", "cues.tagger_model=yamnet",
        "--set", "cues.tagger_window_s=2", "--set", "cues.tagger_max_other=1",
    )  # fmt: skip
    assert cue_f1(cue_spans(corpus), truth) >= 0.8
    assert music_in_speech_alone(cue_spans(corpus), truth) < 0.1
