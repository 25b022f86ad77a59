"""Frames and a sound become an MP4 that any browser plays, the same bytes every time."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ossl_builder.demo.canvas import HEIGHT, WIDTH
from ossl_builder.demo.script import Script
from ossl_builder.errors import OsslError
from ossl_builder.media import ffmpeg as program


def encode(script: Script, pictures: Iterable[NDArray[np.uint8]], sound: Path, path: Path) -> None:
    """Write H.264 and AAC.

    Args:
        script: size, rate and sample rate are taken from it.
        pictures: uint8 [HEIGHT, WIDTH, 3] each; they are piped to ffmpeg as they come.
        sound: a sound file of the film's length.
        path: the MP4 to write.

    Raises:
        OsslError: `ffmpeg_failed`, `ffmpeg_missing`.
    """
    import ffmpeg

    rate = str(script.rate)
    raw = {"format": "rawvideo", "pix_fmt": "rgb24", "s": f"{WIDTH}x{HEIGHT}", "framerate": rate}
    video = ffmpeg.input("pipe:", **raw)
    # Without these flags swscale rounds differently on other processors.
    video = video.filter("scale", out_color_matrix="bt709", flags="accurate_rnd+bitexact")
    stream = ffmpeg.output(
        video,
        ffmpeg.input(str(sound)),
        str(path),
        **{"c:v": "libx264", "preset": "veryfast", "crf": 18, "g": 48, "pix_fmt": "yuv420p"},
        # The number of threads shapes x264's bytes.
        **{"threads:v": 2, "color_primaries": "bt709", "color_trc": "bt709", "colorspace": "bt709"},
        **{
            "c:a": "aac",
            "b:a": "160k",
            "ar": script.sample_rate,
            "movflags": "+faststart",
            "f": "mp4",
        },
        **{
            "map_metadata": -1,
            "fflags": "+bitexact",
            "flags:v": "+bitexact",
            "flags:a": "+bitexact",
        },
    ).global_args("-hide_banner", "-loglevel", "error", "-nostdin")
    process = ffmpeg.run_async(
        stream, cmd=program.binary(), pipe_stdin=True, pipe_stderr=True, overwrite_output=True
    )
    said = b""
    try:
        with suppress(BrokenPipeError):  # ffmpeg has stopped early; what it says tells more
            for picture in pictures:
                process.stdin.write(picture.tobytes())
            process.stdin.close()
        said = process.stderr.read()
    except BaseException:
        process.kill()
        raise
    finally:
        failed = process.wait() != 0
    if failed:
        words = said.decode(errors="replace").split()[-60:]
        raise OsslError("ffmpeg_failed", f"ffmpeg stopped: {' '.join(words)}")
