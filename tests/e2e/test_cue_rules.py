"""The rules `tagger` and `soundtrack` through the command line, on a generated film."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests import tiny_tagger
from tests.e2e.corpora import Ossl, add_film, linked, rows
from tests.films import make_film

CUES_S = ((1.0, 12.0), (17.0, 27.0), (32.0, 39.0))


@pytest.fixture(scope="module")
def three_cues(ossl: Ossl, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of one generated film, with three cues and silence between them. Read only."""
    folder = tmp_path_factory.mktemp("cues")
    make_film(folder / "made.mp4", seconds=40, audio_s=(0.0, 40.0), cues_s=CUES_S)
    corpus = folder / "corpus"
    ossl("init", corpus)
    (corpus / "ossl.yaml").write_text("version: 1\nstems:\n  model: bundled\n")
    add_film(ossl, corpus, folder / "made.mp4", "made")
    ossl("-C", corpus, "build")
    assert np.abs(np.array(spans(corpus, "made")) - np.array(CUES_S)).max() < 0.5
    return corpus


@pytest.fixture
def corpus(three_cues: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return linked(three_cues, tmp_path / "corpus")


def write_recipe(corpus: Path, **cues: Any) -> None:
    lines = (corpus / "ossl.yaml").read_text().split("\ncues:")[0]
    (corpus / "ossl.yaml").unlink()  # it may be a hard link
    (corpus / "ossl.yaml").write_text(f"{lines}\ncues: {json.dumps(cues)}\n")


def why(ossl: Ossl, corpus: Path, film: str) -> str:
    """Result of a dry run for the cues of a film: `fresh`, or the reason for a new run."""
    (plan,) = json.loads(ossl("-C", corpus, "cues", film, "--dry-run", "--json").stdout)
    return str(plan["why"] if plan["action"] == "run" else plan["action"])


def cues_of(corpus: Path, film: str) -> list[dict[str, Any]]:
    return [cue for cue in rows(corpus, "cues") if cue["film_id"] == film]


def spans(corpus: Path, film: str) -> list[tuple[float, float]]:
    return [(cue["start_s"], cue["end_s"]) for cue in cues_of(corpus, film)]


def music_of(corpus: Path, film_id: str) -> tuple[np.ndarray, int]:
    audio, rate = soundfile.read(corpus / f"films/{film_id}/stems/music.flac", dtype="float32")
    return audio, rate


def windows(corpus: Path, film: str, inside: bool) -> np.ndarray:
    """Windows of 2 s of the music stem, all inside cues or all outside."""
    from scipy.signal import resample_poly

    audio, rate = music_of(corpus, film)
    slow = resample_poly(audio.mean(axis=1), 160, rate * 160 // tiny_tagger.RATE)
    found = []
    for start in np.arange(0, len(audio) / rate - 2, 0.5):
        covers = [min(start + 2, b) - max(start, a) for a, b in spans(corpus, film)]
        if max(covers) >= 1.9 if inside else max(covers) <= 0:
            at = round(start * tiny_tagger.RATE)
            found.append(slow[at : at + 2 * tiny_tagger.RATE].astype(np.float32))
    return np.stack(found)


def test_tagger_rule(ossl: Ossl, corpus: Path, tmp_path: Path) -> None:
    film = sorted(path.name for path in (corpus / "films").iterdir())[0]
    by_energy = spans(corpus, film)
    assert why(ossl, corpus, film) == "fresh"
    model = tiny_tagger.trained(
        tmp_path / "model", windows(corpus, film, True), windows(corpus, film, False)
    )
    chosen = {
        "rule": "tagger", "tagger_model": str(model), "tagger_window_s": 2.0, "tagger_hop_s": 1.0,
        "tagger_device": "cpu", "min_s": 5.0,
    }  # fmt: skip
    # Settings that only another rule uses make nothing stale.
    write_recipe(corpus, tagger_hop_s=0.5, tagger_model=str(model), min_similarity=0.5)
    assert why(ossl, corpus, film) == "fresh"
    write_recipe(corpus, **chosen)
    assert "cues.rule was 'energy', is 'tagger'" in why(ossl, corpus, film)
    ossl("-C", corpus, "cues", film)
    found = cues_of(corpus, film)
    assert len(found) == len(by_energy)
    # A window of 2 s contains music up to 1 s before the music starts and after it ends.
    assert np.abs(np.array(spans(corpus, film)) - np.array(by_energy)).max() <= 1.6
    assert {cue["recording"] for cue in found} == {None}
    # Model path and batch size make nothing stale; another model does.
    (tmp_path / "model").rename(tmp_path / "moved")
    chosen |= {"tagger_model": str(tmp_path / "moved"), "tagger_batch_size": 3, "on_lu": 10.0}
    write_recipe(corpus, **chosen)
    assert why(ossl, corpus, film) == "fresh"
    tiny_tagger.constant(tmp_path / "moved", 0.01, 0.04)
    assert why(ossl, corpus, film).startswith("tool model was ")


def test_a_missing_tagger_model_is_reported(
    ossl: Ossl, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(corpus / "empty"))
    write_recipe(corpus, rule="tagger")
    errors = ossl("-C", corpus, "cues", code=1).stderr
    assert "MIT/ast-finetuned-audioset-10-10-0.4593" in errors
    assert "is not on this machine" in errors
    assert "cues.tagger_model" in errors


def test_soundtrack_rule(ossl: Ossl, corpus: Path, tmp_path: Path) -> None:
    film = sorted(path.name for path in (corpus / "films").iterdir())[0]
    by_energy = spans(corpus, film)
    audio, rate = music_of(corpus, film)
    write_recipe(corpus, rule="soundtrack")
    errors = ossl("-C", corpus, "cues", film, code=1).stderr
    assert "cues.recordings names no folder" in errors
    # A recording of all the music: every cue keeps its times, and no clip becomes stale.
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    soundfile.write(shelf / "all.flac", audio, rate)
    write_recipe(corpus, rule="soundtrack", recordings=str(shelf))
    ossl("-C", corpus, "cues", film)
    assert spans(corpus, film) == by_energy
    for cue in cues_of(corpus, film):
        assert cue["recording"] == "all.flac"
        assert cue["recording_offset_s"] == pytest.approx(cue["start_s"], abs=0.001)
    plan = json.loads(ossl("-C", corpus, "build", film, "--dry-run", "--json").stdout)
    assert {one["action"] for one in plan} == {"fresh"}
    shelf.rename(tmp_path / "moved")
    write_recipe(corpus, rule="soundtrack", recordings=str(tmp_path / "moved"))
    assert why(ossl, corpus, film) == "fresh"
    # A recording of the second cue only, with the 4 s before it.
    (tmp_path / "moved/all.flac").unlink()
    begins = by_energy[1][0] - 4
    part = audio[round(begins * rate) : round(by_energy[1][1] * rate)]
    soundfile.write(tmp_path / "moved/second.ogg", part, rate)
    assert why(ossl, corpus, film).startswith("tool recordings was ")
    ossl("-C", corpus, "cues", film)
    (cue,) = cues_of(corpus, film)
    assert (cue["recording"], cue["cue_id"]) == ("second.ogg", f"{film}_c000")
    assert (cue["start_s"], cue["end_s"]) == by_energy[1]
    assert cue["recording_offset_s"] == pytest.approx(cue["start_s"] - begins, abs=0.01)
    status = json.loads(ossl("-C", corpus, "status", "--json").stdout)
    lost = {"stage": "cues", "reason": "not_in_recordings", "count": len(by_energy) - 1}
    assert lost in status["candidates"]
