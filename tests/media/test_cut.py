"""Clips contain exactly the right video and audio, for all kinds of films."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from ossl_builder.errors import OsslError
from ossl_builder.media import cut as cutting
from ossl_builder.media.clip_verify import check, sketch
from ossl_builder.media.clip_writer import Encoding, cut_audio
from ossl_builder.media.cut import CutClip, cut, frame_times
from ossl_builder.media.ffmpeg import binary
from ossl_builder.media.video_transforms import OutputFormat
from ossl_builder.tables import Span
from tests import films

ENCODING = Encoding(crf=20, preset="ultrafast", audio_bitrate=128_000)
RATE = 48000


@dataclass(frozen=True)
class Seen:
    """Contents of a decoded clip."""

    numbers: list[int]
    times_s: list[float]
    flashes_s: list[float]
    clicks_s: list[float]


def see(path: Path) -> Seen:
    numbers, times, flashes = [], [], []
    with av.open(str(path)) as clip:
        for frame in clip.decode(video=0):
            luma = frame.to_ndarray(format="gray")
            numbers.append(films.number_of(luma))
            times.append(float(frame.pts * frame.time_base))
            if films.flash_of(luma) > 128:
                flashes.append(times[-1])
    with av.open(str(path)) as clip:
        frames = list(clip.decode(audio=0))
    audio = np.concatenate([frame.to_ndarray().T for frame in frames])
    begin = float(frames[0].pts * frames[0].time_base)
    clicks = [begin + click for click in films.click_times(audio, frames[0].sample_rate)]
    return Seen(numbers, times, flashes, clicks)


def mix_of(truth: films.Truth, folder: Path, end_s: float = films.SECONDS) -> Path:
    """The clicks as a stem: sample 0 is the first frame's time."""
    audio = np.random.default_rng(0).normal(0, 1e-3, (round(end_s * RATE), 2))
    for click in truth.clicks_s:
        audio[round(click * RATE) : round(click * RATE) + 48] = 0.8
    soundfile.write(folder / "mix.flac", audio, RATE, subtype="PCM_16")
    return folder / "mix.flac"


def cut_all(
    film: Path, truth: films.Truth, spans: list[Span], folder: Path, form: OutputFormat
) -> list[CutClip]:
    folder.mkdir(exist_ok=True)
    mix = mix_of(truth, folder)
    found = list(cut(film, truth.end_s, form, spans, mix, folder, ENCODING, lambda part: None))
    assert all(found)
    return [clip for clip in found if clip]


def form_of(rate: Fraction = Fraction(24), sar: Fraction = Fraction(1)) -> OutputFormat:
    return OutputFormat(rate, sar)


