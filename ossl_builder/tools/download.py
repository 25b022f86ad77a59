"""Downloads by yt-dlp."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ossl_builder.errors import OsslError


def download(
    address: str, folder: Path, name: str, max_bytes: int, progress: Callable[[float], None]
) -> Path:
    """Download the film at an address, resuming a part that an earlier run left in `folder`.

    Args:
        address: anything yt-dlp knows.
        name: stem of the file; the extension is the site's.
        max_bytes: a larger file is refused.

    Raises:
        OsslError: `download_failed`, `too_large`.
    """
    import yt_dlp

    def hook(state: dict[str, Any]) -> None:
        total = state.get("total_bytes") or state.get("total_bytes_estimate")
        if total:
            progress(min(1.0, state.get("downloaded_bytes", 0) / total))

    options = {
        "outtmpl": {"default": str(folder / f"{name}.%(ext)s")},
        "quiet": True,
        "no_warnings": True,
        "noprogress": True,
        "noplaylist": True,
        "postprocessors": [],
        "fixup": "never",
        "format": "best[vcodec!=none][acodec!=none]/best",
        # As a library yt-dlp has none of its command line's retries.
        "retries": 10,
        "fragment_retries": 10,
        "extractor_retries": 3,
        "file_access_retries": 3,
        "socket_timeout": 30,
        "max_filesize": max_bytes,
        "cachedir": False,
        "progress_hooks": [hook],
        "logger": _Quiet(),
    }
    try:
        with yt_dlp.YoutubeDL(options) as downloader:
            info = downloader.extract_info(address)
    except yt_dlp.utils.DownloadError as error:
        said = " ".join(str(error).removeprefix("ERROR: ").split())
        raise OsslError(
            "download_failed",
            f"{address} could not be downloaded: {said}",
            "The part that came is kept: run the same command to resume.",
        ) from error
    found = [path for path in folder.glob(f"{name}.*") if path.suffix not in (".part", ".ytdl")]
    if info is None or len(found) != 1:
        raise OsslError(
            "too_large",
            f"{address} gave no file; it is larger than {max_bytes / 1e9:.1f} GB, or not a film.",
            "Raise fetch.max_gb in the recipe, or choose another source.",
        )
    return found[0]


class _Quiet:
    """yt-dlp talks to a logger; what matters comes as an exception."""

    def debug(self, message: str) -> None:
        """Drop it."""

    warning = error = info = debug
