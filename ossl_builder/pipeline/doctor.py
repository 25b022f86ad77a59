"""Check this machine, its tools and its models."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from ossl_builder.errors import OsslError

LOW_DISK_GB = 20.0
ENCODERS = ("libx264", "aac")
DECODERS = ("h264", "hevc", "mpeg2video", "mpeg4", "vp9", "libdav1d", "aac", "ac3", "opus", "mp3")
# Packages that only some commands need: package, commands, how to install it.
OPTIONAL = (
    ("label-studio-sdk", "`ossl label`", 'pip install "ossl-builder[label]"'),
    ("starlette", "`ossl label serve`", 'pip install "ossl-builder[label]"'),
    ("transformers", "`ossl train`, cues.rule=tagger", 'pip install "ossl-builder[train]"'),
    ("audiocraft", "`ossl train`", "pip install --no-deps audiocraft==1.3.0"),
    ("duckdb", "`ossl query`", 'pip install "ossl-builder[export]"'),
)


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        name: the package, tool or resource.
        verdict: ok; missing (something will not work); note (it works, with a remark).
        detail: the version, or what was measured.
        advice: what to do, if not ok.
    """

    name: str
    verdict: Literal["ok", "note", "missing"]
    detail: str
    advice: str = ""


def all_checks(folder: Path) -> Iterator[Check]:
    """Check everything that the pipeline needs, for a corpus in `folder`."""
    yield Check("python", "ok", platform.python_version())
    yield _ffmpeg()
    yield _codecs()
    for package in ("scenedetect-headless", "yt-dlp", "ffmpeg-python", "pyarrow"):
        yield _package(package, "pip install ossl-builder")
    yield _package("demucs", 'pip install "ossl-builder[stems]"')
    for package, needed_for, advice in OPTIONAL:
        yield _optional(package, needed_for, advice)
    yield _torch()
    yield _bundled()
    yield _hub_model("htdemucs")
    yield _disk(folder)


def _ffmpeg() -> Check:
    from ossl_builder.media import ffmpeg

    try:
        path = ffmpeg.binary()
    except OsslError as error:
        return Check("ffmpeg", "missing", error.message, error.hint)
    process = subprocess.run([path, "-version"], capture_output=True, text=True, check=False)
    return Check("ffmpeg", "ok", f"{process.stdout.split(' Copyright')[0]} ({path})")


def _codecs() -> Check:
    import av
    from av.codec import Codec
    from av.codec.codec import UnknownCodecError

    def is_missing(name: str, mode: Literal["r", "w"]) -> bool:
        try:
            Codec(name, mode)
        except UnknownCodecError:
            return True
        return False

    absent = [name for name in ENCODERS if is_missing(name, "w")]
    absent += [name for name in DECODERS if is_missing(name, "r")]
    if absent:
        advice = "Install PyAV's own wheel: pip install --force-reinstall --only-binary=av av"
        return Check("codecs", "missing", f"PyAV lacks {', '.join(absent)}", advice)
    return Check("codecs", "ok", f"PyAV {av.__version__}: H.264 and AAC written, all common read")


def _package(name: str, advice: str) -> Check:
    try:
        return Check(name, "ok", version(name))
    except PackageNotFoundError:
        return Check(name, "missing", "not installed", advice)


def _optional(package: str, needed_for: str, advice: str) -> Check:
    try:
        return Check(package, "ok", version(package))
    except PackageNotFoundError:
        return Check(package, "note", f"not installed; {needed_for} needs it", advice)


def _torch() -> Check:
    try:
        import torch
    except ImportError:
        return Check("torch", "missing", "not installed", 'pip install "ossl-builder[stems]"')
    if torch.cuda.is_available():
        return Check("torch", "ok", f"{torch.__version__}, GPU {torch.cuda.get_device_name()}")
    cores = os.cpu_count()
    return Check(
        "torch", "note", f"{torch.__version__}, no GPU, {cores} cores",
        "Large models take about the film's length per two cores; `bundled` is many times faster.",
    )  # fmt: skip


def _bundled() -> Check:
    from ossl_builder.models import demucs_model, hub

    try:
        model = demucs_model.load(hub.BUNDLED, "cpu")
    except OsslError as error:
        return Check("model bundled", "missing", error.message, error.hint)
    return Check("model bundled", "ok", f"loads; gives {', '.join(model.sources)}")


def _hub_model(name: str) -> Check:
    from ossl_builder.models import demucs_model

    if demucs_model.fingerprint(name):
        return Check(f"model {name}", "ok", "downloaded")
    return Check(
        f"model {name}", "note", "not downloaded yet",
        "It comes by itself where there is a network; else use --set stems.model=bundled.",
    )  # fmt: skip


def _disk(folder: Path) -> Check:
    existing = next(
        path for path in (folder.absolute(), *folder.absolute().parents) if path.exists()
    )
    free = shutil.disk_usage(existing).free / 1e9
    if free < LOW_DISK_GB:
        advice = "A 90-minute film takes 2 to 4 GB with its stems and clips."
        return Check("disk", "note", f"{free:.0f} GB free at {existing}", advice)
    return Check("disk", "ok", f"{free:.0f} GB free at {existing}")
