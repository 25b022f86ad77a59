"""One film in the variants that files have in practice: joined, remuxed, cut off, turned.

Each variant is made from one plain film by ffmpeg or by joining bytes. Its ground truth is derived
from the plain film.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import soundfile

from tests.films import ffmpeg

MPEG = ("-c:v", "mpeg2video", "-q:v", "3", "-g", "12", "-bf", "2", "-c:a", "mp2", "-b:a", "192k")
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-c:a", "aac")
COPY = ("-c", "copy")


def converted(ending: str, *options: object) -> Callable[[Path, Path], Path]:
    """Convert the plain film with options of ffmpeg."""

    def make(plain: Path, stem: Path) -> Path:
        target = stem.with_suffix(ending)
        ffmpeg("-i", plain, *options, target)
        return target

    return make


def _joined(ending: str, coding: tuple[str, ...], *starts_s: float) -> Callable[[Path, Path], Path]:
    """Join parts of the plain film, each with its own timestamps."""

    def make(plain: Path, stem: Path) -> Path:
        target = stem.with_suffix(ending)
        content = b""
        for number, start_s in enumerate(starts_s):
            part = stem.with_name(f"{stem.name}-part{ending}")
            until = ("-t", starts_s[number + 1] - start_s) if number + 1 < len(starts_s) else ()
            kind = ("-f", "vob") if ending == ".vob" else ()
            ffmpeg("-ss", start_s, "-i", plain, *until, *coding, *kind, part)
            content += part.read_bytes()
            part.unlink()
        target.write_bytes(content)
        return target

    return make


def _with_subtitles(ending: str, codec: str) -> Callable[[Path, Path], Path]:
    """A subtitle stream before the others."""

    def make(plain: Path, stem: Path) -> Path:
        target, text = stem.with_suffix(ending), stem.with_suffix(".srt")
        text.write_text("1\n00:00:01,000 --> 00:00:02,000\nOne\n", encoding="utf-8")
        ffmpeg("-i", plain, "-i", text, "-map", 1, "-map", 0, *COPY, "-c:s", codec, target)
        return target

    return make


def _with_font(plain: Path, stem: Path) -> Path:
    """An attached file."""
    target, font = stem.with_suffix(".mkv"), stem.with_suffix(".ttf")
    font.write_bytes(b"\0\1\0\0" + bytes(500))
    kind = "mimetype=application/x-truetype-font"
    ffmpeg("-i", plain, "-attach", font, "-metadata:s:t", kind, *COPY, target)
    return target


def _with_chapters(plain: Path, stem: Path) -> Path:
    """Chapters and a time code: two tracks of data."""
    target, text = stem.with_suffix(".mov"), stem.with_suffix(".txt")
    chapter = "[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=5000\ntitle=One\n"
    text.write_text(f";FFMETADATA1\n{chapter}", encoding="utf-8")
    ffmpeg("-i", plain, "-i", text, "-map_metadata", 1, "-map", 0, *COPY,
           "-timecode", "01:00:00:00", target)  # fmt: skip
    return target


AUDIO_FIRST = ("-map", "0:a", "-map", "0:v")
# Shapes that hold the whole plain film: every frame of it, 1/25 s apart.
WHOLE: dict[str, Callable[[Path, Path], Path]] = {
    "audio first, mkv": converted(".mkv", *AUDIO_FIRST, *H264),
    "audio first, ts": converted(".ts", *AUDIO_FIRST, *H264),
    "audio first, avi": converted(
        ".avi", *AUDIO_FIRST, "-c:v", "mpeg4", "-q:v", "3", "-bf", "2", "-c:a", "mp3"
    ),
    "subtitles first, mkv": _with_subtitles(".mkv", "srt"),
    "subtitles first, mp4": _with_subtitles(".mp4", "mov_text"),
    "attached font": _with_font,
    "chapters and time code": _with_chapters,
    "one cell": converted(".vob", *MPEG, "-f", "vob"),
    "two cells": _joined(".vob", MPEG, 0, 7.52),
    "three cells": _joined(".vob", MPEG, 0, 5, 10),
    "joined mpg": _joined(".mpg", MPEG, 0, 7.52),
    "joined ts": _joined(".ts", MPEG, 0, 5, 10),
    "joined ts, H.264": _joined(".ts", H264, 0, 5, 10),
    "wrapping clock, ts": converted(".ts", *MPEG, "-output_ts_offset", "95437.5"),
    "wrapping clock, vob": converted(".vob", *MPEG, "-output_ts_offset", "95437.5", "-f", "vob"),
    "H.264 in avi": converted(".avi", *H264[:-1], "mp3"),
    "MPEG-4 with B-frames in avi": converted(
        ".avi", "-c:v", "mpeg4", "-q:v", "3", "-bf", "2", "-c:a", "mp3"
    ),
    "motion JPEG in avi": converted(".avi", "-c:v", "mjpeg", "-q:v", "3", "-c:a", "pcm_s16le"),
    "MPEG-1": converted(".mpg", "-c:v", "mpeg1video", "-q:v", "3", "-bf", "2", "-c:a", "mp2"),
    "fragmented": converted(".mp4", *COPY, "-movflags", "+frag_keyframe+delay_moov"),
    "wmv": converted(".wmv", "-c:v", "wmv2", "-q:v", "3", "-c:a", "wmav2"),
    "flv": converted(".flv", "-c:v", "flv", "-q:v", "3", "-ar", "44100", "-c:a", "mp3"),
    "theora": converted(".ogv", "-c:v", "libtheora", "-q:v", "8", "-c:a", "libvorbis"),
    "prores": converted(".mov", "-c:v", "prores_ks", "-c:a", "pcm_s16le"),
    "blu-ray": converted(".m2ts", *COPY, "-mpegts_m2ts_mode", 1),
    "real media": converted(".rm", "-c:v", "rv20", "-q:v", "3", "-c:a", "ac3"),
    "nut": converted(".nut", *COPY),
}
DV_PAL = ("-vf", "scale=720:576", "-c:v", "dvvideo", "-pix_fmt", "yuv420p",
          "-ar", 48000, "-ac", 2, "-c:a", "pcm_s16le")  # fmt: skip
# Shapes whose container knows its length.
MEASURED: dict[str, Callable[[Path, Path], Path]] = {
    "avi": converted(".avi", "-c:v", "mpeg4", "-c:a", "mp3"),
    "flv": WHOLE["flv"],
    "wmv": WHOLE["wmv"],
    "ogv": WHOLE["theora"],
    "dv": converted(".dv", *DV_PAL),
    "mkv": converted(".mkv", *COPY),
    "webm": converted(".webm", "-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libopus"),
    "mov": converted(".mov", *COPY, "-movflags", "+faststart"),
    "mp4": converted(".mp4", *COPY, "-movflags", "+faststart"),
    "fragmented mp4": WHOLE["fragmented"],
    "mxf": converted(
        ".mxf",
        "-vf",
        "scale=720:576",
        "-c:v",
        "mpeg2video",
        "-q:v",
        "4",
        "-c:a",
        "pcm_s16le",
        "-ar",
        48000,
    ),
    "real media": WHOLE["real media"],
}


def _described_first(plain: Path, stem: Path) -> Path:
    """An audio description, in six channels, before the film's audio."""
    target = stem.with_suffix(".mkv")
    ffmpeg("-i", plain, "-f", "lavfi", "-i", "sine=f=900:d=15,pan=5.1|c0=c0|c2=c0|c4=c0",
           "-map", "0:v", "-map", "1:a", "-map", "0:a", "-c:v", "copy", "-c:a", "aac",
           "-disposition:a:0", "visual_impaired", "-disposition:a:1", 0, target)  # fmt: skip
    return target


