"""Sampled frames are those shown at the given times: the frames of the clips contain their time."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from ossl_train.data.window_loader import sample_times
from ossl_train.data.windows import WindowSpan

from ossl_builder.errors import OsslError
from ossl_builder.media.sampled_frames import frames_at

TICKS = 1000  # per second
BITS, SIDE = 10, 16


def frame_showing(number: int) -> np.ndarray:
    """A row of squares, white for each bit of the number."""
    row = np.zeros((SIDE, BITS * SIDE, 3), np.uint8)
    for bit in range(BITS):
        row[:, bit * SIDE : (bit + 1) * SIDE] = 255 * (number >> bit & 1)
    return row


def number_in(rgb: np.ndarray) -> int:
    squares = rgb.reshape(SIDE, BITS, SIDE, 3).mean(axis=(0, 2, 3)) > 127
    return sum(1 << bit for bit, white in enumerate(squares) if white)


def film(path: Path, ticks: Sequence[int]) -> Path:
    """An H.264 film (with B-frames) whose n-th frame begins at `ticks[n]`."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "2", "crf": "10"})
        stream.width, stream.height, stream.pix_fmt = BITS * SIDE, SIDE, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, TICKS)
        for number, tick in enumerate(ticks):
            frame = av.VideoFrame.from_ndarray(frame_showing(number), format="rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, TICKS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("kind", ["even", "uneven", "late"])
def test_the_frame_shown_at_each_time_is_returned(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    steps = np.full(300, 40) if kind != "uneven" else rng.choice([20, 40, 200], 300)
    ticks = np.concatenate(([0], np.cumsum(steps)[:-1]))
    path = film(tmp_path / "film.mkv", [int(tick) + 500 * (kind == "late") for tick in ticks])
    end_s = ticks[-1] / TICKS
    windows = [WindowSpan(0, 0.0, end_s / 2), WindowSpan(1, end_s / 2, end_s / 2)]
    times = [time for window in windows for time in sample_times(window, 32)]
    found = list(frames_at(path, times))
    expected = np.searchsorted(ticks / TICKS, times, side="right") - 1
    assert [number_in(one.rgb) for one in found] == expected.tolist()
    assert [one.time_s for one in found] == pytest.approx((ticks / TICKS)[expected].tolist())
    assert len(set(expected.tolist())) > 50, "the test must ask for many frames"


def test_a_time_at_the_start_of_a_frame_gives_that_frame(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mkv", range(0, 2000, 40))
    assert [number_in(one.rgb) for one in frames_at(path, [0.0, 0.04, 0.08, 9.0, 10.0])] == [
        0, 1, 2, 49, 49,
    ]  # fmt: skip


def test_a_broken_file_gives_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"no film")
    with pytest.raises(OsslError) as caught:
        list(frames_at(tmp_path / "film.mp4", [0.0]))
    assert caught.value.code == "not_media"
