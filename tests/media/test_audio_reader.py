"""The audio of a film is aligned with its frames, exact to the sample."""

from __future__ import annotations

import subprocess
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
import soundfile

from ossl_builder.errors import OsslError, Rejected
from ossl_builder.media.audio_reader import FilmAudio

CLICKS_S = (1.0, 3.0)


def ffmpeg(*arguments: str | Path) -> None:
    # Always the same ffmpeg: older ones begin the video of a WebM after its audio.
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True)


def clicks(path: Path, rate: int, seconds: float = 4.0, channels: int = 2) -> Path:
    audio = np.zeros((round(rate * seconds), channels), np.float32)
    for at in CLICKS_S:
        audio[round(at * rate)] = 0.9
    soundfile.write(path, audio, rate)
    return path


def film(path: Path, audio: Path, *how: str, delay_s: float = 0.0) -> Path:
    frame = ("-f", "lavfi", "-i", "color=black:s=64x64:r=25:d=4")
    late = ("-itsoffset", str(delay_s)) if delay_s else ()
    codec = "libvpx" if path.suffix == ".webm" else "libx264"
    ffmpeg(*frame, *late, "-i", audio, "-c:v", codec, *how, path)
    return path


def decoded_audio(
    path: Path, rate: int = 44_100, channels: int = 2
) -> tuple[np.ndarray, FilmAudio]:
    audio = FilmAudio(path, rate, channels)
    return np.concatenate(list(audio.blocks()), axis=1), audio


def click_times(audio: np.ndarray, rate: int) -> list[float]:
    level, half = np.abs(audio[0]), round(2 * rate)
    return [int(level[:half].argmax()) / rate, (half + int(level[half:].argmax())) / rate]


@pytest.mark.parametrize(
    ("name", "rate", "how", "within_s"),
    [
        ("a.mp4", 44_100, ("-c:a", "aac", "-b:a", "192k"), 1 / 44_100),
        ("a.mkv", 44_100, ("-c:a", "aac", "-b:a", "192k"), 1 / 44_100),
        ("b.mkv", 44_100, ("-c:a", "libmp3lame"), 1 / 44_100),
        ("a.webm", 48_000, ("-c:a", "libopus"), 1e-3),
        ("b.webm", 44_100, ("-c:a", "libvorbis"), 1e-3),
        ("a.mov", 48_000, ("-c:a", "pcm_s16le"), 1e-4),
        ("a.ts", 48_000, ("-c:a", "aac"), 1e-3),  # its audio begins before the video
        ("a.flv", 44_100, ("-c:a", "aac"), 1e-3),
    ],
)
def test_clicks_are_at_the_right_times(tmp_path, name, rate, how, within_s):
    path = film(tmp_path / name, clicks(tmp_path / "clicks.wav", rate), *how)
    audio, about = decoded_audio(path)
    assert click_times(audio, 44_100) == pytest.approx(CLICKS_S, abs=within_s + 1e-9)
    assert about.damaged == []


@pytest.mark.parametrize("name", ["late.mp4", "late.mkv"])
def test_late_audio_is_preceded_by_silence(tmp_path, name):
    source = clicks(tmp_path / "clicks.wav", 44_100)
    audio, about = decoded_audio(film(tmp_path / name, source, "-c:a", "aac", delay_s=0.5))
    assert click_times(audio, 44_100)[0] == pytest.approx(1.5, abs=1e-3)
    assert not audio[:, : round(0.45 * 44_100)].any()
    assert about.damaged == []


def test_rounded_times_neither_insert_nor_drop_samples(tmp_path):
    rng = np.random.default_rng(0)
    source = (rng.standard_normal((44_100 * 4, 2)) * 3000).astype(np.int16)
    soundfile.write(tmp_path / "noise.wav", source, 44_100)
    # Matroska rounds the times of FLAC's frames of 104.5 ms to 1 ms.
    audio, _ = decoded_audio(film(tmp_path / "a.mkv", tmp_path / "noise.wav", "-c:a", "flac"))
    assert np.array_equal(audio, source.T.astype(np.float32) / 32768)


