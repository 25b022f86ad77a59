"""yt-dlp: one attempt at a file's address, and what an address of another site leads to.

Trying again is not done here but by `net.downloader`: as a library yt-dlp neither honours
`Retry-After` nor notices a trickle, a file that has changed, or an answer that is no film.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yt_dlp
from yt_dlp.downloader.http import HttpFD
from yt_dlp.networking.exceptions import HTTPError, RequestError, TransportError

from ossl_builder.errors import OsslError
from ossl_builder.net.http import legible
from ossl_builder.net.retry import RetryPolicy, TransferError, asked_wait_s, given_up
from ossl_builder.net.stall_guard import Heard, Limits, Watched, stalled

PART = ".part"


@dataclass(frozen=True)
class Look:
    """What an address leads to.

    Attributes:
        address: of the file itself.
        is_plain: whether one download of that address gives the file; else it has fragments.
        format: which of the offered forms it is.
        duration_s: as stated by the site; None: not stated.
        about: what the site says of the film; no dates, no signed addresses.
        info: as yt-dlp wants it back.
    """

    address: str
    is_plain: bool
    headers: Mapping[str, str]
    format: str
    duration_s: float | None
    size_bytes: int | None
    about: Mapping[str, Any]
    info: dict[str, Any]


def attempt(
    address: str,
    target: Path,
    limits: Limits,
    headers: Mapping[str, str],
    heard: Callable[[Heard], None],
    progress: Callable[[int, int | None], None],
) -> None:
    """Try once to bring the file at an address to `target`, going on with `<target>.part`.

    Args:
        heard: called with what the server says before any byte is taken; may raise.
        progress: called with the bytes that are here, and those of the whole file if known.

    Raises:
        Setback: it did not succeed; what came stays in the part.
        OSError: the disk's.
    """
    client = _Client(limits, heard)

    def hook(state: dict[str, Any]) -> None:
        done = int(state.get("downloaded_bytes") or 0)
        _refuse_larger(done, limits.max_bytes)
        progress(done, state.get("total_bytes"))

    with client:
        downloader = HttpFD(client, client.params)
        downloader.add_progress_hook(hook)
        try:
            downloader.download(str(target), {"url": address, "http_headers": dict(headers)})
        except yt_dlp.utils.DownloadError as error:
            raise _told(error, limits.timeout_s) from error
    if not target.exists():
        raise TransferError("dropped", "sent nothing")


def _refuse_larger(size_bytes: int, max_bytes: int) -> None:
    if size_bytes > max_bytes:
        raise TransferError(
            "too_large", f"sends {size_bytes} bytes or more, and {max_bytes} are the most allowed"
        )


def look(address: str, patience: RetryPolicy, extractors: tuple[str, ...]) -> Look:
    """Ask yt-dlp's extractors what an address leads to, trying again where that can help.

    Args:
        extractors: which of them may be used, as yt-dlp's option `allowed_extractors`.

    Raises:
        OsslError: `not_understood` (no extractor finds one film there), or as `transfer`.
    """
    try:
        return patience.insist(lambda: _look(address, patience.timeout_s, extractors))
    except TransferError as setback:
        hint = "Run the same command again later, or choose another source."
        raise given_up(address, setback, hint) from setback


def download_fragments(
    found: Look, target: Path, limits: Limits, progress: Callable[[int, int | None], None]
) -> None:
    """Download a film that a site serves in fragments, resuming what yt-dlp left beside it.

    Raises:
        Setback: it did not succeed.
    """

    def hook(state: dict[str, Any]) -> None:
        done = int(state.get("downloaded_bytes") or 0)
        _refuse_larger(done, limits.max_bytes)
        progress(done, state.get("total_bytes_estimate"))

    # As a library yt-dlp has none of its command line's retries.
    options = _options(limits.timeout_s) | {
        "retries": 10,
        "fragment_retries": 10,
        "skip_unavailable_fragments": False,
        "progress_hooks": [hook],
    }
    try:
        with yt_dlp.YoutubeDL(options, auto_init=False) as downloader:
            downloader.dl(str(target), found.info)
    except yt_dlp.utils.DownloadError as error:
        raise _told(error, limits.timeout_s) from error
    if not target.exists():
        raise TransferError("dropped", "sent not all fragments")


def _look(address: str, timeout_s: float, extractors: tuple[str, ...]) -> Look:
    options = _options(timeout_s) | {
        "noplaylist": True,
        "allowed_extractors": list(extractors),
        "format": "best[vcodec!=none][acodec!=none]/best",
    }
    try:
        with yt_dlp.YoutubeDL(options) as client:
            info = client.extract_info(address, download=False)
    except yt_dlp.utils.DownloadError as error:
        cause = _cause(error)
        if isinstance(cause, RequestError):
            raise _of_request(cause, timeout_s) from error
        said = " ".join(str(error).removeprefix("ERROR: ").split())
        raise _not_understood(address, f"yt-dlp: {said.split('; please report')[0]}") from error
    if not info or not info.get("url"):
        raise _not_understood(address, "it leads to several films, or to none")
    about = ("id", "title", "uploader", "license", "webpage_url", "extractor", "ext", "duration")
    return Look(
        address=info["url"],
        is_plain=info.get("protocol") in ("http", "https"),
        headers=info.get("http_headers") or {},
        format=legible(str(info.get("format_id") or "only")),
        duration_s=info.get("duration"),
        size_bytes=info.get("filesize"),
        about={name: info[name] for name in about if info.get(name)},
        info=info,
    )


def _not_understood(address: str, why: str) -> OsslError:
    return OsslError(
        "not_understood",
        f"No film was found at {address} ({why}).",
        "Give the address of the page of one film, or of its file.",
    )


class _Client(yt_dlp.YoutubeDL):  # type: ignore[misc]
    """yt-dlp's client, each of whose answers is judged before a byte of it is taken."""

    def __init__(self, limits: Limits, heard: Callable[[Heard], None]) -> None:
        super().__init__(_options(limits.timeout_s) | {"retries": 0}, auto_init=False)
        self._limits = limits
        self._heard = heard

    def urlopen(self, request: Any) -> Any:
        """Ask; turn what goes wrong into a `Setback`."""
        try:
            response = super().urlopen(request)
        except HTTPError as error:
            if error.status == 416 and "Range" in request.headers:
                # yt-dlp would take the part for the whole if they differ by less than 100 bytes.
                raise TransferError("changed", "has no such file as the part came from") from error
            raise _of_request(error, self._limits.timeout_s) from error
        except RequestError as error:
            raise _of_request(error, self._limits.timeout_s) from error
        said = _heard(response)
        try:
            asked = yt_dlp.utils.parse_http_range(request.headers.get("Range"))[0]
            if response.status == 206 and said.start != asked:
                raise TransferError(
                    "changed", "sent another part of the file than the one asked for"
                )
            if said.size_bytes is not None:
                _refuse_larger(said.size_bytes, self._limits.max_bytes)
            self._heard(said)
        except BaseException:
            response.close()
            raise
        return Watched(response, said, self._limits)


