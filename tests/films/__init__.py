"""Small generated films of awkward kinds, with exact ground truth.

Every film has the same contents: four shots of different texture with a moving square; its
number written as sixteen black or white cells at the top of each frame; a patch at the lower
right that is black and flashes white for one frame; music; and a click of one millisecond that
sounds with each flash. Only the encoding differs. Each `make_...` function writes one file and
returns its ground truth.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import soundfile

SECONDS = 15
SHOT_STARTS_S = (0.0, 1.5, 6.0, 10.0)
MUSIC_S = (1.0, 13.5)
FLASHES_S = (3.0, 7.5, 11.0)
SOUND_RATE = 48000
N_CELLS = 16


@dataclass(frozen=True)
class Truth:
    """Ground truth of a film; film time is counted from its first frame.

    Attributes:
        times_s: when each frame begins.
        end_s: when the last frame ends.
        cuts: numbers of the frames that begin a shot, without the first.
        flashes: numbers of the frames that flash.
        clicks_s: when the clicks begin, each with a flash.
        music_s: when music begins and ends.
        sound_s: when the audio begins and ends; None: there is none.
        damaged_s: start of the first damaged packet and end of the last one; None: no damage.
    """

    times_s: tuple[float, ...]
    end_s: float
    cuts: tuple[int, ...]
    flashes: tuple[int, ...]
    clicks_s: tuple[float, ...]
    music_s: tuple[float, float]
    audio_s: tuple[float, float] | None
    damaged_s: tuple[float, float] | None = None


def ffmpeg(*arguments: object, stdin: bytes | None = None) -> None:
    """Run the ffmpeg of `imageio-ffmpeg`, always the same one; raise its output if it fails.

    Args:
        arguments: its arguments; options for quiet mode and for overwriting files are added.
        stdin: what it reads from standard input.
    """
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", "-y"]
    done = subprocess.run([*command, *map(str, arguments)], input=stdin, capture_output=True)
    if done.returncode:
        raise RuntimeError(done.stderr.decode(errors="replace")[-500:])


def number_of(luma: np.ndarray) -> int:
    """The number written in a frame; `luma` is (height, width), 0 to 255."""
    height, width = luma.shape
    row = luma[height // 32 : height // 16]
    edges = np.linspace(0, width, N_CELLS + 1).astype(int)
    cells = [
        row[:, left + (right - left) // 4 : right - (right - left) // 4].mean() > 127
        for left, right in pairwise(edges)
    ]
    return int(sum(1 << bit for bit, cell in enumerate(cells) if cell))


def flash_of(luma: np.ndarray) -> float:
    """Brightness of the flashing patch, 0 to 255."""
    height, width = luma.shape
    return float(
        luma[height * 3 // 4 : height * 15 // 16, width * 3 // 4 : width * 15 // 16].mean()
    )


def click_times(audio: np.ndarray, rate: int) -> list[float]:
    """When clicks begin, in seconds; `audio` is (samples,) or (samples, channels)."""
    mono = audio if audio.ndim == 1 else audio.mean(axis=1)
    loud = np.flatnonzero(np.abs(mono) > 0.3)
    starts = loud[np.diff(loud, prepend=-rate) > rate // 10]
    return [float(start) / rate for start in starts]


def music(
    seconds: float, rate: int, begin_s: float, end_s: float, semitones: int = 0
) -> np.ndarray:
    """Slow broken chords of bowed timbre; (samples,) within 0.15 of full scale."""
    times = np.arange(round(seconds * rate)) / rate
    out = np.zeros_like(times)
    chords = ((220.0, 277.2, 329.6), (196.0, 246.9, 293.7), (174.6, 220.0, 261.6))
    for number, start in enumerate(np.arange(begin_s, end_s, 0.5)):
        inside = (times >= start) & (times < min(start + 0.5, end_s))
        for note in chords[number // 4 % 3]:
            for harmonic in (1, 2, 3, 4):
                pitch = note * 2 ** (semitones / 12) * harmonic * times[inside]
                out[inside] += np.sin(2 * np.pi * pitch) / harmonic**1.5
    return 0.15 * out / max(1.0, np.abs(out).max())


def _frames(
    width: int,
    height: int,
    times: tuple[float, ...],
    flashes: tuple[int, ...],
    interlaced: bool,
) -> bytes:
    made = []
    grid_y, grid_x = np.mgrid[0:height, 0:width]
    for number, time in enumerate(times):
        shot = sum(time >= start for start in SHOT_STARTS_S) - 1
        waves = [
            128 + 70 * np.sin((shot * 1.7 + 1 + plane) * (grid_x + shot * grid_y) * 6.3 / width)
            for plane in range(3)
        ]
        frame = np.stack(waves, axis=2)
        side = height // 6
        for field in range(2):
            left = (number * 6 + 3 * field * interlaced) % (width - side)
            rows = slice(height // 6 * 2 + field, height // 6 * 3, 2)
            frame[rows, left : left + side] = (250, 60 * shot, 20)
        frame[height * 3 // 4 :, width * 3 // 4 :] = 255 if number in flashes else 16
        edges = np.linspace(0, width, N_CELLS + 1).astype(int)
        for bit, (begin, end) in enumerate(pairwise(edges)):
            frame[: height // 10, begin:end] = 235 if number >> bit & 1 else 20
        made.append(frame.clip(0, 255).astype(np.uint8).tobytes())
    return b"".join(made)


def _audio(
    clicks: tuple[float, ...],
    begin_s: float,
    end_s: float,
    channels: int,
    cues_s: tuple[tuple[float, float], ...],
) -> np.ndarray:
    out = np.zeros(round(end_s * SOUND_RATE))
    for number, (first, last) in enumerate(cues_s):
        # Each cue has a different musical key, so that cues cannot be confused.
        out += music(end_s, SOUND_RATE, first, min(last, end_s), semitones=3 * number)
    for click in clicks:
        at = round(click * SOUND_RATE)
        out[at : at + SOUND_RATE // 1000] = 0.8
    # Room noise: real films are never digitally silent.
    out += np.random.default_rng(1).normal(0, 1e-4, len(out))
    return np.repeat(out[round(begin_s * SOUND_RATE) :, None], channels, axis=1)


def make_film(
    path: Path,
    *,
    rate: Fraction = Fraction(24),
    size: tuple[int, int] = (192, 108),
    seconds: float = SECONDS,
    video: tuple[str, ...] = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "48"),
    audio: tuple[str, ...] = ("-c:a", "aac", "-b:a", "128k"),
    filters: str = "null",
    channels: int = 2,
    audio_s: tuple[float, float] | None = (0.0, SECONDS),
    gaps_ms: tuple[int, ...] = (),
    cues_s: tuple[tuple[float, float], ...] = (MUSIC_S,),
    interlaced: bool = False,
) -> Truth:
    """Write a film; see the other functions for its kinds.

    Args:
        path: its suffix names the container.
        rate: frames a second.
        size: stored width and height.
        seconds: length of the video.
        video: ffmpeg's options for the video.
        audio: ffmpeg's options for the audio.
        filters: an ffmpeg filter chain for the frames.
        channels: of the audio: 1, 2 or 6.
        audio_s: film time at which the audio begins and ends; None: no audio.
        gaps_ms: times from each frame to the next, repeated as a cycle, if they vary.
        cues_s: when each cue of music begins and ends; none: there is no music.
        interlaced: whether the lines of a frame alternate between two moments.
    """
    starts_ms = [sum(gaps_ms[:number]) for number in range(len(gaps_ms))]
    if gaps_ms:
        rounds = round(1000 * seconds) // sum(gaps_ms)
        times = tuple((r * sum(gaps_ms) + s) / 1000 for r in range(rounds) for s in starts_ms)
    else:
        times = tuple(float(number / rate) for number in range(round(seconds * rate)))
    flashes = tuple(_first_at(times, flash) for flash in FLASHES_S if flash < seconds)
    begin, end = audio_s or (0.0, 0.0)
    clicks = tuple(times[flash] for flash in flashes if begin <= times[flash] < end)
    if gaps_ms:
        within = "+".join(f"eq(mod(N,{len(gaps_ms)}),{n})*{s}" for n, s in enumerate(starts_ms))
        spaced = f"{sum(gaps_ms)}*floor(N/{len(gaps_ms)})+{within}"
        filters = f"settb=1/1000,setpts='{spaced}',{filters}"
        video = (*video, "-fps_mode", "passthrough", "-enc_time_base", "1/1000")
    # Always the same ffmpeg: older ones begin the video of a WebM after its audio.
    command = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}"]
    command += ["-r", str(rate), "-i", "-"]
    audio_file = path.with_suffix(".audio.wav")
    if audio_s:
        wave = _audio(clicks, begin, end, channels, cues_s)
        soundfile.write(audio_file, wave, SOUND_RATE, subtype="PCM_16")
        command += ["-itsoffset", str(begin), "-i", str(audio_file), *audio]
    command += ["-vf", f"{filters},format=yuv420p", *video, str(path)]
    try:
        frames = _frames(*size, times, flashes, interlaced)
        ffmpeg(*command, stdin=frames)
    finally:
        audio_file.unlink(missing_ok=True)
    return Truth(
        times_s=times,
        end_s=2 * times[-1] - times[-2],
        cuts=tuple(_first_at(times, start) for start in SHOT_STARTS_S[1:] if start < seconds),
        flashes=flashes,
        clicks_s=clicks,
        music_s=(MUSIC_S[0], min(MUSIC_S[1], end)),
        audio_s=audio_s,
    )


def _first_at(times: tuple[float, ...], moment: float) -> int:
    return next(number for number, time in enumerate(times) if time >= moment - 1e-6)


def make_flash_and_click(path: Path, seconds: float = SECONDS) -> Truth:
    """24 frames a second, H.264 and AAC in MP4: nothing awkward. Flashes and clicks only."""
    return make_film(path, seconds=seconds, audio_s=(0.0, seconds), cues_s=())


def make_ntsc_film_rate(path: Path) -> Truth:
    """24000/1001 frames a second."""
    return make_film(path, rate=Fraction(24000, 1001))


def make_variable_rate(path: Path) -> Truth:
    """Frames 30 to 100 ms apart, never twice alike in a row (MP4 or Matroska)."""
    return make_film(path, gaps_ms=(30, 50, 40, 100, 35))


def make_wide_pixels(path: Path) -> Truth:
    """Pixels of 16:15, as in PAL video: 180x144 is shown as 192x144."""
    return make_film(path, size=(180, 144), filters="setsar=16/15")


def make_tall_pixels(path: Path) -> Truth:
    """Pixels of 8:9, as in NTSC video: 180x120 is shown as 180x135, cut to even numbers."""
    return make_film(path, size=(180, 120), filters="setsar=8/9")


def make_interlaced(path: Path) -> Truth:
    """25 interlaced frames a second, top field first (MPEG-2 for .mpg and .ts, else H.264)."""
    flags = ("-flags", "+ilme+ildct")
    if path.suffix in (".mpg", ".ts"):
        video = ("-c:v", "mpeg2video", "-q:v", "3", "-g", "12", "-bf", "2", *flags)
        audio = ("-c:a", "mp2", "-b:a", "192k")
    else:
        video = ("-c:v", "libx264", "-preset", "ultrafast", "-x264-params", "tff=1", *flags)
        audio = ("-c:a", "aac")
    return make_film(
        path,
        rate=Fraction(25),
        size=(192, 144),
        video=video,
        audio=audio,
        filters="setfield=tff",
        interlaced=True,
    )


def make_mono(path: Path) -> Truth:
    """Audio of one channel."""
    return make_film(path, channels=1)


def make_surround(path: Path) -> Truth:
    """Audio of six channels (5.1)."""
    return make_film(path, channels=6, audio=("-c:a", "aac", "-b:a", "384k"))


def make_late_audio(path: Path, delay_s: float = 0.5) -> Truth:
    """Audio that begins after the video."""
    return make_film(path, audio_s=(delay_s, SECONDS))


def make_silent(path: Path) -> Truth:
    """No audio stream."""
    return make_film(path, audio_s=None)


def make_av1_opus(path: Path) -> Truth:
    """AV1 and Opus (WebM or Matroska)."""
    video = ("-c:v", "libsvtav1", "-preset", "12", "-crf", "35", "-g", "72")
    return make_film(path, video=video, audio=("-c:a", "libopus", "-b:a", "96k"))


def make_hevc(path: Path) -> Truth:
    """HEVC with open groups of frames."""
    video = ("-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1")
    tuning = ("-x265-params", "log-level=error:keyint=48:open-gop=1:bframes=3:pools=2")
    return make_film(path, video=(*video, *tuning))


def make_open_groups(path: Path) -> Truth:
    """H.264 with open groups of frames: the first frames after a seek cannot be decoded."""
    tuning = "open-gop=1:keyint=48:min-keyint=24:bframes=3:b-adapt=0:scenecut=0"
    video = ("-c:v", "libx264", "-preset", "fast", "-x264-params", tuning)
    return make_film(path, video=video)


def make_longer_audio(path: Path) -> Truth:
    """Audio that continues for 3 s, with its music, after the video's end at 11.5 s."""
    return make_film(path, seconds=11.5, audio_s=(0.0, 14.5))


