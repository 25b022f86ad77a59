"""The estimated residual of stems: it follows what was really left in them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from ossl_builder.media.stem_residual import ResidualMeter
from tests.films.pieces import played

RATE = 44_100
SECONDS = 12.0


def speech(seed: int) -> np.ndarray:
    """A buzz with moving formants in bursts, as a voice has them, [samples]."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(SECONDS * RATE)) / RATE
    buzz = np.sign(np.sin(2 * np.pi * np.cumsum(120 + 20 * np.sin(3 * time_s)) / RATE))
    syllables = np.clip(np.sin(2 * np.pi * 3.1 * time_s + rng.uniform(0, 6)), 0, 1)
    return (0.1 * buzz * syllables).astype(np.float32)


def residuals(music: np.ndarray, dialogue: np.ndarray, block: int = RATE) -> list[float | None]:
    meter = ResidualMeter(RATE)
    for at in range(0, len(music), block):
        meter.add(music[None, at : at + block], dialogue[None, at : at + block])
    return list(meter.residuals_db())


@pytest.fixture(scope="module")
def stems() -> tuple[np.ndarray, np.ndarray]:
    return played(3, SECONDS, RATE), speech(4)


def test_the_estimate_follows_the_music_that_is_left_in_the_dialogue(
    stems: tuple[np.ndarray, np.ndarray],
) -> None:
    # In different bands, so that no bin has both by nature.
    music = signal.sosfiltfilt(signal.butter(8, 800, fs=RATE, output="sos"), stems[0])
    high = signal.butter(8, 1_200, "highpass", fs=RATE, output="sos")
    dialogue = signal.sosfiltfilt(high, stems[1])
    level = np.sqrt(np.mean(music**2) / np.mean(dialogue**2))
    clean, _ = residuals(music, dialogue)
    estimates = []
    for left_db in (-24, -18, -12, -6):
        gain = 10 ** (left_db / 20) / level
        estimate, _ = residuals(music * (1 - gain), dialogue + gain * music)
        estimates.append(estimate)
        assert estimate == pytest.approx(left_db, abs=1.5)
    assert estimates == sorted(estimates)
    assert clean < estimates[0]


def test_both_directions_are_told_apart(stems: tuple[np.ndarray, np.ndarray]) -> None:
    music, dialogue = stems
    quiet_music = music * 0.05  # the same shared energy is more of a quiet stem
    in_dialogue, in_music = residuals(quiet_music, dialogue)
    assert in_music > in_dialogue + 10


def test_blocks_do_not_matter(stems: tuple[np.ndarray, np.ndarray]) -> None:
    music, dialogue = stems
    whole = residuals(music, dialogue, len(music))
    assert residuals(music, dialogue, 777) == pytest.approx(whole, rel=1e-6)


def test_a_silent_stem_has_no_residual(stems: tuple[np.ndarray, np.ndarray]) -> None:
    music, _ = stems
    in_dialogue, in_music = residuals(music, np.zeros_like(music))
    assert in_dialogue is None
    assert in_music == -100.0
    assert residuals(music[:100], music[:100]) == [None, None], "too short for one window"
