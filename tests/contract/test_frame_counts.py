"""Probe, scene detection and cutting count the same frames in every test film."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ossl_builder.media.audio_reader import FilmAudio
from ossl_builder.media.clip_writer import Encoding
from ossl_builder.media.cut import cut, frame_times
from ossl_builder.media.probe import probe
from ossl_builder.media.video_reader import VideoReader
from ossl_builder.media.video_transforms import OutputFormat
from ossl_builder.tables.schema import Span
from tests.e2e.awkward import KINDS

MEDIA = Path(os.environ.get("OSSL_TEST_MEDIA", "nowhere"))
REPORTED = sorted(
    path.name
    for path in (MEDIA / "reported").glob("*.*")
    if path.suffix in (".mp4", ".mkv", ".mov", ".avi", ".ts", ".vob", ".wmv")
)
REAL = ("film/popeye_sindbad_1936_part1.mkv", "film/mdn_toy_crystal.mp4",
        "film/caminandes1_llama_drama_30s_av1.webm", "film/sintel_trailer_480x204.mp4",
        "demo/steamboat_willie_1928_28s.mp4")  # fmt: skip
# A joined file with one frame that cannot be decoded: scene detection and cutting skip it, and the
# scenes stage gives a warning.
UNDECODABLE = {"progressive_second_then_interlaced.ts": 1}


def check(path: Path, folder: Path, undecodable: int = 0) -> None:
    probed = probe(path, lambda part: None)
    video, step = probed.video, 1 / probed.video.rate
    reader = VideoReader(probed.media, step)
    times = [float(frame.ticks * reader.time_base) for frame in reader]
    end_s = float(reader.end * reader.time_base)
    if reader.damage:  # recorded: frames may be missing there, but nowhere else
        undecodable = video.n_packets - len(times)
        assert (
            0
            <= undecodable / float(video.rate)
            <= sum(float((end - start) * reader.time_base) for start, end in reader.damage)
        )
    assert len(times) == video.n_packets - undecodable
    assert end_s == pytest.approx(video.end_s - video.start_s, abs=0.0021)
    by_packets = frame_times(probed.media, step)
    assert len(by_packets) == len(times) + undecodable
    if not undecodable:
        assert by_packets == pytest.approx(times, abs=0.0011)
    audio = folder / "mix.flac"
    write_silence(audio, end_s)
    # Two clips; the cutter must seek over half of the film to the second one.
    spans = [Span(0.0, end_s / 4), Span(3 * end_s / 4, end_s)]
    form = OutputFormat(video.rate, video.sar)
    encoding = Encoding(crf=40, preset="ultrafast", audio_bitrate=64_000)
    clips = list(
        cut(probed.media, end_s, form, spans, audio, folder, encoding, lambda part: None,
            is_damaged=bool(reader.damage))
    )  # fmt: skip
    for span, clip in zip(spans, clips, strict=True):
        middles = [
            (time + after) / 2 for time, after in zip(times, [*times[1:], end_s], strict=True)
        ]
        inside = [middle for middle in middles if span.start_s < middle <= span.end_s]
        assert (clip.n_frames if clip else 0) == len(inside)
    if probed.audio is not None:
        blocks = FilmAudio(probed.media, 16_000, 1, step)
        length_s = sum(block.shape[1] for block in blocks.blocks()) / 16_000
        packets_s = probed.audio.end_s - video.start_s
        # With some codecs, the packets include or omit the padding of the encoder at the end.
        assert length_s == pytest.approx(packets_s, abs=0.1)


def write_silence(path: Path, seconds: float) -> None:
    import numpy as np
    import soundfile

    soundfile.write(path, np.zeros((round(seconds * 16_000) + 1, 2)), 16_000)


@pytest.mark.parametrize(("name", "suffix", "make"), KINDS, ids=[name for name, *_ in KINDS])
def test_frame_counts_of_awkward_films(
    tmp_path: Path, name: str, suffix: str, make: Callable[[Path], object]
) -> None:
    path = tmp_path / f"{name}.{suffix}"
    make(path)
    check(path, tmp_path)


@pytest.mark.parametrize("name", REPORTED)
def test_frame_counts_of_reported_films(tmp_path: Path, name: str) -> None:
    check(MEDIA / "reported" / name, tmp_path, UNDECODABLE.get(name, 0))


@pytest.mark.parametrize("name", REAL)
def test_frame_counts_of_real_films(tmp_path: Path, shared_media: Path, name: str) -> None:
    check(shared_media / name, tmp_path)
