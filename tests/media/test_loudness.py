"""Loudness agrees with ffmpeg's ebur128 and with the standard's own figures."""

from __future__ import annotations

import re
import subprocess

import numpy as np
import pytest
import soundfile

from ossl_builder.media import loudness
from ossl_builder.media.ffmpeg import binary

RATE = 44_100


def tone(seconds: float, level_dbfs: float, rate: int = RATE, hz: float = 997.0) -> np.ndarray:
    wave = 10 ** (level_dbfs / 20) * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)
    return wave.astype(np.float32)


def in_blocks(audio: np.ndarray, length: int) -> list[np.ndarray]:
    return [audio[:, at : at + length] for at in range(0, audio.shape[1], length)]


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000, 22_050])
def test_full_scale_tone_in_one_channel_reads_3_01(rate):
    meter = loudness.measured([tone(5, 0, rate)[None]], rate)
    assert loudness.integrated(meter.power()) == pytest.approx(-3.01, abs=0.05)


def test_gates_of_ebu_tech_3341_case_3():
    """10 s at -36, 60 s at -23, 10 s at -36 dBFS in both channels: -23 LUFS."""
    wave = np.concatenate([tone(10, -36), tone(60, -23), tone(10, -36)])
    meter = loudness.measured(in_blocks(np.stack((wave, wave)), 30_011), RATE)
    assert loudness.integrated(meter.power()) == pytest.approx(-23, abs=0.1)


@pytest.mark.parametrize("hop_s", [0.1, 0.05])
def test_agrees_with_ffmpeg(tmp_path, hop_s):
    rng = np.random.default_rng(1)
    swell = np.repeat(10 ** (rng.uniform(-50, -6, 40) / 20), RATE // 4)
    audio = (rng.standard_normal((2, len(swell))) * 0.3 * swell).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", audio.T, RATE, subtype="FLOAT")
    told = subprocess.run(
        [
            binary(), "-nostats", "-i", str(tmp_path / "a.wav"), "-af",
            "ebur128=metadata=1:peak=sample,ametadata=print:file=-", "-f", "null", "-",
        ],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    meter = loudness.measured(in_blocks(audio, 12_345), RATE, hop_s)
    step = round(0.1 / hop_s)
    for key, window_s in (("M", loudness.MOMENTARY_S), ("S", loudness.SHORT_TERM_S)):
        wanted = [float(v) for v in re.findall(rf"r128\.{key}=(\S+)", told.stdout)]
        curve = loudness.lufs(loudness.windowed(meter.power(), round(window_s / hop_s)))[::step]
        wanted = wanted[round(window_s / 0.1) - 1 :]
        assert len(curve) == len(wanted)
        assert curve == pytest.approx(wanted, abs=0.02)
    whole = float(re.findall(r"I:\s+(\S+) LUFS", told.stderr)[-1])
    assert loudness.integrated(meter.power(), hop_s) == pytest.approx(whole, abs=0.06)
    peak = float(re.findall(r"Peak:\s+(\S+) dBFS", told.stderr)[-1])
    assert loudness.dbfs(meter.peak) == pytest.approx(peak, abs=0.06)


def test_the_block_size_does_not_matter():
    audio = np.random.default_rng(0).uniform(-1, 1, (2, RATE * 3 + 77)).astype(np.float32)
    whole = loudness.measured([audio], RATE, 0.05)
    parts = loudness.measured(in_blocks(audio, 999), RATE, 0.05)
    assert len(whole.power()) == 60
    assert whole.power() == pytest.approx(parts.power(), rel=1e-9)
    assert np.array_equal(whole.peaks(), parts.peaks())


def test_silence_has_no_loudness():
    meter = loudness.measured([np.zeros((2, RATE), np.float32)], RATE)
    assert loudness.integrated(meter.power()) is None
    assert loudness.dbfs(meter.peak) is None
    assert loudness.integrated(np.zeros(0)) is None