def _heard(response: Any) -> Heard:
    start, _, total = yt_dlp.utils.parse_http_range(response.headers.get("Content-Range"))
    length = response.headers.get("Content-Length", "")
    if response.status != 206:
        start = 0
        total = int(length) if length.isdecimal() else None
    return Heard(
        size_bytes=total,
        etag=response.headers.get("ETag", ""),
        last_modified=response.headers.get("Last-Modified", ""),
        start=-1 if start is None and response.status == 206 else start or 0,
    )


def _options(timeout_s: float) -> dict[str, Any]:
    return {
        "quiet": True,
        "no_warnings": True,
        "noprogress": True,
        "logger": _Quiet(),
        "socket_timeout": timeout_s,
        "file_access_retries": 3,
        "extractor_retries": 3,
        "cachedir": False,
        "updatetime": False,
        "postprocessors": [],
        "fixup": "never",
        # One transport whatever else is installed: the standard library's.
        "compat_opts": {"prefer-legacy-http-handler"},
    }


def _cause(error: Any) -> BaseException | None:
    """The exception within yt-dlp's exceptions, if it kept one."""
    inner: BaseException | None = error.exc_info[1] if error.exc_info else None
    if isinstance(inner, yt_dlp.utils.ExtractorError):
        cause: BaseException | None = inner.cause or inner
        return cause
    return inner


def _told(error: Any, timeout_s: float) -> TransferError:
    cause = _cause(error)
    if isinstance(cause, RequestError):
        return _of_request(cause, timeout_s)
    if isinstance(cause, OSError) and not isinstance(cause, (TimeoutError, ConnectionError)):
        raise cause  # of the disk
    said = " ".join(str(error).removeprefix("ERROR: ").split())
    return TransferError("dropped", f"did not send it (yt-dlp: {said})")


def _of_request(error: RequestError, timeout_s: float) -> TransferError:
    if isinstance(error, HTTPError):
        if error.redirect_loop:
            return TransferError("redirects", "sends in circles (redirects without end)")
        asked = asked_wait_s(error.response.headers.get("Retry-After"))
        error.close()
        return TransferError("status", f"answered {error.status}", error.status, asked)
    if isinstance(error, TransportError):
        cause = getattr(error, "cause", None)
        if isinstance(cause, TimeoutError) or "timed out" in str(error):
            return stalled(timeout_s)
        return TransferError("unreachable", f"could not be reached ({error})")
    return TransferError("not_http", f"is no address of the web ({error})")


class _Quiet:
    """yt-dlp talks to a logger; what matters comes as an exception."""

    def debug(self, message: str) -> None:
        """Drop it."""

    warning = error = info = debug
