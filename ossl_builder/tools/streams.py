"""What all readers of a film's file agree on: which stream is the picture, and reading on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ossl_builder.errors import OsslError

# libav's AV_DISPOSITION_ATTACHED_PIC: a still picture that a music file carries as its cover.
COVER = 0x0400
# A file that fails this often in a row without giving a packet has ended.
FAILED_READS = 100


def find_picture(container: Any) -> Any | None:
    """The first video stream of an open container that is not a cover, if it has one."""
    video = (s for s in container.streams.video if not int(s.disposition) & COVER)
    return next(video, None)


def picture_stream(container: Any, path: Path) -> Any:
    """The stream that `find_picture` finds.

    Raises:
        OsslError: `no_picture`.
    """
    stream = find_picture(container)
    if stream is not None:
        return stream
    raise OsslError(
        "no_picture",
        f"{path.name} has no picture.",
        "A film needs a video stream; add another file.",
    )


def packets(container: Any, *streams: Any) -> Iterator[Any]:
    """All packets of the streams (none named: of all), reading on behind what cannot be read."""
    import av

    failed = 0
    while failed < FAILED_READS:
        try:
            for packet in container.demux(*streams):
                failed = 0
                yield packet
            return
        except av.FFmpegError:
            failed += 1
