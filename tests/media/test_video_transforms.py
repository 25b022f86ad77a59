"""Frames are rotated, deinterlaced and tone-mapped according to their flags."""

from __future__ import annotations

import io
import itertools
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from ossl_builder.media.stream_choice import inspect
from ossl_builder.media.tone_map import HLG, PQ, to_bt709
from ossl_builder.media.video_frames import timed_frames
from ossl_builder.media.video_reader import VideoReader, thumbnail
from ossl_builder.media.video_transforms import OutputFormat, VideoTransformer
from tests import films
from tests.films import ffmpeg

SIZE = (96, 64)
STEP = Fraction(1, 25)
HDR = "log-level=error:pools=1:colorprim=bt2020:transfer={}:colormatrix=bt2020nc"
# Options of ffmpeg for a display matrix, and what they do to an array of shape (height, width).
TURNS = {
    "90": (("-display_rotation", "90"), lambda a: np.rot90(a, 1)),
    "180": (("-display_rotation", "180"), lambda a: np.rot90(a, 2)),
    "270": (("-display_rotation", "270"), lambda a: np.rot90(a, 3)),
    "mirrored": (("-display_hflip",), lambda a: a[:, ::-1]),
    "upside down": (("-display_vflip",), lambda a: a[::-1]),
    "90, mirrored": (("-display_rotation", "90", "-display_hflip"), None),
    "270, mirrored": (("-display_rotation", "270", "-display_hflip"), None),
}


def corners(path: Path, ending: str = ".mp4") -> Path:
    """A film whose left half is dark, its top right bright: every turn looks different."""
    frame = "geq=lum='if(lt(X,W/2),40,if(lt(Y,H/2),220,120))':cb=128:cr=128"
    target = path.with_suffix(ending)
    ffmpeg("-f", "lavfi", "-i", f"color=black:s={SIZE[0]}x{SIZE[1]}:r=25:d=0.4,{frame}",
           "-c:v", "libx264", "-qp", 4, "-pix_fmt", "yuv420p", target)  # fmt: skip
    return target


def transformed(path: Path, sar: Fraction = Fraction(1)) -> list[np.ndarray]:
    """Luma of all frames of a file after the transforms of a clip."""
    shaper = VideoTransformer(OutputFormat(Fraction(25), sar))
    out = []
    for number, timed in enumerate(timed_frames(inspect(path), STEP)):
        out += list(shaper.push(timed.frame, number))
    out += list(shaper.flush())
    assert [frame.pts for frame in out] == list(range(len(out)))
    return [frame.to_ndarray(format="gray").astype(int) for frame in out]


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("ending", [".mp4", ".mov"])
def test_clips_and_thumbnails_are_upright(tmp_path: Path, turn: str, ending: str) -> None:
    options, expected = TURNS[turn]
    plain, path, theirs = corners(tmp_path / "plain"), tmp_path / f"f{ending}", tmp_path / "f.png"
    ffmpeg(*options, "-i", plain, "-c", "copy", path)
    ffmpeg("-i", path, "-frames:v", 1, "-pix_fmt", "gray", theirs)
    right = cv2.imread(str(theirs), cv2.IMREAD_GRAYSCALE).astype(int)
    if expected is not None:
        before = np.abs(expected(transformed(plain)[0]) - transformed(path)[0]).mean()
        assert before < 2
    for frame in transformed(path):
        assert frame.shape == right.shape
        assert np.abs(frame - right).mean() < 3
    (first, *_) = VideoReader(path, STEP)
    width = 48
    jpeg = thumbnail(first.frame, width, Fraction(1))
    small = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE).astype(int)
    assert small.shape[1] == width
    assert np.abs(small - cv2.resize(right.astype(np.uint8), small.shape[::-1])).mean() < 8


def test_rotated_wide_pixels_become_square(tmp_path: Path) -> None:
    plain, path = corners(tmp_path / "plain"), tmp_path / "film.mp4"
    ffmpeg("-display_rotation", 90, "-i", plain, "-c", "copy", path)
    assert transformed(path, Fraction(4, 3))[0].shape == (128, 64)


def combs(frame: np.ndarray) -> float:
    """How much neighbouring lines differ beyond what lines two apart do."""
    step_one = np.abs(frame[1:-1] - frame[:-2]).mean()
    return float(step_one - np.abs(frame[2:] - frame[:-2]).mean())


