"""Decoded frames: levels, times, damage, thumbnails."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from ossl_builder.errors import OsslError
from ossl_builder.media.video_reader import VideoReader, thumbnail

STEP = Fraction(1, 24)


def write_film(
    path: Path,
    grey: Sequence[int],
    times: Sequence[int] | None = None,
    time_base: Fraction = STEP,
    pix_fmt: str = "yuv420p",
    codec: str = "libx264",
    size: tuple[int, int] = (192, 108),
    options: dict[str, str] | None = None,
) -> Path:
    """A film of flat grey frames (BT.601 luma), each at its time in ticks."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, options=options or {})
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = stream.time_base = time_base
        packets = []
        for k, level in enumerate(grey):
            frame = av.VideoFrame(*size, "yuv420p")
            for plane, value in zip(frame.planes, (level, 128, 128), strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            frame = frame.reformat(format=pix_fmt)
            frame.pts = k if times is None else times[k]
            frame.time_base = time_base
            packets += stream.encode(frame)
        for packet in packets + stream.encode(None):
            packet.duration = round(STEP / time_base)
            out.mux(packet)
    return path


@pytest.mark.parametrize(
    ("pix_fmt", "codec"),
    [
        ("yuv420p", "libx264"),
        ("yuv422p", "libx264"),
        ("yuv444p10le", "libx264"),
        ("yuv420p10le", "libx264"),
        ("gray", "libx264"),
        ("yuvj420p", "mjpeg"),
        ("bgr0", "ffv1"),
    ],
)
def test_levels_do_not_depend_on_the_pixel_format(tmp_path, pix_fmt, codec):
    path = write_film(tmp_path / "f.mkv", [16, 126, 235], pix_fmt=pix_fmt, codec=codec)
    frames = list(VideoReader(path, STEP))
    assert [frame.small.shape for frame in frames] == [(36, 64, 3)] * 3
    luma = [float(frame.small[:, :, 0].mean()) for frame in frames]
    assert luma == pytest.approx([0, 128, 255], abs=4)
    assert all(abs(frame.small[:, :, 1:].astype(int) - 128).max() <= 2 for frame in frames)


def test_times_of_ntsc_film_are_exact_and_begin_at_zero(tmp_path):
    base = Fraction(1, 24000)
    times = [48048 + 1001 * k for k in range(30)]
    path = write_film(tmp_path / "f.mkv", [100] * 30, times, base)
    moved = write_film(tmp_path / "f.mp4", [100] * 30, times, base)
    for film, exact in ((moved, True), (path, False)):
        reader = VideoReader(film, Fraction(1001, 24000))
        seen = [frame.ticks * reader.time_base for frame in reader]
        wanted = [Fraction(1001 * k, 24000) for k in range(30)]
        if exact:
            assert seen == wanted
            assert reader.end * reader.time_base == Fraction(29 * 1001 + 1000, 24000)
        else:  # Matroska keeps milliseconds
            assert [float(time) for time in seen] == pytest.approx(
                [float(time) for time in wanted], abs=0.0011
            )


def test_variable_rate_keeps_each_time(tmp_path):
    times = [0, 40, 80, 200, 233, 266, 1266, 1299]
    path = write_film(tmp_path / "f.mkv", [100] * 8, times, Fraction(1, 1000))
    reader = VideoReader(path, STEP)
    assert [frame.ticks for frame in reader] == times
    assert reader.damage == []


def moving(path: Path, codec: str, options: dict[str, str]) -> Path:
    """Ten seconds of a moving texture."""
    rng = np.random.default_rng(1)
    wall = cv2.resize(rng.integers(0, 255, (30, 120, 3), np.uint8), (960, 240))
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=24, options=options)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for k in range(240):
            frame = np.ascontiguousarray(wall[:, 2 * k : 2 * k + 320])
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "bgr24")))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_damage_is_detected_and_the_rest_is_kept(tmp_path, suffix):
    path = moving(tmp_path / f"f.{suffix}", "libx264", {"g": "24", "preset": "ultrafast"})
    whole = VideoReader(path, STEP)
    assert len(list(whole)) == 240
    assert whole.damage == []
    content = bytearray(path.read_bytes())
    start, end = int(len(content) * 0.45), int(len(content) * 0.52)
    content[start:end] = bytes(end - start)
    path.write_bytes(content)
    broken = VideoReader(path, STEP)
    times = [float(frame.ticks * broken.time_base) for frame in broken]
    spans = [(float(a * broken.time_base), float(b * broken.time_base)) for a, b in broken.damage]
    assert 190 < len(times) < 240
    assert times[-1] == pytest.approx(239 / 24, abs=0.002)
    assert 3.5 < spans[0][0] < 5.0
    assert 4.8 < spans[-1][1] < 6.5


def test_a_file_without_a_decodable_frame_is_refused(tmp_path):
    path = moving(tmp_path / "f.mp4", "libx264", {"preset": "ultrafast"})
    content = path.read_bytes()
    moov = content.index(b"moov")
    mdat = content.index(b"mdat")
    path.write_bytes(content[: mdat + 4] + bytes(moov - mdat - 8) + content[moov - 4 :])
    with pytest.raises(OsslError) as error:
        list(VideoReader(path, STEP))
    assert error.value.code == "video_undecodable"
    path.write_bytes(b"no film at all")
    with pytest.raises(OsslError) as error:
        list(VideoReader(path, STEP))
    assert error.value.code == "not_media"


def test_thumbnail_has_square_pixels_and_the_frame_s_colours(tmp_path):
    path = tmp_path / "f.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=24, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 360, 576, "yuv420p"
        frame = np.zeros((576, 360, 3), np.uint8)
        frame[:, :180] = (200, 40, 30)  # red on the left, in RGB
        frame[:, 180:] = (30, 60, 190)
        out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        out.mux(stream.encode(None))
    (seen,) = VideoReader(path, STEP)
    jpeg = thumbnail(seen.frame, 320, Fraction(32, 15))
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (240, 320, 3)
    assert image[120, 60, ::-1].tolist() == pytest.approx([200, 40, 30], abs=12)
    assert image[120, 260, ::-1].tolist() == pytest.approx([30, 60, 190], abs=12)
