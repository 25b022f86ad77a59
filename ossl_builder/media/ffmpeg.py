"""The ffmpeg program: which one, and how it is run through ffmpeg-python."""

from __future__ import annotations

import shutil
from functools import cache
from typing import Any

from ossl_builder.errors import OsslError


@cache
def binary() -> str:
    """Path of the ffmpeg program: the one on PATH, else the one of `imageio-ffmpeg`.

    Raises:
        OsslError: `ffmpeg_missing`.
    """
    found = shutil.which("ffmpeg")
    if found:
        return found
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
    """Run a stream built with ffmpeg-python, overwriting its outputs; return standard output.

    Raises:
        OsslError: `ffmpeg_failed`, with the last lines that ffmpeg printed.
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
        said = " ".join(error.stderr.decode(errors="replace").split()[-60:])
        raise OsslError("ffmpeg_failed", f"ffmpeg stopped: {said}", "") from error
    return bytes(out)