@pytest.mark.parametrize("rate", [8_000, 22_050, 32_000, 48_000, 96_000])
def test_length_and_phase_survive_resampling(tmp_path, rate):
    count = 4 * rate + 37
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(count) / rate)
    soundfile.write(tmp_path / "tone.wav", tone, rate, subtype="FLOAT")
    audio, _ = decoded_audio(tmp_path / "tone.wav", 44_100, 1)
    assert audio.shape == (1, round(count * 44_100 / rate))
    wanted = 0.5 * np.sin(2 * np.pi * 440 * np.arange(audio.shape[1]) / 44_100)
    assert np.abs(audio[0] - wanted)[1000:-1000].max() < 1e-4


def test_length_is_that_of_the_decoded_audio(shared_media):
    path = shared_media / "mixfilm" / "dev.mp4"
    with av.open(str(path)) as container:
        decoded = sum(frame.samples for frame in container.decode(audio=0))
    assert decoded_audio(path)[0].shape == (2, decoded)


def remuxed(path: Path, to: Path, change) -> Path:
    """Copy the audio's packets, letting `change` shift (seconds) or drop (None) each."""
    with av.open(str(path)) as source, av.open(str(to), "w") as target:
        stream = source.streams.audio[0]
        copy = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is None:
                continue
            shift = change(float(packet.pts * packet.time_base))
            if shift is not None:
                packet.pts += round(shift / packet.time_base)
                packet.dts = packet.pts
                packet.stream = copy
                target.mux(packet)
    return to


def test_gap_becomes_silence_of_its_length(tmp_path):
    ffmpeg("-i", clicks(tmp_path / "c.wav", 44_100), "-c:a", "flac", tmp_path / "c.mkv")
    whole, _ = decoded_audio(tmp_path / "c.mkv")
    holed = remuxed(tmp_path / "c.mkv", tmp_path / "h.mkv", lambda s: None if 1.4 < s < 2 else 0.0)
    audio, about = decoded_audio(holed)
    assert audio.shape[1] == pytest.approx(whole.shape[1], abs=45)  # Matroska rounds to 1 ms
    assert click_times(audio, 44_100)[1] == pytest.approx(3.0, abs=1e-3)
    (span,) = about.damaged
    assert 1.4 < span.start_s < 1.6
    assert 1.9 < span.end_s < 2.15


def test_overlap_is_cut(tmp_path):
    ffmpeg("-i", clicks(tmp_path / "c.wav", 44_100), "-c:a", "flac", tmp_path / "c.mkv")
    earlier = remuxed(tmp_path / "c.mkv", tmp_path / "o.mkv", lambda s: -0.05 if s > 2 else 0.0)
    audio, about = decoded_audio(earlier)
    assert click_times(audio, 44_100) == pytest.approx((1.0, 2.95), abs=1.1e-3)
    assert audio.shape[1] == pytest.approx(3.95 * 44_100, abs=50)
    assert about.damaged == []


def test_damaged_middle_becomes_silence_and_the_rest_stays(tmp_path):
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "n.wav", rng.uniform(-0.3, 0.3, (44_100 * 4, 2)), 44_100)
    path = film(tmp_path / "d.mp4", tmp_path / "n.wav", "-c:a", "aac", "-aac_pns", "0")
    whole, _ = decoded_audio(path)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4000] = bytes(4000)
    path.write_bytes(content)
    audio, about = decoded_audio(path)
    assert audio.shape == whole.shape
    assert about.damaged
    start, end = (round(s * 44_100) for s in (about.damaged[0].start_s, about.damaged[-1].end_s))
    assert not audio[:, start : round(about.damaged[0].end_s * 44_100)].any()
    assert np.array_equal(audio[:, : start - 2048], whole[:, : start - 2048])
    assert np.array_equal(audio[:, end + 4096 :], whole[:, end + 4096 :])


