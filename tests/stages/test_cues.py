"""Cue detection: edges, levels, noise, and audio that is not music."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

from ossl_builder.engine.cache import shaping_of
from ossl_builder.media.audio_reader import FilmAudio
from ossl_builder.stages.cues.settings import CuesSettings
from ossl_builder.stages.cues.stage import CUES_STAGE
from ossl_builder.tables import CUES, Cue, Stem

RATE = 44_100
Times = list[tuple[float, float]]


def silence(seconds: float) -> np.ndarray:
    return np.zeros((2, round(seconds * RATE)), np.float32)


def hiss(seconds: float, level_dbfs: float) -> np.ndarray:
    noise = np.random.default_rng(1).standard_normal((2, round(seconds * RATE)))
    return (noise * 10 ** (level_dbfs / 20)).astype(np.float32)


def at_level(wave: np.ndarray, level_dbfs: float) -> np.ndarray:
    wave = wave * 10 ** (level_dbfs / 20) / np.sqrt(np.mean(wave**2))
    return np.stack((wave, wave)).astype(np.float32)


def melody(seconds: float, level_dbfs: float, fade_in: float = 0, fade_out: float = 0):
    """Plucked notes, five a second, each dying away."""
    rng = np.random.default_rng(2)
    wave = np.zeros(round(seconds * RATE))
    for at in range(0, len(wave), RATE // 5):
        time = np.arange(min(RATE, len(wave) - at)) / RATE
        hz = 220 * 2 ** (rng.integers(0, 25) / 12)
        tones = sum(np.sin(2 * np.pi * hz * k * time) / k for k in (1, 2, 3, 4))
        wave[at : at + len(time)] += tones * np.exp(-4 * time)
    audio = at_level(wave, level_dbfs)
    audio[:, : round(fade_in * RATE)] *= np.linspace(0, 1, round(fade_in * RATE))
    if fade_out:
        audio[:, -round(fade_out * RATE) :] *= np.linspace(1, 0, round(fade_out * RATE))
    return audio


def speech(seconds: float, level_dbfs: float = -22):
    """Syllables of voiced audio and of noise, four a second, with pauses."""
    rng = np.random.default_rng(3)
    time = np.arange(round(seconds * RATE)) / RATE
    voice = sum(np.sin(2 * np.pi * 130 * k * time) / k for k in range(1, 20))
    voice += rng.standard_normal(len(time))
    syllables = np.maximum(np.sin(2 * np.pi * 4 * time), 0) ** 2 * (time % 3 < 2.5)
    return at_level(voice * syllables, level_dbfs)


def placed(seconds: float, *parts: tuple[float, np.ndarray]) -> np.ndarray:
    audio = silence(seconds)
    for start, part in parts:
        begin = round(start * RATE)
        audio[:, begin : begin + part.shape[1]] += part
    return audio


@pytest.fixture
def found(make_item, tmp_path):
    """Write stems, run the stage, return its outcome."""

    def find(music: np.ndarray, dialogue: np.ndarray, rate: int = RATE, **settings: object):
        stems = {"mix": music + dialogue, "music": music, "dialogue": dialogue}
        rows = []
        for role, audio in stems.items():
            soundfile.write(tmp_path / f"{role}.flac", audio.T, rate)
            rows.append(
                Stem(
                    film_id="film", role=role, path=f"{role}.flac", sha256="0" * 64,
                    sample_rate=rate, channels=2, n_samples=audio.shape[1],
                    duration_s=audio.shape[1] / rate, loudness_lufs=None, peak_dbfs=None,
                    model="known", damaged_spans=(),
                )
            )  # fmt: skip
        outcome = CUES_STAGE.run(make_item(CUES_STAGE, {"stems": tuple(rows)}, settings))
        CUES.validate(outcome.rows)
        return outcome

    return find


def times(outcome) -> Times:
    return [(row.start_s, row.end_s) for row in outcome.rows]


def assert_near(got: Times, wanted: Times, within_s: float) -> None:
    assert len(got) == len(wanted), got
    assert np.abs(np.array(got) - np.array(wanted)).max(initial=0) <= within_s, (got, wanted)


def test_true_stems_of_a_real_film(found, shared_media):
    folder = shared_media / "mixfilm"
    truth = json.loads((folder / "truth.json").read_text())
    music, speech = (
        soundfile.read(folder / f"{name}.flac", dtype="float32")[0].T
        for name in ("music", "speech")
    )
    wanted = [(cue["start"], cue["end"]) for cue in truth["cues"]]
    outcome = found(music, speech)
    assert_near(times(outcome), wanted, 0.2)
    for row, cue in zip(outcome.rows, truth["cues"], strict=True):
        spoken = sum(
            part["end"] - part["start"] for part in truth["overlaps"] if part["cue"] == cue["id"]
        )
        # Speakers pause, and quiet words are masked by the music.
        share = spoken / (cue["end"] - cue["start"])
        assert 0.5 * share <= row.dialogue_share <= share + 0.02


@pytest.mark.slow
@pytest.mark.parametrize("noise_dbfs", [None, -50, -42])
def test_bundled_separators_stems_of_a_real_film(found, shared_media, noise_dbfs):
    from ossl_builder.models import demucs, hub, separators

    if not hub.BUNDLED_FILE.exists():
        pytest.skip("the bundled separator is not here")
    folder = shared_media / "mixfilm"
    truth = json.loads((folder / "truth.json").read_text())
    mix = np.concatenate(list(FilmAudio(folder / "dev.mp4", RATE, 2).blocks()), axis=1)
    if noise_dbfs is not None:
        mix += hiss(mix.shape[1] / RATE, noise_dbfs)
    model = separators.load("bundled", {}, {}, "cpu")
    stems = np.concatenate(list(demucs.separate(model.members, [mix])), axis=-1).clip(-1, 1)
    music, dialogue = stems[:2]

    def frames(spans: Times) -> np.ndarray:
        mask = np.zeros(2107, bool)
        for start, end in spans:
            mask[round(start * 10) : round(end * 10)] = True
        return mask

    claimed = frames(times(found(music, dialogue)))
    there = frames([(cue["start"], cue["end"]) for cue in truth["cues"]])
    alone = frames([(part["start"], part["end"]) for part in truth["speech"]]) & ~there
    assert 2 * (claimed & there).sum() / (claimed.sum() + there.sum()) >= 0.98
    assert claimed[alone].mean() < 0.02


def test_loud_soft_and_short_cues_with_speech_between(found):
    music = placed(
        90, (5, melody(15, -20)), (45, melody(12, -40, 2, 3)), (70, melody(3.5, -26))
    )  # fmt: skip
    dialogue = placed(90, (22, speech(20)), (59, speech(9)))
    outcome = found(music, dialogue)
    assert_near(times(outcome), [(5, 20), (45, 57), (70, 73.5)], 0.5)
    loud, soft, _ = outcome.rows
    assert loud.music_lufs - soft.music_lufs == pytest.approx(20, abs=3)
    assert loud.music_share == pytest.approx(1)
    assert loud.dialogue_share == 0
    peak = np.abs(music[:, 5 * RATE : 20 * RATE]).max()
    assert loud.music_peak_dbfs == pytest.approx(20 * np.log10(peak), abs=0.01)


def test_hard_edges_are_exact(found):
    outcome = found(placed(30, (8.3, melody(10, -20))), silence(30))
    assert_near(times(outcome), [(8.3, 18.3)], 0.051)


@pytest.mark.parametrize("level_dbfs", [-50, -42])
def test_hiss_is_not_music(found, level_dbfs):
    music = placed(70, (10, melody(20, -24, 0.5, 0.5)), (45, melody(12, -24)))
    outcome = found(music + hiss(70, level_dbfs), placed(70, (33, speech(8))))
    assert_near(times(outcome), [(10, 30), (45, 57)], 0.5)


def test_hiss_that_starts_suddenly_is_not_music(found):
    louder = np.concatenate((hiss(60, -55), hiss(60, -43)), axis=1)
    music = placed(120, (10, melody(20, -24)), (80, melody(20, -24))) + louder
    assert_near(times(found(music, silence(120))), [(10, 30), (80, 100)], 0.3)


def test_hiss_that_a_separator_lets_through_at_times_is_not_music(found):
    """Its level depends on the other content of a separator window."""
    music = placed(90, (10, melody(20, -20)), (50, melody(20, -20)))
    for start_s, seconds, level_dbfs in ((30, 5, -48), (35, 4, -56), (70, 8, -44), (80, 10, -60)):
        music += placed(90, (start_s, hiss(seconds, level_dbfs)))
    assert_near(times(found(music, silence(90))), [(10, 30), (50, 70)], 0.3)


@pytest.mark.parametrize("level_dbfs", [-60, -42, -30])
def test_film_of_noise_has_no_cues(found, level_dbfs):
    assert found(hiss(40, level_dbfs), placed(40, (5, speech(10)))).rows == ()


def test_silence_has_no_cues(found):
    assert found(silence(20), silence(20)).rows == ()
    assert found(silence(0.02), silence(0.02)).rows == ()


@pytest.mark.parametrize(("residue_db", "within_s"), [(-20, 0.2), (-12, 1.2)])
def test_residue_of_speech_is_not_music(found, residue_db, within_s):
    dialogue = placed(80, (5, speech(20)), (50, speech(10)))
    residue = dialogue * np.float32(10 ** (residue_db / 20))
    assert found(residue, dialogue).rows == ()
    music = placed(80, (25, melody(10, -24)))
    assert_near(times(found(music + residue, dialogue)), [(25, 35)], within_s)


def test_a_cue_continues_under_speech(found):
    outcome = found(placed(60, (10, melody(40, -34))), placed(60, (18, speech(20))))
    assert_near(times(outcome), [(10, 50)], 0.3)
    (cue,) = outcome.rows
    assert 0.2 < cue.dialogue_share < 0.5
    assert cue.music_share < 0.3


def test_a_film_full_of_music_is_one_cue(found):
    assert_near(times(found(melody(40, -24), silence(40))), [(0, 40)], 0.1)


def test_only_short_pauses_are_bridged(found):
    parts = ((5, melody(8, -24)), (15, melody(8, -24)), (27, melody(8, -24)))
    outcome = found(placed(40, *parts), silence(40))
    assert_near(times(outcome), [(5, 23), (27, 35)], 0.1)


def test_short_music_is_rejected_with_its_times(found):
    outcome = found(placed(20, (8, melody(2, -24))), silence(20))
    assert outcome.rows == ()
    (reject,) = outcome.rejects
    assert reject.reason == "too_short"
    assert (reject.start_s, reject.end_s) == pytest.approx((8, 10), abs=0.1)
    assert len(found(placed(20, (8, melody(2, -24))), silence(20), min_s=1.5).rows) == 1


def test_other_rates(found):
    music, dialogue = placed(30, (8, melody(10, -20))), silence(30)
    slower = [audio[:, ::2] for audio in (music, dialogue)]
    assert_near(times(found(*slower, rate=22_050)), [(8, 18)], 0.1)


def test_settings_of_other_rules_do_not_affect_this_one():
    by_rule = {
        rule: {key.removeprefix("cues.") for key in shaping_of(CUES_STAGE, CuesSettings(rule=rule))}
        for rule in ("energy", "tagger", "soundtrack")
    }
    own = {"tagger_window_s", "tagger_hop_s", "tagger_max_other"}
    assert own <= by_rule["tagger"]
    assert {"min_similarity", "on_lu"} <= by_rule["soundtrack"]
    assert not (own | {"min_similarity"}) & by_rule["energy"]
    assert not {"on_lu", "bridge_s", "min_similarity"} & by_rule["tagger"]
    for keys in by_rule.values():
        assert {"rule", "min_s", "dialogue_lu"} <= keys
        assert not {"recordings", "tagger_model", "tagger_batch_size", "tagger_device"} & keys


def test_old_rows_without_recordings_can_be_read():
    row = Cue("f", "f_c000", 0.0, 1.0, -20.0, -3.0, 0.9, 0.1)
    old = {key: value for key, value in CUES.to_json(row).items() if value is not None}
    assert len(old) == 8
    assert CUES.from_json(old) == row