def make_shorter_audio(path: Path) -> Truth:
    """Audio that ends at 12 s, 3 s before the video, in the middle of music."""
    return make_film(path, audio_s=(0.0, 12.0))


def make_a_little_shorter_audio(path: Path) -> Truth:
    """Audio that ends at 14 s, 1 s before the video, which is only a warning."""
    return make_film(path, audio_s=(0.0, 14.0))


def make_damaged(path: Path, stream: str = "video", span_s: tuple[float, float] = (7, 8)) -> Truth:
    """A film (MP4) in which a stretch of the video or of the audio is overwritten with noise.

    Args:
        path: an MP4 file.
        stream: `video` or `audio`: what is damaged.
        span_s: packets with times in this span are damaged; frames that depend on a damaged one,
            up to the next key frame (one every second), suffer too.
    """
    import av

    video = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "24")
    truth = make_film(path, video=video)
    with av.open(str(path)) as film:
        packets = [
            (packet.pos, packet.size)
            for packet in film.demux(**{stream: 0})
            if packet.pts is not None and span_s[0] <= packet.pts * packet.time_base < span_s[1]
        ]
    noise = np.random.default_rng(7)
    with path.open("r+b") as file:
        for position, size in packets:
            file.seek(position + min(6, size // 2))
            file.write(noise.bytes(size - min(6, size // 2)))
    return replace(truth, damaged_s=span_s)
