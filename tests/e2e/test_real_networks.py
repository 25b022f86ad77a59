"""Pretrained networks on the shared film, where their weights are: `ossl models get spleeter …`."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ossl_train.metrics.frechet import frechet_distance
from scipy.signal import resample_poly
from separator import score

from ossl_builder.media.video_reader import VideoReader
from ossl_builder.models import dnsmos, published, separators, yamnet
from ossl_builder.stages.scenes.confirmation import TinyFrames, confirm
from ossl_builder.stages.scenes.transitions import Boundary
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


def test_transnetv2_tells_transitions_from_moments_within_shots(
    shared_media: Path, tmp_path: Path, truth: dict[str, Any]
) -> None:
    needs("transnetv2")
    path = shared_media / "mixfilm/dev.mp4"
    cuts = truth["cut_times"]
    with TinyFrames(tmp_path) as frames:
        reader = VideoReader(path, step=1 / 24)
        times = []
        for frame in reader:
            frames.add(frame)
            times.append(float(frame.ticks * reader.time_base))

        def at(moment: float) -> Boundary:
            number = min(range(len(times)), key=lambda n: abs(times[n] - moment))
            return Boundary(number, "cut")

        # In the middle of long shots, where nothing changes.
        gradual = [
            span[f"{end}_frame"] / 24 for span in truth["gradual"] for end in ("start", "end")
        ]
        edges = sorted([*cuts, *gradual])
        within = [at((a + b) / 2) for a, b in pairwise(edges) if b - a > 4]
        true = [at(cut) for cut in cuts]
        assert len(within) >= 10
        kept, rejects = confirm(true, frames, 0.3, times.__getitem__, lambda part: None)
        assert len(kept) >= 0.95 * len(true)
        kept, rejects = confirm(within, frames, 0.3, times.__getitem__, lambda part: None)
        assert len(rejects) >= 0.9 * len(within)
        assert {reject.reason for reject in rejects} == {"not_confirmed"}


def test_dtln_takes_music_out_of_the_dialogue(shared_media: Path) -> None:
    needs("dtln")
    film = score.Film.load(shared_media / "mixfilm")
    stems, _ = score.separate(separators.load("dtln", {}, {}, "cpu"), film.mix)
    rows_of_film = score.gains(film, stems["dialogue"].mean(0), stems["music"].mean(0))
    assert np.mean([row["dialogue_gain"] for row in rows_of_film]) > 6
    assert np.mean([row["music_gain"] for row in rows_of_film]) > 6


def test_dnsmos_rates_speech_above_its_mix_with_music(
    ossl: Ossl, shared_media: Path, dev_corpus: Path, tmp_path: Path, truth: dict[str, Any]
) -> None:
    needs("dnsmos")
    film = score.Film.load(shared_media / "mixfilm")
    network = dnsmos.load()
    for overlap in truth["overlaps"]:
        window = slice(int(overlap["start"] * film.rate), int(overlap["end"] * film.rate))
        clean, mixed = (
            network.quality(resample_poly(audio[window], 160, 441).astype(np.float32)).overall
            for audio in (film.speech, film.mix.mean(0))
        )
        assert clean > mixed + 0.5
    corpus = linked(dev_corpus, tmp_path / "corpus")
    ossl("-C", corpus, "clips", "--set", "clips.speech_quality=dnsmos")
    rated = [row for row in rows(corpus, "clips") if row["dialogue_mos"] is not None]
    assert rated
    assert all(row["dialogue_share"] > 0 and 1 <= row["dialogue_mos"] <= 5 for row in rated)
    silent = [row for row in rows(corpus, "clips") if not row["dialogue_share"]]
    assert all(row["dialogue_mos"] is None for row in silent)


def test_the_distance_of_music_and_speech_is_that_of_other_sounds(shared_media: Path) -> None:
    """The Fréchet distance of YAMNet's logits tells music from speech."""
    needs("yamnet")
    film = score.Film.load(shared_media / "mixfilm")

    def vectors(audio: np.ndarray, kind: str) -> np.ndarray:
        spans = [(span["start"], span["end"]) for span in film.truth[kind]]
        parts = [audio[int(a * film.rate) : int(b * film.rate)] for a, b in spans]
        low = resample_poly(np.concatenate(parts), 160, 441).astype(np.float32)
        patches = yamnet.load().patches(low)[:, :277]
        return np.log(np.clip(patches, 1e-4, 1 - 1e-4))

    music, speech = vectors(film.music, "cues"), vectors(film.speech, "speech")
    halves = [music[0::2], music[1::2]]
    same = frechet_distance(*halves)
    assert frechet_distance(music, speech) > 5 * same


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
