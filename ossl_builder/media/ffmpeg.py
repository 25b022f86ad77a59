"""Find the ffmpeg program and run it with ffmpeg-python."""

from __future__ import annotations

import shutil
from functools import cache
from typing import Any

from ossl_builder.errors import OsslError


@cache
def binary() -> str:
    """Return the path of the ffmpeg program: on PATH, else the one of `imageio-ffmpeg`.

    Raises:
        OsslError: `ffmpeg_missing`.
    """
    path = shutil.which("ffmpeg")
    if path:
        return path
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise OsslError(
            "ffmpeg_missing",
            "There is no ffmpeg on PATH, and imageio-ffmpeg has none for this machine.",
            "Install ffmpeg from your system's packages.",
        ) from error


def run(stream: Any, stdin: bytes | None = None) -> bytes:
    """Run a stream built with ffmpeg-python, overwrite its outputs, return standard output.

    Raises:
        OsslError: `ffmpeg_failed`, with the last words that ffmpeg printed.
    """
    import ffmpeg

    try:
        out, _ = ffmpeg.run(
            stream.global_args("-hide_banner", "-loglevel", "error", "-nostdin"),
            cmd=binary(),
            capture_stdout=True,
            capture_stderr=True,
            input=stdin,
            overwrite_output=True,
        )
    except ffmpeg.Error as error:
        message = " ".join(error.stderr.decode(errors="replace").split()[-60:])
        raise OsslError("ffmpeg_failed", f"ffmpeg stopped: {message}", "") from error
    return bytes(out)
