"""Open a media file and read its packets; all other readers of media use this module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ossl_builder.errors import OsslError
from ossl_builder.tables.films import FilmFile

# Containers that hold their media themselves. Playlists (concat, HLS, DASH), image sequences and
# devices are excluded: such a file would make libav read other files or addresses.
CONTAINERS = (
    "mov", "matroska", "avi", "mpeg", "mpegts", "mpegvideo", "asf", "ogg", "flv", "dv", "rm",
    "mxf", "gxf", "nut", "ivf", "h264", "hevc", "m4v", "obu", "vc1", "y4m",
    "wav", "w64", "aiff", "au", "caf", "flac", "mp3", "aac", "ac3", "eac3", "dts", "amr", "ape",
    "wv", "tta",
)  # fmt: skip
# After this many failed reads in a row, treat the file as ended.
FAILED_READS = 100
# AVFMT_FLAG_GENPTS: guess missing presentation times. The guess is wrong in AVI with B-frames.
GUESS_TIMES = 0x0001


@dataclass(frozen=True)
class MediaFile:
    """A media file and the streams that are the film.

    Attributes:
        path: the file.
        video: index of the video stream; None: the file has none.
        audio: index of the audio stream; None: the file has none.
        has_time_jumps: whether the timestamps must be corrected (see `timeline`).
    """

    path: Path
    video: int | None
    audio: int | None
    has_time_jumps: bool = False

    @classmethod
    def of(cls, path: Path, file: FilmFile) -> MediaFile:
        """Return a corpus film's file, with the streams that were chosen when it was fetched."""
        return cls(path, file.video_stream, file.audio_stream, file.has_time_jumps)


def open_media(path: Path) -> Any:
    """Open a media file for reading; use it as a context manager.

    Only containers in `CONTAINERS` are opened, and only the file itself is read. Metadata may have
    any encoding: bytes that are not UTF-8 are replaced.

    Raises:
        OsslError: `file_missing`, `file_empty`, `not_media`.
    """
    import av

    if not path.is_file():
        raise OsslError(
            "file_missing", f"There is no file {path.name} in {path.parent}.", "Make it again."
        )
    if path.stat().st_size == 0:
        raise OsslError("file_empty", f"{path.name} is empty.", "Fetch or copy it again.")
    options = {"protocol_whitelist": "file", "format_whitelist": ",".join(CONTAINERS)}
    try:
        # Without the prefix, libav would treat a name such as `concat:a|b` as an address.
        container = av.open(f"file:{path}", options=options, metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OsslError(
            "not_media",
            f"{path.name} cannot be opened as audio or video ({type(error).__name__}: {reason}).",
            "It may be cut off, a playlist, or another kind of file. Fetch it again.",
        ) from error
    container.flags &= ~GUESS_TIMES
    return container


def stream_at(container: Any, index: int | None, name: str) -> Any:
    """Return a stream by its index.

    Raises:
        OsslError: `stream_missing`: the file has changed since its streams were chosen.
    """
    if index is not None and 0 <= index < len(container.streams):
        return container.streams[index]
    raise OsslError(
        "stream_missing",
        f"{name} has {len(container.streams)} streams, but none with index {index}.",
        "The file changed after the fetch. Run `ossl verify`.",
    )


def packets(
    container: Any, *streams: Any, failed: Callable[[], None] = lambda: None
) -> Iterator[Any]:
    """Yield all packets of the given streams; without streams, of the whole file.

    After a failed read, continue with the next one, so that data after damage is reached.

    Args:
        container: the open file.
        streams: the streams to read.
        failed: called after each failed read.
    """
    import av

    failures = 0
    while failures < FAILED_READS:
        try:
            for packet in container.demux(*streams):
                failures = 0
                yield packet
            return
        except IndexError:
            # PyAV raises this at the end of a file in which a stream appeared after opening. The
            # decoders of the earlier streams have already been flushed.
            return
        except av.FFmpegError:
            failures += 1
            failed()