def test_downmix_is_that_of_bs_775_and_cannot_clip(tmp_path):
    # FL FR FC LFE BL BR, one after the other, then all at full scale.
    audio = np.zeros((7 * 4410, 6), np.float32)
    for channel in range(6):
        audio[channel * 4410 : (channel + 1) * 4410, channel] = 0.5
    audio[6 * 4410 :] = 1 - 2**-23
    soundfile.write(tmp_path / "s.wav", audio, 44_100, format="WAVEX", subtype="FLOAT")
    ffmpeg("-channel_layout", "5.1", "-i", tmp_path / "s.wav", "-c:a", "flac", tmp_path / "s.flac")
    stereo, _ = decoded_audio(tmp_path / "s.flac")
    levels = stereo[:, 2205::4410] * (1 + 2 * np.sqrt(0.5)) / 0.5
    half = np.sqrt(0.5)
    wanted = [[1, 0, half, 0, half, 0], [0, 1, half, 0, 0, half]]
    assert levels[:, :6] == pytest.approx(np.array(wanted), abs=1e-3)
    assert np.abs(stereo).max() <= 1


def test_mono_becomes_two_equal_channels(tmp_path):
    audio, _ = decoded_audio(clicks(tmp_path / "m.wav", 44_100, channels=1))
    assert len(audio) == 2
    assert np.array_equal(audio[0], audio[1])
    assert audio.max() == pytest.approx(0.9, abs=1e-4)


def test_film_without_audio_is_rejected(tmp_path):
    ffmpeg("-f", "lavfi", "-i", "color=black:s=64x64:r=25:d=1", tmp_path / "silent.mp4")
    with pytest.raises(Rejected) as caught:
        list(FilmAudio(tmp_path / "silent.mp4", 44_100, 2).blocks())
    assert caught.value.reason == "no_audio"


def test_undecodable_audio_is_an_error(tmp_path):
    ffmpeg("-i", clicks(tmp_path / "c.wav", 44_100), "-c:a", "aac", tmp_path / "c.mp4")
    content = bytearray((tmp_path / "c.mp4").read_bytes())
    begin = content.index(b"mdat") + 4
    end = content.index(b"moov") - 4
    content[begin:end] = bytes(end - begin)
    (tmp_path / "c.mp4").write_bytes(content)
    with pytest.raises(OsslError) as caught:
        list(FilmAudio(tmp_path / "c.mp4", 44_100, 2).blocks())
    assert caught.value.code == "audio_undecodable"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_that_are_not_numbers_become_silence_and_damage(tmp_path, value, channels):
    """In one channel only, 10 ms long, at another rate than that of the blocks."""
    noise = np.random.default_rng(0).normal(0, 0.1, (4 * 16_000, channels)).astype(np.float32)
    whole = noise.copy()
    noise[32_000:32_160, 0] = value
    for name, samples in (("broken", noise), ("whole", whole)):
        soundfile.write(tmp_path / f"{name}.wav", samples, 16_000, subtype="FLOAT")
    path = film(tmp_path / "film.mkv", tmp_path / "broken.wav", "-c:a", "pcm_f32le")
    right = film(tmp_path / "right.mkv", tmp_path / "whole.wav", "-c:a", "pcm_f32le")
    samples, audio = decoded_audio(path)
    assert [(span.start_s, span.end_s) for span in audio.damaged] == [
        (pytest.approx(2.0, abs=0.002), pytest.approx(2.01, abs=0.002))
    ]
    assert np.isfinite(samples).all()
    expected, undamaged = decoded_audio(right)
    assert undamaged.damaged == []
    off = np.flatnonzero(np.abs(samples - expected).max(axis=0) > 1e-3)
    assert 1.99 * 44_100 < off[0] < off[-1] < 2.02 * 44_100
