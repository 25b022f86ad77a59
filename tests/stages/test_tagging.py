"""The rule `tagger`: windows, sums of classes, segments and thresholds, with small real models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from ossl_builder.errors import OsslError
from ossl_builder.models import audioset_tagger
from ossl_builder.stages.cues.settings import CuesSettings
from ossl_builder.stages.cues.stage import CUES_STAGE
from ossl_builder.stages.cues.tagging import Tags, tag
from ossl_builder.tables import CUES, Stem
from tests import tiny_tagger
from tests.tiny_tagger import RATE


def noise(seconds: float) -> np.ndarray:
    rng = np.random.default_rng(5)
    samples = round(seconds * RATE)
    loud = np.interp(np.arange(samples), np.linspace(0, samples, 20), rng.random(20))
    return (rng.standard_normal(samples) * 0.2 * loud).astype(np.float32)


@pytest.fixture(scope="module")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_tagger.save(tmp_path_factory.mktemp("tagger"), *tiny_tagger.untrained())


def settings(model: Path, **changed: object) -> CuesSettings:
    chosen = {"tagger_window_s": 2.0, "tagger_hop_s": 0.5, "tagger_device": "cpu"}
    return CuesSettings(rule="tagger", tagger_model=str(model), **(chosen | changed))


def test_the_classes_are_those_of_audioset() -> None:
    names, is_music = audioset_tagger.names(), audioset_tagger.is_music()
    assert len(names) == len(is_music) == len(set(names)) == 527
    assert sum(is_music) == 157
    musical = {name for name, one in zip(names, is_music, strict=True) if one}
    assert {"Music", "Piano", "Orchestra", "Song", "Singing", "Choir", "Cowbell"} <= musical
    assert not {"Speech", "Silence", "Humming", "Noise", "Car", "Audio effect"} & musical


@pytest.mark.parametrize(("window_s", "hop_s"), [(2.0, 0.5), (0.7, 0.7), (0.5, 1.3)])
def test_sums_equal_those_of_single_windows(
    random_model: Path, window_s: float, hop_s: float
) -> None:
    """For any size of audio blocks, and any number of windows in a batch."""
    import torch
    from transformers import ASTFeatureExtractor, ASTForAudioClassification

    audio = noise(7.3)
    model = ASTForAudioClassification.from_pretrained(random_model)
    extractor = ASTFeatureExtractor.from_pretrained(random_model)
    padded = np.concatenate((np.zeros(2 * RATE), audio, np.zeros(3 * RATE)))
    hops = int(np.ceil(7.3 / hop_s - 1e-9))
    starts = [round((hop + 0.5) * hop_s * RATE - window_s * RATE / 2) for hop in range(hops)]
    cut = [padded[2 * RATE + at :][: round(window_s * RATE)] for at in starts]
    with torch.inference_mode():
        heard = extractor(cut, sampling_rate=RATE, return_tensors="pt")["input_values"]
        probabilities = 1 / (1 + np.exp(-model(heard).logits.double().numpy()))
    is_music = np.array(audioset_tagger.is_music())
    wanted = probabilities[:, is_music].sum(axis=1), probabilities[:, ~is_music].sum(axis=1)
    assert np.ptp(wanted[0]) > 0.1
    for block, batch in ((1_000, 1), (16_000, 4), (len(audio), 64)):
        # Two channels: the model gets their mean.
        blocks = [
            np.stack((audio[at : at + block] * 1.5, audio[at : at + block] * 0.5))
            for at in range(0, len(audio), block)
        ]
        chosen = settings(
            random_model, tagger_window_s=window_s, tagger_hop_s=hop_s, tagger_batch_size=batch
        )
        tags = tag(blocks, RATE, chosen, lambda seconds: None)
        assert tags.duration_s == pytest.approx(7.3)
        assert np.allclose(tags.music, wanted[0], rtol=1e-4)
        assert np.allclose(tags.other, wanted[1], rtol=1e-4)


def test_empty_audio_has_no_tags(random_model: Path) -> None:
    tags = tag([], RATE, settings(random_model), lambda seconds: None)
    assert (tags.stretches(), tags.duration_s) == ([], 0.0)


def test_segments_are_where_music_is_above_the_rest() -> None:
    music = np.array([0.1, 0.5, 0.5, 0.2, 0.3, 0.0, 0.9])
    other = np.array([0.2, 0.1, 0.3, 0.2, 0.1, 0.5, 0.0])
    found = Tags(music, other, hop_s=2.0, duration_s=13.1).stretches()
    # The fourth is a tie, which is not music; the last hop ends with the audio.
    assert [(start, end) for start, end, _ in found] == [(2.0, 6.0), (8.0, 10.0), (12.0, 13.1)]
    assert [rest for *_, rest in found] == pytest.approx([0.2, 0.1, 0.0])


@pytest.mark.parametrize(
    ("music", "other", "seconds", "ending"),
    [
        (0.06, 0.0499, 10.0, "cue"),
        (0.06, 0.0501, 10.0, "other_sound"),
        (0.06, 0.0499, 9.95, "too_short"),
        (0.0498, 0.0499, 10.0, "nothing"),
    ],
)
def test_thresholds(
    make_item, tmp_path: Path, music: float, other: float, seconds: float, ending: str
) -> None:
    model = tiny_tagger.constant(tmp_path / "model", music, other)
    rows = []
    for role, gain in (("mix", 1), ("music", 1), ("dialogue", 0)):
        audio = np.stack([noise(seconds) * gain] * 2, axis=1)
        soundfile.write(tmp_path / f"{role}.flac", audio, RATE)
        rows.append(
            Stem(
                film_id="film", role=role, path=f"{role}.flac", sha256="0" * 64, sample_rate=RATE,
                channels=2, n_samples=len(audio), duration_s=seconds, loudness_lufs=None,
                peak_dbfs=None, model="known", damaged_spans=(),
            )
        )  # fmt: skip
    chosen = {
        "rule": "tagger", "tagger_model": str(model), "tagger_window_s": 2.0, "min_s": 10.0,
        "tagger_device": "cpu",
    }  # fmt: skip
    outcome = CUES_STAGE.run(make_item(CUES_STAGE, {"stems": tuple(rows)}, chosen))
    CUES.validate(outcome.rows)
    assert [(row.start_s, row.end_s) for row in outcome.rows] == (
        [(0.0, seconds)] if ending == "cue" else []
    )
    assert [(one.reason, one.start_s, one.end_s) for one in outcome.rejects] == (
        [(ending, 0.0, seconds)] if ending in ("other_sound", "too_short") else []
    )


def test_unsuitable_models_are_refused(tmp_path: Path, random_model: Path) -> None:
    def refused(name: object, window_s: float = 2.0) -> str:
        chosen = settings(Path(str(name)), tagger_window_s=window_s)
        with pytest.raises(OsslError) as caught:
            tag([np.zeros((1, RATE), np.float32)], RATE, chosen, lambda seconds: None)
        assert caught.value.hint
        return caught.value.code

    model, extractor = tiny_tagger.untrained()
    model.config.id2label = {**model.config.id2label, 137: "Dog"}
    other_classes = tiny_tagger.save(tmp_path / "other", model, extractor)
    assert refused(other_classes) == "model_invalid"
    assert refused(tmp_path / "nothing") == "model_missing"
    assert refused(random_model, window_s=3.0) == "tagger_window"
    broken = tiny_tagger.save(tmp_path / "broken", *tiny_tagger.untrained())
    before = audioset_tagger.fingerprint(str(broken))
    (broken / "model.safetensors").write_bytes(b"no weights")
    assert refused(broken) == "model_invalid"
    assert audioset_tagger.fingerprint(str(broken)) not in (before, None)
    assert audioset_tagger.fingerprint(str(tmp_path / "nothing")) is None
