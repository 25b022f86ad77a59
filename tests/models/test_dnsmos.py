"""DNSMOS: windows and scores, with a tiny network of the same interface."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from ossl_builder.models import dnsmos


class Outputs:
    """A session that returns the level of a window as all three outputs."""

    def __init__(self) -> None:
        self.windows: list[np.ndarray] = []

    def get_inputs(self):
        return [type("Input", (), {"name": "input_1"})]

    def run(self, _, inputs):
        (window,) = inputs["input_1"]
        self.windows.append(window)
        return [np.full((1, 3), np.abs(window).max(), np.float32)]


@pytest.mark.parametrize(("seconds", "count"), [(9.01, 1), (10.5, 1), (12.26, 3), (4.0, 7)])
def test_windows_begin_every_second_and_short_audio_is_repeated(seconds, count):
    session = Outputs()
    audio = np.linspace(0.1, 1, round(seconds * dnsmos.RATE), dtype=np.float32)
    dnsmos.Dnsmos(session).quality(audio)
    assert len(session.windows) == count
    assert {len(window) for window in session.windows} == {144_160}
    for number, window in enumerate(session.windows):
        start = number * dnsmos.RATE
        expected = np.resize(audio, start + 144_160)[start:]
        assert np.array_equal(window, expected)


def test_scores_are_the_published_polynomials_of_the_outputs():
    quality = dnsmos.Dnsmos(Outputs()).quality(np.full(160_000, 3.0, np.float32))
    # For outputs of 3, computed by hand: a * 9 + b * 3 + c.
    assert quality.speech == pytest.approx(-0.08397278 * 9 + 1.22083953 * 3 + 0.0052439)
    assert quality.background == pytest.approx(-0.13166888 * 9 + 1.60915514 * 3 - 0.39604546)
    assert quality.overall == pytest.approx(-0.06766283 * 9 + 1.11546468 * 3 + 0.04602535)
