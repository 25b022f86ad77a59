"""Frames at given times: the same bits as from a decoder that decodes every frame."""

from __future__ import annotations

import os
import subprocess
from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest

from ossl_builder.media import sampled_frames
from ossl_builder.media.sampled_frames import (
    TOLERANCE_S,
    SampledFrames,
    _of_all_frames,
    frames_at,
    needed_frames,
    wanted_frames,
)
from ossl_builder.media.stream_choice import inspect
from ossl_builder.media.video_frames import timed_frames
from ossl_builder.media.video_transforms import orientation_of

WIDTH, HEIGHT = 128, 96
X264 = {"preset": "veryfast", "crf": "20"}
# Name: suffix, encoder, options, pixel format; whether some frames may be left out.
KINDS = {
    "usual": ("mp4", "libx264", X264, "yuv420p", True),
    "our clips": ("mp4", "libx264", {**X264, "threads": "1"}, "yuv420p", True),
    "b-pyramid": (
        "mp4", "libx264", {"bf": "5", "x264-params": "b-pyramid=normal"}, "yuv420p", True
    ),
    "b-pyramid strict": (
        "mkv", "libx264", {"bf": "7", "x264-params": "b-pyramid=strict:b-adapt=2"}, "yuv420p", True
    ),
    "no b-frames": ("mp4", "libx264", {**X264, "bf": "0"}, "yuv420p", True),
    "short groups": ("mp4", "libx264", {**X264, "g": "12"}, "yuv420p", True),
    "slices": ("mp4", "libx264", {**X264, "x264-params": "slices=4"}, "yuv420p", True),
    "zero latency": ("mp4", "libx264", {**X264, "tune": "zerolatency"}, "yuv420p", True),
    "baseline": ("mp4", "libx264", {**X264, "profile": "baseline"}, "yuv420p", True),
    "weights": ("mkv", "libx264", {"preset": "slow", "refs": "8"}, "yuv420p", True),
    "10 bits": ("mkv", "libx264", X264, "yuv420p10le", True),
    "4:4:4": ("mp4", "libx264", X264, "yuv444p", True),
    "every frame alone": ("mp4", "libx264", {**X264, "g": "1"}, "yuv420p", True),
    "open groups": ("mp4", "libx264", {"g": "24", "x264-params": "open-gop=1"}, "yuv420p", True),
    "intra refresh": ("mkv", "libx264", {"x264-params": "intra-refresh=1"}, "yuv420p", True),
    "interlaced": ("mp4", "libx264", {**X264, "flags": "+ildct+ilme"}, "yuv420p", True),
    "transport stream": ("ts", "libx264", {**X264, "g": "24"}, "yuv420p", True),
    "avi": ("avi", "libx264", X264, "yuv420p", False),
    "mpeg4": ("mp4", "mpeg4", {"bf": "2", "g": "12"}, "yuv420p", False),
    "mpeg4 in avi": ("avi", "mpeg4", {"bf": "2"}, "yuv420p", False),
    "mpeg2": ("mpg", "mpeg2video", {"bf": "2"}, "yuv420p", False),
    "vp9": ("webm", "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}, "yuv420p", False),
    "hevc": ("mp4", "libx265", {"preset": "ultrafast"}, "yuv420p", False),
    "mjpeg": ("mkv", "mjpeg", {}, "yuvj420p", False),
    "prores": ("mov", "prores_ks", {}, "yuv422p10le", False),
    "ffv1": ("mkv", "ffv1", {"g": "10"}, "yuv420p", False),
}  # fmt: skip


def encode(
    path: Path, codec: str, options: dict[str, str], pix_fmt: str, ticks: Sequence[int]
) -> Path:
    """A film with cuts and movement, whose n-th frame begins at `ticks[n]` / 600 s."""
    rng = np.random.default_rng(7)
    shots = [rng.integers(0, 255, (HEIGHT + 60, WIDTH + 200, 3), np.uint8) // 2 for _ in range(4)]
    shots = [(s // 2 + np.roll(s, 1, 0) // 4 + np.roll(s, 1, 1) // 4) for s in shots]
    base = Fraction(1, 600)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=dict(options))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pix_fmt
        if codec in ("libx264", "prores_ks", "ffv1", "mjpeg"):
            stream.codec_context.time_base = stream.time_base = base
        for number, tick in enumerate(ticks):
            shot = shots[number // 45 % 4]
            part = shot[number % 50 : number % 50 + HEIGHT, 2 * (number % 90) :][:, :WIDTH]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(part), format="rgb24")
            frame = frame.reformat(format=pix_fmt)
            if codec in ("libx264", "prores_ks", "ffv1", "mjpeg"):
                frame.pts, frame.time_base = tick, base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def steady(n: int = 150, step: int = 24) -> list[int]:
    return list(range(0, n * step, step))


def every_frame(path: Path) -> list[tuple[float, np.ndarray]]:
    """All frames and their starts, without any selection."""
    found, first = [], None
    for timed in timed_frames(inspect(path)):
        if timed.frame is None:
            continue
        first = timed.pts if first is None else first
        rgb = orientation_of(timed.frame).apply(timed.frame.to_ndarray(format="rgb24"))
        found.append((float((timed.pts - first) * timed.frame.time_base), rgb))
    return found


def check(path: Path, frames: list[tuple[float, np.ndarray]], times_s: Sequence[float]) -> None:
    starts = [start for start, _ in frames]
    found = list(frames_at(path, times_s))
    assert len(found) == len(times_s)
    for time_s, sampled in zip(times_s, found, strict=True):
        number = max(0, bisect_right(starts, time_s + TOLERANCE_S) - 1)
        assert sampled.time_s == starts[number]
        assert np.array_equal(sampled.rgb, frames[number][1])


def requests(end_s: float) -> list[list[float]]:
    """Sparse, dense, at starts of frames, at the end, several of one frame, before the start."""
    rng = np.random.default_rng(2)
    return [
        [(k + 0.5) * end_s / 7 for k in range(7)],
        [(k + 0.5) * end_s / 32 for k in range(32)],
        sorted(rng.uniform(0, end_s, 60).tolist()),
        [k * 0.04 for k in range(0, 140, 9)],
        [end_s - 0.05, end_s, end_s + 3, end_s + 4],
        [1.0, 1.001, 1.002, 1.003],
        [-1.0, 0.0],
        [end_s * 0.6],
    ]


@pytest.mark.parametrize("name", KINDS)
def test_frames_are_those_of_decoding_every_frame(name: str, tmp_path: Path) -> None:
    suffix, codec, options, pix_fmt, is_sparse = KINDS[name]
    if codec not in av.codecs_available:
        pytest.skip(f"this build has no {codec}")
    path = encode(tmp_path / f"film.{suffix}", codec, options, pix_fmt, steady())
    frames = every_frame(path)
    for times_s in requests(frames[-1][0]):
        check(path, frames, times_s)
    wanted = wanted_frames(inspect(path), [1.0, 3.0])
    assert (wanted is not None) == is_sparse
    if wanted is not None:
        # Else every frame would be decoded, with the same result.
        n_found = sum(n_times for _, _, n_times in needed_frames(inspect(path), wanted))
        assert n_found == (0 if name == "interlaced" else 2)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_uneven_and_late_times_are_kept(suffix: str, tmp_path: Path) -> None:
    steps = np.random.default_rng(1).choice([12, 24, 120], 150)
    for shift in (0, 700):
        ticks = [int(tick) + shift for tick in np.concatenate(([0], np.cumsum(steps)[:-1]))]
        path = encode(tmp_path / f"film{shift}.{suffix}", "libx264", X264, "yuv420p", ticks)
        frames = every_frame(path)
        for times_s in requests(frames[-1][0]):
            check(path, frames, times_s)
        assert wanted_frames(inspect(path), [1.0]) is not None


def ffmpeg(*arguments: object) -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True)


def test_rotated_films_and_edit_lists(tmp_path: Path) -> None:
    plain = encode(tmp_path / "plain.mp4", "libx264", {**X264, "g": "50"}, "yuv420p", steady())
    ffmpeg("-display_rotation", 90, "-i", plain, "-c", "copy", tmp_path / "rotated.mp4")
    ffmpeg("-ss", 1.3, "-i", plain, "-c", "copy", tmp_path / "edited.mp4")
    for name, is_sparse in (("rotated", True), ("edited", False)):
        path = tmp_path / f"{name}.mp4"
        frames = every_frame(path)
        for times_s in requests(frames[-1][0]):
            check(path, frames, times_s)
        assert (wanted_frames(inspect(path), [1.0]) is not None) == is_sparse
    assert every_frame(tmp_path / "rotated.mp4")[0][1].shape == (WIDTH, HEIGHT, 3)


def spoilt(path: Path, to: Path, rng: np.random.Generator) -> Path:
    """A copy with a damaged stretch in its media data: zeros, noise or one changed byte."""
    content = bytearray(path.read_bytes())
    begin = content.index(b"mdat") + 8 if path.suffix == ".mp4" else 2000
    end = content.rindex(b"moov") - 8 if path.suffix == ".mp4" else len(content) - 500
    if path.suffix == ".mp4" and end < begin:
        end = len(content)
    at = int(rng.integers(begin, end - 10))
    length = int(rng.choice([1, 3, 40, 900]))
    stretch = rng.integers(0, 255, length, np.uint8).tobytes()
    content[at : at + length] = (bytes(length) if rng.integers(2) else stretch)[: end - at]
    to.write_bytes(content)
    return to


@pytest.mark.parametrize(
    "name",
    [
        "usual",
        pytest.param("short groups", marks=pytest.mark.slow),
        pytest.param("weights", marks=pytest.mark.slow),
        pytest.param("slices", marks=pytest.mark.slow),
    ],
)
def test_damaged_films_give_the_frames_of_the_usual_way(name: str, tmp_path: Path) -> None:
    suffix, codec, options, pix_fmt, _ = KINDS[name]
    whole = encode(tmp_path / f"whole.{suffix}", codec, options, pix_fmt, steady(100))
    rng = np.random.default_rng(len(name))
    n_compared = n_sparse = 0
    for turn in range(20):
        path = spoilt(whole, tmp_path / f"{turn}.{suffix}", rng)
        media = inspect(path)
        for times_s in requests(4.0)[:3]:
            # Decoders guess damaged samples, and sometimes not the same way twice.
            expected, again = (list(_of_all_frames(media, times_s)) for _ in range(2))
            if not same(expected, again):
                continue
            assert same(list(frames_at(path, times_s)), expected)
            wanted = wanted_frames(media, times_s)
            n_compared += 1
            n_sparse += wanted is not None and len(expected) == sum(
                n_times for _, _, n_times in needed_frames(media, wanted)
            )
    assert n_compared > 30
    if name == "usual":
        assert n_sparse > 0, "damage in what is not needed must not matter"


def same(one: Sequence[SampledFrames], other: Sequence[SampledFrames]) -> bool:
    return len(one) == len(other) and all(
        a.time_s == b.time_s and np.array_equal(a.rgb, b.rgb)
        for a, b in zip(one, other, strict=True)
    )


def test_a_film_cut_off_gives_the_frames_of_the_usual_way(tmp_path: Path) -> None:
    path = encode(tmp_path / "whole.mkv", "libx264", X264, "yuv420p", steady())
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    frames = every_frame(cut)
    assert 50 < len(frames) < 150
    for times_s in requests(frames[-1][0]):
        check(cut, frames, times_s)


def test_only_what_is_needed_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = encode(tmp_path / "film.mp4", "libx264", {**X264, "g": "25"}, "yuv420p", steady(500))
    decoded: list[int] = []
    real = sampled_frames._decoded

    def counted(*arguments: object) -> object:
        for frame in real(*arguments):  # type: ignore[arg-type]
            decoded.append(frame.pts)
            yield frame

    monkeypatch.setattr(sampled_frames, "_decoded", counted)
    times_s = [3.2, 11.7, 19.1]
    check(path, every_frame(path), times_s)
    assert len(decoded) < 350, "no frame that nothing refers to, up to the last wanted one"
    assert len(set(decoded)) == len(decoded)


def test_times_that_contradict_the_stream_are_not_trusted(tmp_path: Path) -> None:
    """Two frames exchange their times, so the decoder's order is not that of the times."""
    path = encode(tmp_path / "film.mp4", "libx264", {**X264, "bf": "0"}, "yuv420p", steady(60))
    wrong = tmp_path / "wrong.mkv"
    with av.open(str(path)) as source, av.open(str(wrong), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        times = {20: 23, 23: 20}
        all_packets = [packet for packet in source.demux(video=0) if packet.size]
        pts = [packet.pts for packet in all_packets]
        for number, packet in enumerate(all_packets):
            packet.pts = pts[times.get(number, number)]
            packet.dts = pts[number] - 4 * (pts[1] - pts[0])
            packet.stream = stream
            target.mux(packet)
    check(wrong, every_frame(wrong), [0.3, 0.5, 1.0])


@pytest.mark.skipif("OSSL_TEST_MEDIA" not in os.environ, reason="needs the shared media")
@pytest.mark.parametrize(
    "name", ["demo/steamboat_willie_1928_28s.mp4", "film/sintel_trailer_480x204.mp4"]
)
def test_real_films(name: str) -> None:
    media = inspect(Path(os.environ["OSSL_TEST_MEDIA"]) / name)
    times_s = sorted([(k + 0.5) * 28 / 32 for k in range(32)] + [k * 0.2 for k in range(40)])
    assert wanted_frames(media, times_s) is not None
    for found, expected in zip(
        frames_at(media.path, times_s), _of_all_frames(media, times_s), strict=True
    ):
        assert found.time_s == expected.time_s
        assert np.array_equal(found.rgb, expected.rgb)
