"""The rules `tagger` and `soundtrack` through the command line, on a corpus of the demo films."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests import tiny_tagger
from tests.e2e.corpora import Ossl, linked, rows


@pytest.fixture
def corpus(demo_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return linked(demo_corpus, tmp_path / "corpus")


def write_recipe(corpus: Path, **cues: Any) -> None:
    lines = (corpus / "ossl.yaml").read_text().split("\ncues:")[0]
    (corpus / "ossl.yaml").unlink()  # it may be a link
    (corpus / "ossl.yaml").write_text(f"{lines}\ncues: {json.dumps(cues)}\n")


def why(ossl: Ossl, corpus: Path) -> str:
    """What a dry run says of the cues: `fresh`, or why they would be found again."""
    said = json.loads(ossl("-C", corpus, "cues", "--dry-run", "--json").stdout)
    assert len(said) == 3
    (reason,) = {one["why"] if one["action"] == "run" else one["action"] for one in said}
    return reason


def spans(corpus: Path) -> dict[str, list[tuple[float, float]]]:
    found: dict[str, list[tuple[float, float]]] = {}
    for cue in rows(corpus, "cues"):
        found.setdefault(cue["film_id"], []).append((cue["start_s"], cue["end_s"]))
    return found


def music_of(corpus: Path, film_id: str) -> tuple[np.ndarray, int]:
    sound, rate = soundfile.read(corpus / f"films/{film_id}/stems/music.flac", dtype="float32")
    return sound, rate


def windows(corpus: Path, inside: bool) -> np.ndarray:
    """Windows of 2 s of the films' music stems, each within a cue, or within none."""
    from scipy.signal import resample_poly

    found = []
    for film_id, cues in spans(corpus).items():
        sound, rate = music_of(corpus, film_id)
        slow = resample_poly(sound.mean(axis=1), 160, rate * 160 // tiny_tagger.RATE)
        for start in np.arange(0, len(sound) / rate - 2, 0.5):
            covers = [min(start + 2, b) - max(start, a) for a, b in cues]
            if max(covers) >= 1.9 if inside else max(covers) <= 0:
                at = round(start * tiny_tagger.RATE)
                found.append(slow[at : at + 2 * tiny_tagger.RATE].astype(np.float32))
    return np.stack(found)


def test_tagger(ossl: Ossl, corpus: Path, tmp_path: Path) -> None:
    by_energy = spans(corpus)
    assert why(ossl, corpus) == "fresh"
    model = tiny_tagger.trained(tmp_path / "model", windows(corpus, True), windows(corpus, False))
    chosen = {
        "rule": "tagger", "tagger_model": str(model), "tagger_window_s": 2.0, "tagger_hop_s": 0.5,
        "tagger_device": "cpu", "min_s": 5.0,
    }  # fmt: skip
    # What only another rule asks for makes nothing stale.
    write_recipe(corpus, tagger_hop_s=0.5, tagger_model=str(model), min_similarity=0.5)
    assert why(ossl, corpus) == "fresh"
    write_recipe(corpus, **chosen)
    assert "cues.rule was 'energy', is 'tagger'" in why(ossl, corpus)
    ossl("-C", corpus, "cues")
    found = spans(corpus)
    assert {film: len(cues) for film, cues in found.items()} == {
        film: len(cues) for film, cues in by_energy.items()
    }
    for film, cues in found.items():
        # A window of 2 s hears music up to 1 s before it begins, and after it has ended.
        assert np.abs(np.array(cues) - np.array(by_energy[film])).max() <= 1.5
    assert {cue["recording"] for cue in rows(corpus, "cues")} == {None}
    table = (corpus / "manifests/cues.parquet").read_bytes()
    # How it runs and where the model lies shape nothing; which model it is does.
    (tmp_path / "model").rename(tmp_path / "moved")
    chosen |= {"tagger_model": str(tmp_path / "moved"), "tagger_batch_size": 3, "on_lu": 10.0}
    write_recipe(corpus, **chosen)
    assert why(ossl, corpus) == "fresh"
    for record in (corpus / "records/cues").glob("*.json"):
        record.unlink()
    ossl("-C", corpus, "cues")
    assert (corpus / "manifests/cues.parquet").read_bytes() == table
    tiny_tagger.constant(tmp_path / "moved", 0.01, 0.04)
    assert why(ossl, corpus).startswith("tool model was ")
    ossl("-C", corpus, "cues")
    assert rows(corpus, "cues") == []


def test_a_tagger_that_is_not_to_be_had(
    ossl: Ossl, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(corpus / "empty"))
    write_recipe(corpus, rule="tagger")
    said = ossl("-C", corpus, "cues", code=1).stderr
    assert "MIT/ast-finetuned-audioset-10-10-0.4593" in said
    assert "is not on this machine" in said
    assert "cues.tagger_model" in said


def test_soundtrack(ossl: Ossl, corpus: Path, tmp_path: Path) -> None:
    """Recordings made of the films' own music: the second cue of each, with 4 s before it."""
    by_energy = spans(corpus)
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    begins = {}
    for film, cues in by_energy.items():
        sound, rate = music_of(corpus, film)
        begins[f"{film}.ogg"] = cues[1][0] - 4
        part = sound[round((cues[1][0] - 4) * rate) : round(cues[1][1] * rate)]
        soundfile.write(shelf / f"{film}.ogg", part, rate)
    write_recipe(corpus, rule="soundtrack")
    said = ossl("-C", corpus, "cues", code=1).stderr
    assert "cues.recordings names no folder" in said
    write_recipe(corpus, rule="soundtrack", recordings=str(shelf))
    ossl("-C", corpus, "cues")
    found = rows(corpus, "cues")
    assert [cue["recording"] for cue in found] == sorted(begins)
    for cue in found:
        offset_s = cue["start_s"] - begins[cue["recording"]]
        assert cue["recording_offset_s"] == pytest.approx(offset_s, abs=0.01)
        assert cue["similarity"] > 0.9
        assert (cue["start_s"], cue["end_s"]) == by_energy[cue["film_id"]][1]
    status = json.loads(ossl("-C", corpus, "status", "--json").stdout)
    rest = sum(map(len, by_energy.values())) - len(found)
    assert {"stage": "cues", "reason": "not_in_recordings", "count": rest} in status["candidates"]
    assert why(ossl, corpus) == "fresh"
    shelf.rename(tmp_path / "moved")
    write_recipe(corpus, rule="soundtrack", recordings=str(tmp_path / "moved"))
    assert why(ossl, corpus) == "fresh"
    first = sorted(begins)[0]
    (tmp_path / "moved" / first).unlink()
    assert why(ossl, corpus).startswith("tool recordings was ")
    ossl("-C", corpus, "cues")
    assert [cue["recording"] for cue in rows(corpus, "cues")] == sorted(begins)[1:]


def test_what_a_recording_adds_makes_no_clip_stale(
    ossl: Ossl, corpus: Path, tmp_path: Path
) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    for film in spans(corpus):
        os.link(corpus / f"films/{film}/stems/music.flac", shelf / f"{film}.flac")
    write_recipe(corpus, rule="soundtrack", recordings=str(shelf))
    before = spans(corpus)
    ossl("-C", corpus, "cues")
    assert spans(corpus) == before
    assert None not in {cue["recording"] for cue in rows(corpus, "cues")}
    said = json.loads(ossl("-C", corpus, "build", "--dry-run", "--json").stdout)
    assert {one["action"] for one in said} == {"fresh"}