USUAL = (192, 108)
STEP = Fraction(1, 24)
Make = Callable[[Path], films.Truth]
KINDS: dict[str, tuple[Make, OutputFormat, tuple[int, int]]] = {
    "plain.mp4": (films.make_flash_and_click, form_of(), USUAL),
    "ntsc.mp4": (films.make_ntsc_film_rate, form_of(rate=Fraction(24000, 1001)), USUAL),
    "variable.mkv": (films.make_variable_rate, form_of(rate=Fraction(20)), USUAL),
    "wide.mp4": (films.make_wide_pixels, form_of(sar=Fraction(16, 15)), (192, 144)),
    "tall.mp4": (films.make_tall_pixels, form_of(sar=Fraction(8, 9)), (180, 136)),
    "interlaced.mpg": (
        films.make_interlaced, form_of(rate=Fraction(25)), (192, 144)
    ),
    "av1.webm": (films.make_av1_opus, form_of(), USUAL),
    "hevc.mp4": (films.make_hevc, form_of(), USUAL),
    "open.ts": (films.make_open_groups, form_of(), USUAL),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_frames_and_audio_are_exact(name: str, tmp_path: Path) -> None:
    make, form, size = KINDS[name]
    film = tmp_path / name
    truth = make(film)
    flashes = [truth.times_s[number] for number in truth.flashes]
    # Two clips with a common edge on a flash; one after a gap, to which the cutter seeks.
    spans = [
        Span(flashes[0] - 1, flashes[1]),
        Span(flashes[1], flashes[1] + 0.71),
        Span(flashes[2] - 0.3, truth.end_s),
    ]
    clips = cut_all(film, truth, spans, tmp_path / "clips", form)
    for span, clip in zip(spans, clips, strict=True):
        wanted = _nearest_range(truth, span)
        seen = see(clip.path)
        assert seen.numbers == list(wanted)
        assert clip.n_frames == len(wanted)
        assert (clip.width, clip.height) == size
        first = truth.times_s[wanted[0]]
        assert clip.start_s == pytest.approx(first, abs=6e-4)  # Matroska rounds to 1 ms
        assert seen.times_s == pytest.approx([truth.times_s[n] - first for n in wanted], abs=1.1e-3)
        assert len(seen.flashes_s) == len(seen.clicks_s) == 1
        assert abs(seen.flashes_s[0] - seen.clicks_s[0]) < 1e-3


def _nearest_range(truth: films.Truth, span: Span) -> range:
    def nearest(moment: float) -> int:
        edges = [*truth.times_s, truth.end_s]
        return min(range(len(edges)), key=lambda n: abs(edges[n] - moment))

    return range(nearest(span.start_s), nearest(span.end_s))


def test_first_and_last_frames_are_those_that_ffmpeg_decodes(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    truth = films.make_open_groups(film)
    form = form_of()
    (clip,) = cut_all(film, truth, [Span(4.5, 9.25)], tmp_path / "clips", form)
    source, cut_out = _decoded_by_ffmpeg(film), _decoded_by_ffmpeg(clip.path)
    assert len(cut_out) == clip.n_frames == 114
    for found, wanted in ((cut_out[0], 108), (cut_out[-1], 221)):
        off = [np.abs(found - frame).mean() for frame in source]
        assert int(np.argmin(off)) == wanted


def _decoded_by_ffmpeg(path: Path) -> np.ndarray:
    command = [
        binary(),
        "-loglevel",
        "error",
        "-i",
        str(path),
        "-f",
        "rawvideo",
        "-pix_fmt",
        "gray",
    ]
    raw = subprocess.run([*command, "-"], check=True, capture_output=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, 108, 192).astype(np.float32)


def test_two_runs_give_the_same_bytes(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    truth = films.make_variable_rate(film)
    form = form_of(rate=Fraction(20))
    spans = [Span(1, 5), Span(9, 12)]
    one = cut_all(film, truth, spans, tmp_path / "one", form)
    two = cut_all(film, truth, spans, tmp_path / "two", form)
    for first, second in zip(one, two, strict=True):
        assert first.path.read_bytes() == second.path.read_bytes()


def test_no_frame_is_decoded_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = tmp_path / "film.mp4"
    truth = films.make_flash_and_click(film)
    given: list[int] = []
    decode = cutting.timed_frames

    def counting(*args: object, **options: object) -> object:
        for timed in decode(*args, **options):  # type: ignore[arg-type]
            given.append(timed.pts)
            yield timed

    monkeypatch.setattr(cutting, "timed_frames", counting)
    form = form_of()
    # Adjacent spans, a short gap, and a long gap with key frames inside (every 2 s).
    spans = [Span(1, 2), Span(2, 3), Span(3.5, 4), Span(11, 12)]
    cut_all(film, truth, spans, tmp_path / "clips", form)
    assert len(given) == len(set(given))
    assert len(given) < 7 * 24  # of 15 s: most of the long gap is not decoded


def test_leading_frames_of_an_open_group_are_not_lost(tmp_path: Path) -> None:
    """A seek to an open group would lose its leading frames: the cutter seeks to the one before."""
    film = tmp_path / "film.mkv"
    truth = films.make_open_groups(film)
    form = form_of()
    for number in range(236, 246):  # around the key frame at 10 s
        start = truth.times_s[number]
        (clip,) = cut_all(film, truth, [Span(start, start + 0.25)], tmp_path / "clips", form)
        assert see(clip.path).numbers == list(range(number, number + 6))


def test_a_span_in_which_no_frame_begins_gives_no_clip(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    truth = films.make_flash_and_click(film, seconds=4)
    mix = mix_of(truth, tmp_path)
    form = form_of()
    spans = [Span(1.001, 1.01), Span(2, 3)]
    first, second = cut(film, 4.0, form, spans, mix, tmp_path, ENCODING, lambda part: None)
    assert first is None
    assert second is not None
    assert second.n_frames == 24


def test_frame_times_are_those_of_the_film(tmp_path: Path) -> None:
    film = tmp_path / "film.mkv"
    truth = films.make_variable_rate(film)
    assert frame_times(film, STEP) == pytest.approx(truth.times_s, abs=1e-9)


def test_audio_is_copied_without_loss_and_padded_with_silence(tmp_path: Path) -> None:
    steps = np.random.default_rng(0).integers(-30000, 30000, (RATE * 3, 2), dtype=np.int16)
    stem = tmp_path / "stem.flac"
    soundfile.write(stem, steps, RATE, subtype="PCM_16")
    cut_audio(stem, 1.00001, RATE * 3, tmp_path / "cut.flac")
    found, rate = soundfile.read(tmp_path / "cut.flac", dtype="int16", always_2d=True)
    assert rate == RATE
    assert len(found) == RATE * 3
    assert np.array_equal(found[: RATE * 2], steps[RATE:])
    assert not found[RATE * 2 :].any()


def test_a_wrong_clip_is_detected(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    films.make_flash_and_click(path, seconds=4)
    with av.open(str(path)) as film:
        sketches = [sketch(frame) for frame in film.decode(video=0)]
    assert check(path, 96, sketches[:2], sketches[-2:]).n_frames == 96
    with pytest.raises(OsslError, match="96 frames, not 95"):
        check(path, 95, sketches[:2], sketches[-2:])
    other = 255 - sketches[0]
    with pytest.raises(OsslError, match="first frame is off"):
        check(path, 96, [other, sketches[1]], sketches[-2:])


def test_a_film_without_frames_is_an_error(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    films.make_flash_and_click(film, seconds=4)
    with av.open(str(film)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    broken = tmp_path / "broken.mp4"
    shutil.copy(film, broken)
    with broken.open("r+b") as file:
        for position, size in packets:
            file.seek(position)
            file.write(b"\xff" * size)
    with pytest.raises(OsslError, match="can be decoded"):
        frame_times(broken, STEP)