@pytest.mark.parametrize("order", ["late", "early", "middle", "all", "none"])
def test_frames_flagged_as_interlaced_are_deinterlaced_at_any_position(
    tmp_path: Path, order: str
) -> None:
    """Also where the first twelve frames are progressive."""
    moving = "testsrc2=s=192x144:r=50:d={}"
    interlaced = ("-vf", "interlace=lowpass=0,setfield=tff", "-flags", "+ilme+ildct")
    parts = {
        "late": "pi", "early": "ip", "middle": "pip", "all": "i", "none": "p",
    }[order]  # fmt: skip
    path = tmp_path / "film.ts"
    content = b""
    for number, kind in enumerate(parts):
        part = tmp_path / f"{number}.ts"
        ffmpeg("-f", "lavfi", "-i", moving.format(1), "-r", 25, "-c:v", "mpeg2video", "-q:v", 2,
               *(interlaced if kind == "i" else ()),
               "-output_ts_offset", number, part)  # fmt: skip
        content += part.read_bytes()
    path.write_bytes(content)
    frames = [each.frame for each in timed_frames(inspect(path), STEP)]
    flags = [frame.interlaced_frame for frame in frames]
    assert any(flags) == (order != "none")
    raw = [combs(frame.to_ndarray(format="gray").astype(int)) for frame in frames]
    images = transformed(path)
    assert len(images) == len(frames)
    for flag, before, image in zip(flags, raw, images, strict=True):
        if flag:
            assert combs(image) < before / 2 or combs(image) < 1
    if order == "none":
        assert raw == pytest.approx([combs(image) for image in images], abs=0.5)


@pytest.mark.parametrize(("transfer", "name"), [(PQ, "smpte2084"), (HLG, "arib-std-b67")])
def test_high_dynamic_range_becomes_bt709(tmp_path: Path, transfer: int, name: str) -> None:
    """Grey steps of code values keep their order and get the values that the curves give."""
    path = tmp_path / "film.mp4"
    steps = "geq=lum='64+876*floor(X/12)/7':cb=512:cr=512"
    ffmpeg("-f", "lavfi", "-i", f"color=black:s=96x64:r=25:d=0.2,format=yuv420p10le,{steps}",
           "-c:v", "libx265", "-x265-params", f"lossless=1:{HDR.format(name)}", path)  # fmt: skip
    shaper = VideoTransformer(OutputFormat(Fraction(25), Fraction(1)))
    out = []
    for number, timed in enumerate(timed_frames(inspect(path), STEP)):
        out += list(shaper.push(timed.frame, number))
    out += list(shaper.flush())
    assert len(out) == 5
    frame = out[0]
    assert (frame.colorspace, frame.color_primaries, frame.color_trc) == (1, 1, 1)
    assert frame.format.name == "yuv420p"
    luma = frame.to_ndarray(format="yuv420p")[:64].astype(float)
    found = [(luma[:, 12 * step + 6].mean() - 16) / 219 for step in range(8)]
    codes = np.repeat(np.arange(8)[:, None] / 7, 3, axis=1)
    right = to_bt709(codes, transfer)[:, 0]
    assert found == pytest.approx(right.tolist(), abs=0.02)
    assert all(b >= a for a, b in itertools.pairwise(right))


def test_tone_mapping_keeps_black_white_and_order() -> None:
    grey = np.repeat(np.linspace(0, 1, 101)[:, None], 3, axis=1)
    for transfer in (PQ, HLG):
        mapped = to_bt709(grey, transfer)
        assert mapped[0].max() < 0.02
        assert mapped[-1].min() > 0.98
        assert (np.diff(mapped[:, 0]) >= -1e-9).all()
        assert np.allclose(mapped[:, :1], mapped, atol=0.01)  # grey stays grey


def test_thumbnails_of_high_dynamic_range_are_mapped_too(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    ffmpeg("-f", "lavfi", "-i", "color=gray:s=96x64:r=25:d=0.2,format=yuv420p10le",
           "-c:v", "libx265", "-x265-params", HDR.format("smpte2084"), path)  # fmt: skip
    (first, *_) = VideoReader(path, STEP)
    with av.open(io.BytesIO(thumbnail(first.frame, 48, Fraction(1)))) as jpeg:
        frame = next(jpeg.decode(video=0)).to_ndarray(format="gray")
    code = np.full((1, 3), 0.5)
    assert frame.mean() / 255 == pytest.approx(to_bt709(code, PQ).mean(), abs=0.05)


def test_a_plain_film_is_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    films.make_film(path, seconds=1, audio_s=(0, 1))
    with av.open(str(path)) as film:
        right = [frame.to_ndarray(format="gray") for frame in film.decode(video=0)]
    assert all(np.array_equal(a, b) for a, b in zip(right, transformed(path), strict=True))
