"""Selection of the streams of a file that are the film."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ossl_builder.errors import OsslError
from ossl_builder.media.audio_reader import FilmAudio
from ossl_builder.media.demux import open_media
from ossl_builder.media.probe import probe
from ossl_builder.media.stream_choice import Choice, choose, inspect
from ossl_builder.media.timeline import read_logs
from ossl_builder.media.video_reader import VideoReader
from tests import films
from tests.films import ffmpeg

FILM_HZ, OTHER_HZ = 440, 1760
STEP = Fraction(1, 25)


def tone(hertz: int, seconds: float = 4, layout: str = "stereo") -> tuple[str, ...]:
    count = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    shares = "|".join(f"c{number}=c0" for number in range(count))
    source = f"sine=f={hertz}:d={seconds}:r=48000,pan={layout}|{shares}"
    return ("-f", "lavfi", "-i", source)


def video(size: str = "96x64", seconds: float = 4, rate: int = 25) -> tuple[str, ...]:
    return ("-f", "lavfi", "-i", f"testsrc=s={size}:r={rate}:d={seconds}")


def make(path: Path, *inputs: tuple[str, ...], options: tuple[str, ...] = ()) -> Path:
    """Mux one stream of each input, in order; only the options set flags."""
    given = [word for each in inputs for word in each]
    maps = [word for number in range(len(inputs)) for word in ("-map", str(number))]
    flags = [word for number in range(len(inputs)) for word in (f"-disposition:{number}", "0")]
    coding = ("-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac")
    ffmpeg(*given, *maps, *coding, *flags, *options, path)
    return path


def selected_hz(path: Path) -> int:
    """The frequency of the audio stream that the reader selects."""
    audio = np.concatenate(list(FilmAudio(inspect(path), 8000, 1, STEP).blocks()), axis=1)[0]
    return round(np.abs(np.fft.rfft(audio[8000:16000])).argmax())


def chosen(path: Path, **wanted: int | str) -> Choice:
    with open_media(path) as container:
        return choose(container, read_logs(container), **{f"wanted_{k}": wanted[k] for k in wanted})


@pytest.mark.parametrize("flag", ["comment", "visual_impaired", "hearing_impaired", "dub"])
@pytest.mark.parametrize("layout", ["mono", "5.1"])
def test_another_audio_version_is_not_selected(tmp_path: Path, flag: str, layout: str) -> None:
    """Not even if it comes first and has more channels."""
    path = make(
        tmp_path / "film.mkv", video(), tone(OTHER_HZ, layout=layout), tone(FILM_HZ),
        options=("-disposition:1", flag),
    )  # fmt: skip
    assert selected_hz(path) == FILM_HZ
    assert chosen(path).audio.index == 2
    assert "neither a still image nor another version" in chosen(path).why
    assert flag in chosen(path).others


def test_a_title_can_mark_a_commentary(tmp_path: Path) -> None:
    path = make(
        tmp_path / "film.mkv", video(), tone(OTHER_HZ), tone(FILM_HZ),
        options=("-metadata:s:1", "title=Director's Commentary"),
    )  # fmt: skip
    assert selected_hz(path) == FILM_HZ


def test_priority_is_default_flag_then_channels_then_order(tmp_path: Path) -> None:
    inputs = (video(), tone(OTHER_HZ, layout="mono"), tone(FILM_HZ), tone(660, layout="5.1"))
    path = make(tmp_path / "a.mkv", *inputs, options=("-disposition:2", "default"))
    assert selected_hz(path) == FILM_HZ
    path = make(tmp_path / "b.mkv", *inputs)
    assert selected_hz(path) == 660
    assert "the most channels" in chosen(path).why
    path = make(tmp_path / "c.mkv", *inputs[:2], tone(FILM_HZ, layout="mono"))
    assert selected_hz(path) == OTHER_HZ


def test_an_empty_or_short_stream_is_not_selected(tmp_path: Path) -> None:
    path = make(
        tmp_path / "film.mkv", video(), tone(OTHER_HZ, seconds=1, layout="5.1"), tone(FILM_HZ),
        options=("-disposition:1", "default"),
    )  # fmt: skip
    assert selected_hz(path) == FILM_HZ
    path = make(
        tmp_path / "film.mp4", video(), tone(OTHER_HZ, seconds=0.001, layout="5.1"), tone(FILM_HZ),
        options=("-disposition:1", "default"),
    )  # fmt: skip
    assert selected_hz(path) == FILM_HZ


def test_the_user_may_choose_by_index_or_language(tmp_path: Path) -> None:
    path = make(
        tmp_path / "film.mkv", video(), tone(FILM_HZ), tone(OTHER_HZ), tone(660),
        options=("-metadata:s:1", "language=eng", "-metadata:s:2", "language=ger"),
    )  # fmt: skip
    assert chosen(path).audio.index == 1
    assert chosen(path, audio=3).audio.index == 3
    assert "recipe" in chosen(path, audio=3).why
    assert chosen(path, audio="ger").audio.index == 2
    other = chosen(path, audio="fre")
    assert other.audio.index == 1
    assert "none is in the language fre" in other.why
    for wrong in (0, 4):  # the video stream, and a stream that does not exist
        with pytest.raises(OsslError) as caught:
            chosen(path, audio=wrong)
        assert caught.value.code == "stream_missing"
    assert probe(path, lambda part: None, None, "ger").media.audio == 2


@pytest.mark.parametrize("flags", ["0", "timed_thumbnails", "still_image", "attached_pic"])
def test_a_still_image_stream_is_not_selected(tmp_path: Path, flags: str) -> None:
    """Flagged or not, and larger than the film."""
    still, film = tmp_path / "still.mkv", tmp_path / "film.mkv"
    ffmpeg(*video("640x480", 0.04), "-c:v", "mjpeg", "-frames:v", 1, still)
    ffmpeg("-i", still, *video(), *tone(FILM_HZ), "-map", 0, "-map", 1, "-map", 2,
           "-c:v:0", "copy", "-c:v:1", "libx264", "-preset", "ultrafast", "-c:a", "aac",
           "-disposition:0", flags, "-disposition:1", "0", film)  # fmt: skip
    probed = probe(film, lambda part: None)
    assert probed.media.video == 1
    assert (probed.video.n_packets, probed.video.width) == (100, 96)
    assert sum(1 for _ in VideoReader(inspect(film), STEP)) == 100


def test_a_file_with_only_a_cover_is_not_a_film(tmp_path: Path) -> None:
    still, song = tmp_path / "still.jpg", tmp_path / "song.mp3"
    ffmpeg(*video("64x64", 0.04), "-frames:v", 1, still)
    ffmpeg(*tone(FILM_HZ), "-i", still, "-map", 0, "-map", 1, "-c:v", "copy",
           "-disposition:1", "attached_pic", song)  # fmt: skip
    with pytest.raises(OsslError) as caught:
        probe(song, lambda part: None)
    assert caught.value.code == "no_video"


@pytest.mark.parametrize("default", [0, 1])
def test_of_two_complete_videos_the_default_one_is_selected(tmp_path: Path, default: int) -> None:
    path = make(
        tmp_path / "film.mkv", video("96x64"), video("48x32"),
        options=(f"-disposition:{default}", "default"),
    )  # fmt: skip
    assert inspect(path).video == default


def test_metadata_of_any_encoding_is_read(tmp_path: Path) -> None:
    plain, path = tmp_path / "plain.avi", tmp_path / "film.avi"
    films.make_film(plain, seconds=2, audio_s=(0, 2), audio=("-c:a", "mp3"))
    ffmpeg("-i", plain, "-c", "copy", "-metadata", "title=M_ller", path)
    path.write_bytes(path.read_bytes().replace(b"M_ller", b"M\xfcller"))
    assert probe(path, lambda part: None).video.n_packets == 48


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("film.mp4", "ffconcat version 1.0\nfile 'other.mp4'\n"),
        ("film.m3u8", "#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:4,\nother.mp4\n#EXT-X-ENDLIST\n"),
        ("film.mp4", "#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:4,\nother.ts\n#EXT-X-ENDLIST\n"),
        (
            "film.sdp",
            "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
        ),
        ("film.mpd", '<?xml version="1.0"?><MPD><Period><AdaptationSet/></Period></MPD>'),
    ],
)
def test_a_playlist_is_not_a_film(tmp_path: Path, name: str, text: str) -> None:
    """It could make the program read other files or addresses."""
    ffmpeg(*video(), *tone(FILM_HZ), "-c:v", "libx264", "-c:a", "aac", tmp_path / "other.mp4")
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    for read in (lambda: probe(path, lambda part: None), lambda: list(VideoReader(path, STEP)),
                 lambda: list(FilmAudio(path, 8000, 1).blocks())):  # fmt: skip
        with pytest.raises(OsslError) as caught:
            read()
        assert caught.value.code == "not_media"


def test_a_name_that_looks_like_an_address_is_a_file(tmp_path: Path, monkeypatch) -> None:
    ffmpeg(*video(seconds=1), "-c:v", "libx264", tmp_path / "a.mp4")
    monkeypatch.chdir(tmp_path)
    Path("concat:a.mp4").write_bytes(Path("a.mp4").read_bytes())
    assert probe(Path("concat:a.mp4"), lambda part: None).video.n_packets == 25
    Path("concat:a.mp4").unlink()
    with pytest.raises(OsslError) as caught:
        inspect(Path("concat:a.mp4"))
    assert caught.value.code == "file_missing"