def _infinite(plain: Path, stem: Path) -> Path:
    """Floating-point audio of which 20 ms are infinite, in one channel."""
    target, audio = stem.with_suffix(".mkv"), stem.with_suffix(".wav")
    ffmpeg("-i", plain, "-vn", "-ar", 48_000, audio)
    samples, rate = soundfile.read(audio, dtype="float32")
    samples[round(0.2 * rate) : round(0.22 * rate), 0] = np.inf
    soundfile.write(audio, samples, rate, subtype="FLOAT")
    ffmpeg("-i", plain, "-i", audio, "-map", "0:v", "-map", "1:a", "-c:v", "copy",
           "-c:a", "pcm_f32le", target)  # fmt: skip
    return target


def _turned(plain: Path, stem: Path) -> Path:
    """A display matrix that turns the film upside down."""
    target = stem.with_suffix(".mp4")
    ffmpeg("-display_rotation", 180, "-i", plain, *COPY, target)
    return target


def _cut_off(plain: Path, stem: Path) -> Path:
    """Two thirds of a Flash video."""
    path = WHOLE["flv"](plain, stem)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    return path


HLG = "log-level=error:pools=2:colorprim=bt2020:transfer=arib-std-b67:colormatrix=bt2020nc"
OTHER: dict[str, Callable[[Path, Path], Path]] = {
    "description first": _described_first,
    "infinite samples": _infinite,
    "upside down": _turned,
    "cut off": _cut_off,
    "high dynamic range": converted(
        ".mp4", "-vf", "format=yuv420p10le", "-c:v", "libx265", "-preset", "ultrafast",
        "-x265-params", HLG, "-c:a", "copy",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Oracle:
    """Results of the ffmpeg program for a file.

    Attributes:
        times_s: when each frame begins, after the first.
    """

    times_s: list[float]


def oracle(path: Path, video: int) -> Oracle:
    """Frame times of a video stream as the ffmpeg program gives them."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", "-i", path]
    command += ["-map", f"0:{video}", "-fps_mode", "passthrough", "-enc_time_base", "demux"]
    lines = subprocess.run(
        [*map(str, command), "-f", "framecrc", "-"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    base = next(Fraction(line.split()[-1]) for line in lines if line.startswith("#tb"))
    ticks = [int(line.split(",")[2]) for line in lines if not line.startswith("#")]
    return Oracle([float((tick - ticks[0]) * base) for tick in ticks])
